"""Feature extraction as a Ray Data job: videos -> frames -> backbone -> one file of features a video.

A video is done when its file is there, so that the same command after any interruption does what is left.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from trainables.backbones.extractor import ExtractionSettings, SnippetExtractor, VideoFrames
from trainables.data.feature_files.extracted import SUFFIX, VideoFeatures, read_facts, write_features
from trainables.entrypoints.ray_session import ray_session
from trainables.files import replacing

VideoOpener = Callable[[Path], VideoFrames]

#: How often a video is tried whose worker process dies.
_ATTEMPTS = 2

_JOB = "extraction.json"
_FEATURES = "features"


@dataclass(frozen=True)
class Resources:
    """What the job may use.

    Attributes:
        workers: processes that extract, each with networks of its own.
        cpus: of each worker; also its threads.
        gpus: of each worker; 1 / n lets n workers share one.
        address: of a Ray cluster, None = what ``RAY_ADDRESS`` says, else a local session.
    """

    workers: int = 1
    cpus: int = 1
    gpus: float = 0.0
    address: str | None = None


@dataclass(frozen=True)
class VideoResult:
    """What became of one video.

    Attributes:
        video_id: the video.
        reason: why it failed; empty = its features are there.
        num_snippets: L, 0 where it failed.
    """

    video_id: str
    reason: str
    num_snippets: int


def features_folder(out: Path) -> Path:
    """Where the files of features of a job are."""
    return out / _FEATURES


def quarantine_of(out: Path) -> Path:
    """List of the videos of a job that could not be read; they are not tried again until they change."""
    return out / "quarantine.jsonl"


def begin(out: Path, settings: ExtractionSettings) -> str:
    """Check the settings and the weights, and that ``out`` is new or belongs to the same extraction; clear it up.

    Args:
        out: folder of the job; made if it is not there.
        settings: what the features are.

    Returns:
        Digest of the extraction: settings and contents of the weights.

    Raises:
        FileNotFoundError: a file of weights is missing.
        ModuleNotFoundError: a library for optical flow is missing.
        ValueError: settings or weights that do not fit, or another extraction's folder; the key is named.
    """
    # the driver may have no GPU, and needs none to look at weights
    identity = SnippetExtractor(replace(settings, device="cpu")).identity() | {"device": settings.device}
    path = out / _JOB
    if path.exists():
        _check_same(path, identity)
        for pattern in (".*.partial", ".*.started"):  # of a launch that was killed
            for leftover in features_folder(out).glob(pattern):
                leftover.unlink(missing_ok=True)
    else:
        features_folder(out).mkdir(parents=True, exist_ok=True)
        with replacing(path) as scratch:
            scratch.write_text(json.dumps(identity, indent=1, sort_keys=True), encoding="utf-8")
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def finished(out: Path, videos: Mapping[str, Path], extraction: str) -> set[str]:
    """Ids of the videos whose features are there, made by this extraction from a file of the same size."""
    return {video_id for video_id, path in videos.items() if _is_done(out, video_id, path, extraction)}


def extract_videos(
    videos: Mapping[str, Path],
    out: Path,
    settings: ExtractionSettings,
    extraction: str,
    *,
    opener: VideoOpener,
    resources: Resources = Resources(),
) -> Iterator[VideoResult]:
    """Extract videos on Ray, in no fixed order; a video that fails stops nothing.

    Args:
        videos: video id -> path, reachable by every worker.
        out: folder of the job, as :func:`begin` has made it.
        settings: what the features are.
        extraction: their digest.
        opener: opens a video inside a worker.
        resources: what the job may use.

    Yields:
        One result a video, as soon as it is there.
    """
    if not videos:
        return
    with ray_session(resources.address):
        import ray
        from ray.data import ActorPoolStrategy, DataContext

        _check_room(ray.cluster_resources(), resources)
        DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        # workers run elsewhere: nothing may depend on this process's folder
        settings = replace(settings, weights=tuple(path.resolve() for path in settings.weights))
        rows = [{"video_id": video_id, "path": str(path.resolve())} for video_id, path in videos.items()]
        # one block a video: a worker takes the next as soon as it is free
        dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _Worker,
            fn_constructor_args=(settings, out.resolve(), extraction, opener, resources.cpus, uuid.uuid4().hex),
            batch_size=1,
            compute=ActorPoolStrategy(min_size=1, max_size=min(resources.workers, len(rows))),
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
        )
        for row in dataset.iter_rows():
            yield VideoResult(str(row["video_id"]), str(row["reason"]), int(row["num_snippets"]))


class _Worker:
    """Extracts on one process of the job; its networks are made once."""

    def __init__(
        self,
        settings: ExtractionSettings,
        out: Path,
        extraction: str,
        opener: VideoOpener,
        cpus: int,
        launch: str,
    ) -> None:
        import torch

        # the same sums in the same order, whatever machine resumes the job
        torch.set_num_threads(cpus)
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        self._extractor = SnippetExtractor(settings)
        self._folder, self._extraction, self._opener = features_folder(out), extraction, opener
        self._launch = launch

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        results = [self._tried(str(v), Path(p)) for v, p in zip(batch["video_id"], batch["path"], strict=True)]
        return {name: np.asarray([vars(r)[name] for r in results]) for name in vars(results[0])}

    def _tried(self, video_id: str, path: Path) -> VideoResult:
        """Extract, unless this video has ended the process too often: Ray would begin it again for ever."""
        mark = self._folder / f".{video_id}.started"
        before = mark.read_text().split() if mark.exists() else []
        attempt = int(before[1]) + 1 if len(before) == 2 and before[0] == self._launch else 1
        if attempt > _ATTEMPTS:
            result = VideoResult(video_id, f"its worker process died, {_ATTEMPTS} times", 0)
        else:
            mark.write_text(f"{self._launch} {attempt}")
            result = self._extract(video_id, path)
        mark.unlink(missing_ok=True)
        return result

    def _extract(self, video_id: str, path: Path) -> VideoResult:
        # what is there is of another file or damaged, and must not stand for a video that fails now
        (self._folder / f"{video_id}{SUFFIX}").unlink(missing_ok=True)
        try:
            video = self._opener(path)
            features = self._extractor(video)
            record = VideoFeatures(
                video_id=video_id,
                features=features,
                snippet_seconds=self._extractor.snippet_seconds(video.fps),
                fps=video.fps,
                num_frames=video.num_frames,
                source_bytes=path.stat().st_size,
                extraction=self._extraction,
                decoders=tuple(video.decoders),
            )
            write_features(self._folder, record)
        except ValueError as error:
            return VideoResult(video_id, str(error), 0)
        except Exception as error:  # whatever it is, the other videos go on and this one is listed
            return VideoResult(video_id, f"{type(error).__name__}: {error}", 0)
        return VideoResult(video_id, "", len(features))


def _check_same(path: Path, identity: Mapping[str, Any]) -> None:
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not readable: {error}; choose another folder") from error
    changed = [k for k in sorted({*before, *identity}) if before.get(k) != identity.get(k)]
    if changed:
        told = "; ".join(f"{k}: {before.get(k)} there, {identity.get(k)} asked for" for k in changed)
        raise ValueError(f"{path.parent}: holds another extraction ({told}); choose another folder")


def _is_done(out: Path, video_id: str, path: Path, extraction: str) -> bool:
    try:
        facts = read_facts(features_folder(out) / f"{video_id}{SUFFIX}")
    except (FileNotFoundError, ValueError):
        return False
    return facts["extraction"] == extraction and facts["source_bytes"] == path.stat().st_size


def _check_room(cluster: Mapping[str, float], resources: Resources) -> None:
    for name, wanted in (("CPU", resources.cpus), ("GPU", resources.gpus)):
        if wanted > cluster.get(name, 0.0):
            raise ValueError(f"a worker takes {wanted:g} {name}, Ray has {cluster.get(name, 0.0):g}")
