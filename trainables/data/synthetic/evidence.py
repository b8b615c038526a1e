"""Simulated features: what each snippet shows of the actions around it, and how hard that is made.

Every class has a direction in feature space. A snippet inside an action lies along its class's direction, far in the
core of the action and less far in its flanks; the snippets around it lie along a context that two classes share.
Strengths are lengths in feature space; along any direction the noise has standard deviation ``noise``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from trainables.data.schema import Features

Array = npt.NDArray[np.float64]

#: Snippets of context on each side of an action, as a share of the action's length.
_CONTEXT_SHARE = 1.0


@dataclass(frozen=True)
class Evidence:
    """Strengths and difficulties; the fields are those of :class:`trainables.data.synthetic.config.Config`.

    Attributes:
        feat_dim: C.
        core_fraction: share of an action that is its core.
        core_strength: along the class's direction in the core.
        flank_strength: the same in the rest of the action.
        context_confuser: along a context shared by two classes, in and around the action.
        noise: standard deviation of each channel.
        confusable: share of the direction that a class of odd number takes over from the class before it.
        telling_context: along a context of the class alone, around the action and not in it.
        boundary_blur: standard deviation, in snippets, of the Gaussian that smooths an action's evidence in time.
    """

    feat_dim: int
    core_fraction: float
    core_strength: float
    flank_strength: float
    context_confuser: float
    noise: float
    confusable: float
    telling_context: float
    boundary_blur: float


@dataclass(frozen=True)
class Action:
    """Where one action lies, in snippets.

    Attributes:
        start: of the action.
        end: of the action.
        core_start: of its core.
        core_end: of its core.
        label: class id.
        context: number of the shared context around it.
    """

    start: float
    end: float
    core_start: float
    core_end: float
    label: int
    context: int


@dataclass(frozen=True)
class Directions:
    """Unit vectors in feature space, (K, C) each.

    Attributes:
        actions: of the classes.
        contexts: shared by two classes.
        telling: of one class alone.
    """

    actions: Array
    contexts: Array
    telling: Array


def draw_directions(model: Evidence, num_classes: int, generator: np.random.Generator, seed: int) -> Directions:
    """The directions of a data set.

    Args:
        model: its ``confusable`` turns every class of odd number towards the one before it.
        num_classes: K.
        generator: draws classes and shared contexts.
        seed: of the telling contexts, which have a generator of their own.
    """
    shape = (num_classes, model.feat_dim)
    actions, contexts = _unit_rows(generator.normal(size=shape)), _unit_rows(generator.normal(size=shape))
    telling = _unit_rows(np.random.Generator(np.random.PCG64([8, seed, 0, 0])).normal(size=shape))
    if model.confusable:
        first, second = actions[0 : num_classes - 1 : 2], actions[1::2]
        actions[1::2] = _unit_rows((1 - model.confusable) * second + model.confusable * first)
    return Directions(actions, contexts, telling)


def render(noise: Array, actions: Sequence[Action], model: Evidence, directions: Directions) -> Features:
    """Features of one video.

    Args:
        noise: (L, C).
        actions: any number, they may overlap; where two of one class do, the stronger evidence counts.
        model: strengths.
        directions: of the data set.

    Returns:
        (L, C); a snippet that an action covers in part shows that part of its evidence.
    """
    own, shared, telling = (np.zeros((len(noise), len(directions.actions))) for _ in range(3))
    busy = np.zeros(len(noise), bool)
    for action in actions:
        whole = covered(len(noise), action.start, action.end)
        core = covered(len(noise), action.core_start, action.core_end)
        strength = model.core_strength * core + model.flank_strength * (whole - core)
        own[:, action.label] = np.maximum(own[:, action.label], strength)
        reach = round(_CONTEXT_SHARE * (action.end - action.start))
        around = slice(max(int(action.start) - reach, 0), int(np.ceil(action.end)) + reach)
        shared[around, action.context] = model.context_confuser
        telling[around, action.label] = model.telling_context
        busy |= whole > 0
    telling[busy] = 0.0
    if model.boundary_blur:
        own = gaussian_filter1d(own, model.boundary_blur, axis=0, mode="nearest")
    signal = own @ directions.actions + shared @ directions.contexts + telling @ directions.telling
    return (noise + signal).astype(np.float32)


def covered(length: int, start: float, end: float) -> Array:
    """(L,) share of each snippet [t, t + 1) that lies in [start, end)."""
    cells = np.arange(length)
    share: Array = np.clip(np.minimum(cells + 1, end) - np.maximum(cells, start), 0.0, 1.0)
    return share


def wrong_steps(is_train: npt.NDArray[np.bool_], share: float, num_classes: int, seed: int) -> npt.NDArray[np.int64]:
    """By how many classes a video's annotated labels are off.

    Args:
        is_train: (V,) whether a video is in the training split; no other is annotated wrongly.
        share: of the training videos, rounded to a whole number of them.
        num_classes: K.
        seed: of the choice.

    Returns:
        (V,) 0 = annotated rightly, otherwise 1 to K - 1, to be added modulo K.
    """
    generator = np.random.Generator(np.random.PCG64([9, seed, 0, 0]))
    training = generator.permutation(np.flatnonzero(is_train))
    steps = np.zeros(len(is_train), np.int64)
    steps[training[: round(share * len(training))]] = 1
    return steps * generator.integers(1, num_classes, size=len(steps))


def _unit_rows(values: Array) -> Array:
    result: Array = values / np.linalg.norm(values, axis=1, keepdims=True)
    return result
