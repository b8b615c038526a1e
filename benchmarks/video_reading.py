"""Frames per second through the reader and its process, beside bare decord in this one, and memory over many opens.

Run ``python benchmarks/video_reading.py VIDEO...``. Both decode with one thread, in alternating runs; medians, the
ratio's over pairs of runs with its 95 % bootstrap interval. Frames are counted as delivered: a frame in four
overlapping windows is four.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from scipy import stats

from trainables.data.video.geometry import FrameTransform
from trainables.data.video.reader import Request, VideoReader
from trainables.data.video.sampling import sliding_windows

WINDOW = 16


def decord_windows(path: Path, side: int, stride: int) -> int:
    import decord

    reader = decord.VideoReader(str(path), width=side, height=side, num_threads=1)
    windows = sliding_windows(len(reader), WINDOW, stride).frames
    return sum(len(reader.get_batch(window).asnumpy()) for window in windows)


def our_windows(reader: VideoReader, path: Path, side: int, stride: int) -> int:
    transform = FrameTransform(size=(side, side))
    windows = reader.windows(path, window_frames=WINDOW, stride_frames=stride, transform=transform)
    return sum(len(window.frames) for window in windows)


def clip_starts(num_frames: int) -> Any:
    return np.random.default_rng(0).integers(0, num_frames - WINDOW, 40)


def decord_clips(path: Path, side: int) -> int:
    import decord

    reader = decord.VideoReader(str(path), width=side, height=side, num_threads=1)
    starts = clip_starts(len(reader))
    return sum(len(reader.get_batch(np.arange(start, start + WINDOW)).asnumpy()) for start in starts)


def our_clips(reader: VideoReader, path: Path, side: int) -> int:
    transform = FrameTransform(size=(side, side))
    starts = clip_starts(reader.probe(path).num_frames)
    requests = (Request(path, np.arange(start, start + WINDOW), transform) for start in starts)
    return sum(len(clip.frames) for clip in reader.read_many(requests))


def our_clips_one_by_one(reader: VideoReader, path: Path, side: int) -> int:
    """Without knowing what comes next: nothing can be decoded together, and nothing ahead."""
    transform = FrameTransform(size=(side, side))
    starts = clip_starts(reader.probe(path).num_frames)
    return sum(len(reader.read(path, np.arange(start, start + WINDOW), transform).frames) for start in starts)


def timed(work: Callable[[], int], worker: psutil.Process | None) -> tuple[int, float, float]:
    """Frames, and wall and CPU seconds of this process and the decoding one."""

    def cpu_seconds() -> float:
        return time.process_time() + (sum(worker.cpu_times()[:2]) if worker is not None else 0.0)

    start, cpu_start = time.perf_counter(), cpu_seconds()
    frames = work()
    return frames, time.perf_counter() - start, cpu_seconds() - cpu_start


def compare(reader: VideoReader, path: Path, side: int, repeats: int) -> None:
    cases: dict[str, tuple[Callable[[], int], Callable[[], int]]] = {
        "clips one after another": (
            lambda: decord_windows(path, side, 16),
            lambda: our_windows(reader, path, side, 16),
        ),
        "windows every 4 frames": (lambda: decord_windows(path, side, 4), lambda: our_windows(reader, path, side, 4)),
        "clips anywhere": (lambda: decord_clips(path, side), lambda: our_clips(reader, path, side)),
        "clips anywhere, one call each": (
            lambda: decord_clips(path, side),
            lambda: our_clips_one_by_one(reader, path, side),
        ),
    }
    reader.probe(path)
    worker = psutil.Process(reader.process_id)
    for name, (bare, ours) in cases.items():
        runs = np.asarray([(timed(bare, None), timed(ours, worker)) for _ in range(repeats)])
        assert len(np.unique(runs[:, :, 0])) == 1, "both deliver the same number"
        rates = np.median(runs[:, :, 0] / runs[:, :, 1], axis=0)
        ratios = runs[:, 0, 1:] / runs[:, 1, 1:]
        wall, cpu = np.median(ratios, axis=0)
        low, high = stats.bootstrap((ratios[:, 0],), np.median, rng=0, method="percentile").confidence_interval
        shown = (f"{wall:.2f} [{low:.2f}, {high:.2f}]", f"{cpu:.2f}")
        row = (path.name, str(side), name, *(f"{rate:,.0f}" for rate in rates), *shown)
        print(f"| {' | '.join(row)} |", flush=True)


def memory_over_opens(paths: list[Path], opens: int) -> None:
    """Every read opens another file, as a pass over a data set does."""
    transform = FrameTransform(size=(112, 112))
    pids, resident = set(), []
    with VideoReader() as reader:
        for number in range(opens):
            path = paths[number % len(paths)]
            reader.read(path, [number % 16], transform)
            process = reader._process
            assert process is not None
            pids.add(process.pid)
            resident.append(process.resident_bytes / 2**20)
    print(
        f"{opens} opens: {len(pids)} processes, resident {min(resident):.0f} to {max(resident):.0f} MiB, "
        f"{resident[-1]:.0f} at the end"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--opens", type=int, default=3000)
    arguments = parser.parse_args()
    print("| video | side | what | bare decord, frames/s | this reader, frames/s | ratio (95 %) | ratio by CPU time |")
    print("|---|---|---|---|---|---|---|")
    with VideoReader() as reader:
        for path in arguments.videos:
            for side in (112, 224):
                compare(reader, path, side, arguments.repeats)
    memory_over_opens(arguments.videos, arguments.opens)


if __name__ == "__main__":
    main()
