"""Features of a whole video: frames in, one feature a snippet out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trainables.backbones.base import Backbone
from trainables.backbones.flow import opencv, quantise_flow, tvl1_flow
from trainables.backbones.preprocess import Frames, Preprocess
from trainables.backbones.presets import PRESETS, Preset, Stream
from trainables.backbones.snippets import IntArray, SnippetGrid, sampled_frames, stack_middle
from trainables.backbones.weights import load_checkpoint, read_checkpoint

Features = npt.NDArray[np.float32]

#: Source frames in memory at once: they may be large before they are resized.
_READ_FRAMES = 32


class VideoFrames(Protocol):
    """An open video."""

    @property
    def num_frames(self) -> int:
        """Frames it has."""
        ...

    @property
    def fps(self) -> float:
        """Frames per second."""
        ...

    @property
    def decoders(self) -> tuple[str, ...]:
        """Name and version of those that have read frames so far."""
        ...

    def frames(self, indices: IntArray) -> Frames:
        """(T, H, W, 3) RGB frames at these indices.

        Raises:
            ValueError: a frame cannot be decoded.
        """
        ...


@dataclass(frozen=True)
class ExtractionSettings:
    """Everything that decides what the features are.

    Attributes:
        backbone: key of a preset.
        weights: one file a stream, in the preset's order; empty with ``random_seed``.
        random_seed: of untrained weights, for tests and demonstrations; None = ``weights`` are given.
        layout: of the weights, None = recognised.
        endpoint: instead of the preset's.
        crop: side of the network's input in pixels instead of the preset's; the field of view stays.
        fps: instead of the preset's.
        snippet_len_frames: instead of the preset's.
        snippet_stride_frames: instead of the preset's.
        batch_size: snippets in one pass of the network.
        device: "cpu" or "cuda".
    """

    backbone: str
    weights: tuple[Path, ...] = ()
    random_seed: int | None = None
    layout: str | None = None
    endpoint: str | None = None
    crop: int | None = None
    fps: float | None = None
    snippet_len_frames: int | None = None
    snippet_stride_frames: int | None = None
    batch_size: int = 8
    device: str = "cpu"

    def preset(self) -> Preset:
        """The preset with this object's changes.

        Raises:
            ValueError: no such preset, or a value out of bounds; the key is named.
        """
        if self.backbone not in PRESETS:
            raise ValueError(f"backbone: '{self.backbone}' is none of {', '.join(PRESETS)}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size: {self.batch_size} must be 1 or more")
        preset = PRESETS[self.backbone]
        changes: dict[str, Any] = {"streams": tuple(self._changed(stream) for stream in preset.streams)}
        for name in ("fps", "snippet_len_frames", "snippet_stride_frames"):
            if getattr(self, name) is not None:
                changes[name] = getattr(self, name)
        if preset.every_frame and changes.get("snippet_stride_frames", 1) != 1:
            raise ValueError(
                f"snippet_stride_frames: {self.snippet_stride_frames}; {self.backbone} has a feature for every frame, "
                "whose distance is set by fps"
            )
        return replace(preset, **changes)

    def _changed(self, stream: Stream) -> Stream:
        frames = stream.preprocess if self.crop is None else stream.preprocess.scaled(self.crop)
        return replace(stream, preprocess=frames, endpoint=self.endpoint or stream.endpoint)


class SnippetExtractor:
    """Networks on a device, ready for videos.

    Args:
        settings: see there.

    Attributes:
        feat_dim: D, the channels of all streams.

    Raises:
        FileNotFoundError: a file of weights is missing.
        ModuleNotFoundError: OpenCV is needed for the flow and not installed.
        ValueError: settings that do not fit each other, or weights that do not fit the network.
    """

    def __init__(self, settings: ExtractionSettings) -> None:
        self._preset = settings.preset()
        self._settings = settings
        self._grid = SnippetGrid(self._preset.snippet_len_frames, self._preset.snippet_stride_frames)
        _check_weights(settings, self._preset)
        self._flow = any(stream.input == "flow" for stream in self._preset.streams)
        if self._flow:
            opencv()
        self._networks: list[Backbone] = []
        self._weights_sha256: list[str] = []
        self.feat_dim = 0
        for i, stream in enumerate(self._preset.streams):
            network = self._network(stream, i)
            _check_stream(stream, network, self._grid.len_frames)
            self.feat_dim += network.endpoints[stream.endpoint].channels
            self._networks.append(network.eval().to(settings.device))

    def _network(self, stream: Stream, index: int) -> Backbone:
        if self._settings.random_seed is not None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self._settings.random_seed + index)
                return stream.build(None)
        checkpoint = read_checkpoint(self._settings.weights[index], stream.layouts, layout=self._settings.layout)
        network = stream.build(checkpoint)
        load_checkpoint(network, checkpoint)
        self._weights_sha256.append(checkpoint.sha256)
        return network

    def identity(self) -> dict[str, Any]:
        """Everything that decides what the features are, as JSON holds it: settings, weights, versions."""
        libraries = ["torch", "decord", "av", *(["opencv-contrib-python-headless"] if self._flow else [])]
        return {
            "backbone": self._settings.backbone,
            "streams": [
                {
                    "input": stream.input,
                    "endpoint": stream.endpoint,
                    "stack": stream.stack,
                    "preprocess": json.loads(json.dumps(vars(stream.preprocess))),
                }
                for stream in self._preset.streams
            ],
            "weights_sha256": self._weights_sha256,
            "random_seed": self._settings.random_seed,
            "feat_dim": self.feat_dim,
            "fps": self._preset.fps,
            "snippet_len_frames": self._grid.len_frames,
            "snippet_stride_frames": self._grid.stride_frames,
            "batch_size": self._settings.batch_size,
            "device": self._settings.device,
            "versions": {name: version(name) for name in libraries},
            **({"every_frame": True} if self._preset.every_frame else {}),
        }

    def snippet_seconds(self, source_fps: float) -> float:
        """Seconds that one snippet's cell covers in a video of this rate."""
        return self._grid.stride_frames / (self._preset.fps or source_fps)

    def __call__(self, video: VideoFrames) -> Features:
        """(L, D) features of a video.

        Raises:
            ValueError: a video that has too few frames, cannot be decoded, or gives a feature that is not finite.
        """
        frames = sampled_frames(video.num_frames, video.fps, self._preset.fps)
        if len(frames) < 2 and self._flow:
            raise ValueError(f"{len(frames)} frame; flow needs two or more")
        features = np.concatenate(list(self._batches(video, frames)))
        if not np.isfinite(features).all():
            row = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
            raise ValueError(f"the feature of snippet {row} is not finite")
        return features

    def _batches(self, video: VideoFrames, frames: IntArray) -> Iterator[Features]:
        if self._preset.every_frame:
            for start in range(0, len(frames), self._grid.len_frames):
                part = np.arange(start, min(start + self._grid.len_frames, len(frames)))
                yield self._features(video, frames, part[None])
            return
        count = self._grid.count(len(frames))
        for start in range(0, count, self._settings.batch_size):
            windows = self._grid.windows(len(frames), start, min(start + self._settings.batch_size, count))
            yield self._features(video, frames, windows)

    @torch.inference_mode()
    def _features(self, video: VideoFrames, frames: IntArray, windows: IntArray) -> Features:
        """(B, D) of snippets whose frames are ``windows``, indices into ``frames``; or (T, D), every frame of one."""
        first, last = int(windows.min()), int(windows.max())
        if self._flow:  # field f lies between the frames f and f + 1; the last frame repeats the field before it
            first, last = min(first, len(frames) - 2), min(last + 1, len(frames) - 1)
        sizes = {_size_key(stream.preprocess): stream.preprocess for stream in self._preset.streams}
        resized = _read(video, frames[first : last + 1], list(sizes.values()))
        images = dict(zip(sizes, resized, strict=True))
        parts = []
        for stream, network in zip(self._preset.streams, self._networks, strict=True):
            source, places = images[_size_key(stream.preprocess)], windows - first
            if stream.input == "flow":
                source, places = quantise_flow(tvl1_flow(source)), np.minimum(places, len(source) - 2)
            clips = self._clips(stream, source, places)
            outputs = network.collect(clips, (stream.endpoint,))[stream.endpoint]
            parts.append(outputs[0].mean(dim=(2, 3)).T if self._preset.every_frame else outputs.mean(dim=(2, 3, 4)))
        result: Features = torch.cat(parts, dim=1).float().cpu().numpy()
        return result

    def _clips(self, stream: Stream, images: Frames, places: IntArray) -> Tensor:
        """(B, C, T, H, W) preprocessed inputs of a network."""
        cropped = torch.from_numpy(stream.preprocess.centre_crop(images)[places]).to(self._settings.device)
        clips = stream.preprocess.normalise(cropped).permute(0, 4, 1, 2, 3)
        return clips if stream.stack is None else stack_middle(clips, stream.stack)


