"""Feature batches a CPU second from a store, beside one ``.npy`` file a video read with ``np.load`` in the same run.

Run ``python benchmarks/feature_store.py``. Both sides make the same batches with the same loader from the same numbers
(checked); only where a video's features come from differs: a view of the store's memory map, ``np.load`` of the whole
file, or ``np.load(mmap_mode="r")``. Files lie in a temporary folder and in the page cache. 413 videos are THUMOS'14's
number; their mean length is cut so that store and files together stay below 1 GB.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from trainables.config import Sampling
from trainables.data.batches.passes import Pass
from trainables.data.features.dataset import FeatureDataset
from trainables.data.features.loader import FeaturesVideo, load_batches
from trainables.data.features.store import write_store
from trainables.data.schema import Features, Segment, Video
from trainables.records import Batch

SNIPPET_SECONDS = 16 / 30
CASES = {
    "sparse, T = 100": Sampling("sparse", "uniform", 100),
    "uniform, T = 100": Sampling("uniform", "uniform", 100),
    "rescale, T = 100": Sampling("rescale", "rescale", 100),
    "windows of 64, stride 32": Sampling("window", "window", 64, window_stride=(32, 32)),
    "native": Sampling("native", "native", 1),
}


def make_videos(num_videos: int, mean_snippets: int, channels: int, seed: int) -> Iterator[Video]:
    """Videos whose lengths spread as those of THUMOS'14 do: most short, a few ten times as long."""
    rng = np.random.default_rng(seed)
    lengths = np.maximum(rng.lognormal(0.0, 0.8, num_videos), 0.1)
    for i, length in enumerate(np.maximum(lengths / lengths.mean() * mean_snippets, 8).astype(int)):
        features = rng.standard_normal((length, channels), dtype=np.float32)
        yield Video(f"v{i:04d}", "any", "train", SNIPPET_SECONDS, features, (Segment(1.0, 2.0, 0),))


def write_both(folder: Path, videos: Iterator[Video]) -> list[Path]:
    """A store, and the same features as one file a video, in the same order."""
    files = []

    def saved() -> Iterator[Video]:
        for video in videos:
            path = folder / f"{video.video_id}.npy"
            np.save(path, video.features)
            files.append(path)
            yield video

    write_store(folder / "store", saved(), ["a"], {})
    return files


def file_batches(files: list[Path], load: Callable[[Path], Features], sampling: Sampling, size: int) -> Iterator[Batch]:
    """Batches of ``size`` videos whose features are loaded when the batch is made."""
    for first in range(0, len(files), size):
        videos = [
            FeaturesVideo(path.stem, SNIPPET_SECONDS, load(path), np.array([[1.0, 2.0]]), np.zeros(1, np.int64))
            for path in files[first : first + size]
        ]
        yield from load_batches(videos, 1, Pass(sampling, size, "segments", seed=0, epoch=None))


def store_batches(dataset: FeatureDataset, sampling: Sampling, size: int) -> Iterator[Batch]:
    return dataset.batches("train", sampling=sampling, batch_size=size, supervision="segments", seed=0, epoch=None)


def one_pass(batches: Iterator[Batch]) -> tuple[float, float]:
    """CPU seconds an input, and a checksum of the features."""
    start, inputs, total = time.process_time(), 0, 0.0
    for batch in batches:
        assert batch.feats is not None
        inputs += len(batch.video_ids)
        total += float(batch.feats[:, 0].sum())
    return (time.process_time() - start) / inputs, total


def rates(ways: Sequence[Callable[[], Iterator[Batch]]], repeats: int) -> list[float]:
    """Inputs a CPU second of each way: best of passes that take turns, so that all of them meet the same machine."""
    passes = [[one_pass(way()) for way in ways] for _ in range(repeats)]
    sums = {round(total, 2) for found in passes for _, total in found}
    if max(sums) - min(sums) > 0.1:
        raise SystemExit(f"the ways do not give the same features: {sums}")
    return [1 / min(found[i][0] for found in passes) for i in range(len(ways))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=413)
    parser.add_argument("--mean-snippets", type=int, default=140, help="THUMOS'14 at 16 frames of 30 a second: 407")
    parser.add_argument("--channels", type=int, default=2048)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write; none = a temporary folder")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        files = write_both(Path(folder), make_videos(args.videos, args.mean_snippets, args.channels, 0))
        size = (Path(folder) / "store" / "features.arrow").stat().st_size
        dataset = FeatureDataset(Path(folder) / "store")
        print(f"{args.videos} videos, {args.channels} channels, {size / 1e6:.0f} MB, batches of {args.batch_size}")
        print("inputs a CPU second, best of", args.repeats, "passes; ratio to np.load of whole files")
        print(f"{'case':<26}{'store':>8}{'np.load':>10}{'np.load mapped':>16}{'ratio':>8}")
        for name, sampling in CASES.items():
            ways: tuple[Callable[[], Iterator[Batch]], ...] = (
                lambda s=sampling: store_batches(dataset, s, args.batch_size),  # type: ignore[misc]
                lambda s=sampling: file_batches(files, np.load, s, args.batch_size),  # type: ignore[misc]
                lambda s=sampling: file_batches(  # type: ignore[misc]
                    files, lambda path: np.load(path, mmap_mode="r"), s, args.batch_size
                ),
            )
            store, loaded, mapped = rates(ways, args.repeats)
            print(f"{name:<26}{store:>8.0f}{loaded:>10.0f}{mapped:>16.0f}{store / loaded:>8.2f}")


if __name__ == "__main__":
    main()
