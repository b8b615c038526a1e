"""A detector meets only data that hold what it reads, whether its class says what that is or its configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from tadtune.spec import components
from tadtune.spec.combination import build_configs, misfit
from tadtune.spec.errors import StudyError
from tadtune.spec.study import Parts


@dataclass(frozen=True)
class Either:
    supervision: ClassVar[str] = "segments"
    views: ClassVar[tuple[str, ...]] = ()

    from_video: bool = False

    @property
    def inputs(self) -> str:
        return "frames" if self.from_video else "feats"


@pytest.fixture(autouse=True)
def either(monkeypatch: pytest.MonkeyPatch) -> None:
    real = components.load
    monkeypatch.setattr(components, "load", lambda kind, name: Either if name == "either" else real(kind, name))


@pytest.mark.parametrize(
    ("detector", "dataset", "reason"),
    [
        ("toy", "toy", None),
        ("toy_frames", "toy_videos", None),
        ("toy", "toy_videos", "detector 'toy' reads feats, data set 'toy_videos' holds frames"),
        ("toy_frames", "toy", "detector 'toy_frames' reads frames, data set 'toy' holds feats"),
        ("either", "toy", None),
        ("either", "toy_videos", None),
    ],
)
def test_classes_that_say_what_they_read(detector: str, dataset: str, reason: str | None) -> None:
    assert misfit(detector, (), dataset) == reason


@pytest.mark.parametrize(("dataset", "fits"), [("toy", False), ("toy_videos", True)])
def test_a_configuration_that_says_it(dataset: str, fits: bool) -> None:
    parts = Parts("toy", "either", (), dataset, "toy")
    for from_video in (False, True):
        if from_video == fits:
            assert build_configs(parts, {"detector.from_video": from_video}).detector == Either(from_video)
        else:
            with pytest.raises(StudyError, match=f"detector 'either' reads .*, data set '{dataset}' holds"):
                build_configs(parts, {"detector.from_video": from_video})