def _check_weights(settings: ExtractionSettings, preset: Preset) -> None:
    given, streams = len(settings.weights), len(preset.streams)
    if settings.random_seed is None and given != streams:
        names = ", ".join(stream.input for stream in preset.streams)
        raise ValueError(f"weights: {given} files, {settings.backbone} takes {streams} ({names}, in this order)")
    if settings.random_seed is not None and given:
        raise ValueError("weights: files and a random seed are given; one of them decides the weights")


def _check_stream(stream: Stream, network: Backbone, snippet_len_frames: int) -> None:
    """Refuse a stream whose snippets its network cannot take, by shapes alone."""
    if stream.endpoint not in network.endpoints:
        raise ValueError(f"endpoint: '{stream.endpoint}' is none of {', '.join(network.endpoints)}")
    if stream.stack is not None and stream.stack > snippet_len_frames:
        raise ValueError(f"snippet_len_frames: {snippet_len_frames}, where {stream.stack} images are stacked")
    frames = snippet_len_frames if stream.stack is None else 1
    crop = stream.preprocess.crop
    with torch.device("meta"):
        twin, clip = stream.build(None).eval(), torch.empty(1, network.in_channels, frames, crop, crop)
        try:
            twin.collect(clip, (stream.endpoint,))
        except RuntimeError as error:
            raise ValueError(
                f"crop: {crop} pixels and snippets of {frames} frames are too few for '{stream.endpoint}': {error}"
            ) from error


def _size_key(preprocess: Preprocess) -> tuple[object, str]:
    return preprocess.size, preprocess.interpolation


def _read(video: VideoFrames, indices: IntArray, sizes: Sequence[Preprocess]) -> list[Frames]:
    """The frames at ``indices``, resized in each of the ways."""
    parts: list[list[Frames]] = [[] for _ in sizes]
    for start in range(0, len(indices), _READ_FRAMES):
        wanted = indices[start : start + _READ_FRAMES]
        frames = video.frames(wanted)
        if frames.shape[:1] != wanted.shape or frames.ndim != 4 or frames.shape[3] != 3:
            raise ValueError(
                f"frames {wanted[0]} to {wanted[-1]}: got {frames.shape}, expected {len(wanted)} RGB images"
            )
        for part, size in zip(parts, sizes, strict=True):
            part.append(size.resize(frames))
    return [np.concatenate(part) for part in parts]
