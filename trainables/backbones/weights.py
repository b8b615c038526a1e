"""Reading public checkpoints: renamed by their layout, checked key by key, loaded only when everything fits."""

from __future__ import annotations

import hashlib
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

State = dict[str, Tensor]

#: Where training scripts put the weights inside a checkpoint: SlowFast and pytorchvideo, TSN, others, our trials.
_NESTED = ("model_state", "state_dict", "model_state_dict", "weights")

#: Wrappers of the network that stored itself.
_PREFIX = "module."

#: How many keys of each kind a complaint lists.
_SHOWN = 20


@dataclass(frozen=True)
class Layout:
    """How a public release names the parameters of a network.

    Attributes:
        name: what the user calls it.
        mark: a key that this layout has and the network's other layouts have not.
        rules: (pattern, replacement) pairs on the whole key, the first that matches holds; the result is our name. A
            key without a rule is unexpected.
        head: pattern of *our* names that may be left over, because the network is built without that classifier.
        prepare: change of the tensors before renaming.
    """

    name: str
    mark: str
    rules: tuple[tuple[str, str], ...]
    head: str | None = None
    prepare: Callable[[State], State] | None = None

    def rename(self, key: str) -> str | None:
        """Our name of a key, None where no rule matches."""
        for pattern, replacement in self.rules:
            match = re.fullmatch(pattern, key)
            if match is not None:
                return match.expand(replacement)
        return None


@dataclass(frozen=True)
class Checkpoint:
    """Tensors of a file, and how they are named.

    Attributes:
        path: of the file.
        sha256: of its bytes.
        layout: how its keys are named.
        state: key of the file -> tensor, without the wrappers' prefix.
    """

    path: Path
    sha256: str
    layout: Layout
    state: State


def read_checkpoint(path: Path, layouts: Sequence[Layout], *, layout: str | None = None) -> Checkpoint:
    """Read a file of weights; nothing but tensors and plain values is unpickled.

    Args:
        path: ``.safetensors``, or what ``torch.save`` wrote (also inside a training checkpoint).
        layouts: those the network knows.
        layout: name of the one to use; None = the one whose mark the file holds.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not readable as tensors, or of no known layout.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of weights")
    state = _unwrap(_read(path), path)
    chosen = _choose(state, layouts, layout, path)
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return Checkpoint(path, sha256, chosen, state)


def load_checkpoint(network: nn.Module, checkpoint: Checkpoint) -> tuple[str, ...]:
    """Copy the weights into a network, or refuse all of them.

    ``num_batches_tracked`` may be missing: PyTorch before 0.4.1 did not write it, and inference does not read it.

    Args:
        network: its names are the targets of the layout's rules.
        checkpoint: to load.

    Returns:
        Keys of the file that were left over, all of a classifier the network is built without.

    Raises:
        ValueError: lists every missing, unexpected, doubled, wrongly shaped and not finite tensor.
    """
    layout = checkpoint.layout
    source = layout.prepare(checkpoint.state) if layout.prepare else checkpoint.state
    targets = network.state_dict()
    renamed: State = {}
    left_over: list[str] = []
    unexpected: list[str] = []
    doubled: list[str] = []
    for key, tensor in source.items():
        name = layout.rename(key)
        if name is not None and name not in targets and layout.head and re.fullmatch(layout.head, name):
            left_over.append(key)
        elif name is None or name not in targets:
            unexpected.append(key)
        elif name in renamed:
            doubled.append(f"{key} (also {name})")
        else:
            renamed[name] = tensor
    problems = {
        "missing": [k for k in targets if k not in renamed and not k.endswith(".num_batches_tracked")],
        "unexpected": unexpected,
        "twice": doubled,
        "of another shape": _misshapen(renamed, targets),
        "not finite": [k for k, v in renamed.items() if v.is_floating_point() and not v.isfinite().all()],
    }
    if any(problems.values()):
        raise ValueError(_complaint(checkpoint, type(network).__name__, problems))
    network.load_state_dict(renamed, strict=False)
    return tuple(left_over)


def _misshapen(renamed: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> list[str]:
    return [
        f"{name}: {tuple(tensor.shape)}, the network has {tuple(targets[name].shape)}"
        for name, tensor in renamed.items()
        if tensor.shape != targets[name].shape
    ]


def _complaint(checkpoint: Checkpoint, network: str, problems: Mapping[str, Sequence[str]]) -> str:
    lines = [f"{checkpoint.path}: does not fit {network} in layout '{checkpoint.layout.name}'; nothing was loaded"]
    for kind, keys in problems.items():
        if keys:
            more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
            lines.append(f"  {len(keys)} {kind}: {', '.join(keys[:_SHOWN])}{more}")
    lines.append("  give the file of this very network, or name another layout")
    return "\n".join(lines)


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path}: not a safetensors file: {error}") from error
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, UnicodeDecodeError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{path}: cannot be read as weights only: {reason}; convert it to .safetensors where you trust it"
        ) from error


def _unwrap(content: Any, path: Path) -> State:
    for name in _NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    tensors = isinstance(content, Mapping) and all(isinstance(v, Tensor) for v in content.values())
    if not tensors or not content:
        nested = ", ".join(_NESTED)
        raise ValueError(f"{path}: holds no state dict; expected names of tensors, at the top or under {nested}")
    state = {str(k): v for k, v in content.items()}
    if all(key.startswith(_PREFIX) for key in state):
        state = {key.removeprefix(_PREFIX): tensor for key, tensor in state.items()}
    return state


def _choose(state: State, layouts: Sequence[Layout], name: str | None, path: Path) -> Layout:
    known = ", ".join(layout.name for layout in layouts)
    if name is not None:
        named = [layout for layout in layouts if layout.name == name]
        if not named:
            raise ValueError(f"layout: '{name}' is none of {known}")
        return named[0]
    found = [layout for layout in layouts if layout.mark in state]
    if len(found) != 1:
        marks = ", ".join(f"{layout.name} ({layout.mark})" for layout in layouts)
        first = ", ".join(list(state)[:3])
        raise ValueError(f"{path}: has the mark of {len(found)} known layouts of {marks}; its keys start {first}")
    return found[0]
