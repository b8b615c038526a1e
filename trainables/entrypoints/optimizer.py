"""A phase's optimiser: parameter groups, frozen parts, learning-rate steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from trainables.config import Phase


def make_optimizer(modules: nn.ModuleDict, phase: Phase) -> torch.optim.Optimizer:
    """Optimiser over every parameter that the phase trains; frozen ones lose their gradient.

    Args:
        modules: "detector" and the tasks; prefixes of the phase are those of the detector's parameters.
        phase: the phase.

    Raises:
        ValueError: a prefix of the phase matches no parameter.
    """
    names = [name for name, _ in modules["detector"].named_parameters()]
    for prefix in (*phase.frozen, *phase.lr_multipliers):
        if not any(name.startswith(prefix) for name in names):
            raise ValueError(f"phase '{phase.name}': no parameter begins with '{prefix}'")
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in modules.named_parameters():
        own = name.removeprefix("detector.")
        in_detector = name != own
        frozen = in_detector and own.startswith(tuple(phase.frozen)) if phase.frozen else False
        parameter.requires_grad_(not frozen)
        parameter.grad = None
        if not frozen:
            factor, decay = _multiplier(own, phase) if in_detector else 1.0, phase.weight_decay
            if name.endswith("bias"):
                factor, decay = factor * phase.bias_lr_multiplier, decay if phase.decay_biases else 0.0
            groups.setdefault((factor, decay), []).append(parameter)
    parameters = [
        {"params": group, "lr": phase.lr * factor, "factor": factor, "weight_decay": decay}
        for (factor, decay), group in groups.items()
    ]
    options: dict[str, Any] = {"lr": phase.lr, "weight_decay": phase.weight_decay}
    if phase.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=phase.momentum, **options)
    return (torch.optim.Adam if phase.optimizer == "adam" else torch.optim.AdamW)(parameters, **options)


def _multiplier(name: str, phase: Phase) -> float:
    """Factor of the longest prefix that fits."""
    fitting = [prefix for prefix in phase.lr_multipliers if name.startswith(prefix)]
    return phase.lr_multipliers[max(fitting, key=len)] if fitting else 1.0


def set_learning_rate(optimizer: torch.optim.Optimizer, phase: Phase, epoch: int) -> None:
    """Learning rate of an epoch of the phase: multiplied by ``lr_factor`` at every milestone passed."""
    steps = sum(epoch >= milestone for milestone in phase.lr_milestones)
    for group in optimizer.param_groups:
        group["lr"] = phase.lr * group["factor"] * phase.lr_factor**steps
