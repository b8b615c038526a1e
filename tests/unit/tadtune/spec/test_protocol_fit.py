"""A protocol is given only what it scores, and asked only for what it measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from tadtune_toy import ToyDetector, ToyProtocol

from tadtune.spec import components
from tadtune.spec.combination import protocol_misfit
from tadtune.spec.errors import StudyError
from tadtune.spec.parse import parse_study


@dataclass(frozen=True)
class Frames(ToyDetector):
    key: ClassVar[str] = "frames"
    answers: ClassVar[str] = "frame_scores"


@dataclass(frozen=True)
class PerFrame(ToyProtocol):
    key: ClassVar[str] = "per_frame"
    takes: ClassVar[str] = "frame_scores"

    def metric_names(self) -> tuple[str, ...]:
        return ("frame_map",)


PLANTED: dict[tuple[str, str], Any] = {("detector", "frames"): Frames, ("protocol", "per_frame"): PerFrame}


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    load, names = components.load, components.names
    monkeypatch.setattr(components, "load", lambda kind, name: PLANTED.get((kind, name)) or load(kind, name))
    monkeypatch.setattr(components, "names", lambda kind: sorted([*names(kind), *(n for k, n in PLANTED if k == kind)]))


def test_a_protocol_fits_what_it_scores() -> None:
    assert protocol_misfit("toy", "toy") is None
    assert protocol_misfit("frames", "per_frame") is None
    assert protocol_misfit("toy", "per_frame") == (
        "detector 'toy' answers with detections, protocol 'per_frame' takes frame scores"
    )
    assert protocol_misfit("frames", "toy") == (
        "detector 'frames' answers with frame scores, protocol 'toy' takes detections"
    )


def _study(raw: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**raw, "metric": {"name": "frame_map"}, **changes}


def test_a_study_with_a_protocol_that_does_not_fit_is_refused(toy_sweep: dict[str, Any]) -> None:
    assert parse_study(_study(toy_sweep, detector="frames", protocol="per_frame")).parts.protocol == "per_frame"
    with pytest.raises(StudyError) as caught:
        parse_study(_study(toy_sweep, detector="frames"))
    (line,) = caught.value.lines
    assert line.startswith("combination: detector 'frames' answers with frame scores, protocol 'toy' takes detections")
    assert "per_frame" in line.partition("Protocols that fit: ")[2], "the way out"
    with pytest.raises(StudyError, match="detector 'toy' answers with detections, protocol 'per_frame'"):
        parse_study(_study(toy_sweep, protocol="per_frame"))


def test_a_metric_that_the_protocol_does_not_measure_is_refused(
    toy_sweep: dict[str, Any], toy_ablation: dict[str, Any]
) -> None:
    for raw in (toy_sweep, toy_ablation):
        with pytest.raises(StudyError) as caught:
            parse_study(_study(raw))
        assert caught.value.lines == [
            "metric.name: protocol 'toy' measures no 'frame_map', but map_tiou_0.50, avg_map."
        ]
