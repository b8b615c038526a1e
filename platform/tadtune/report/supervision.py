"""Which configurations were handed stronger labels than their detector is known for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tadtune.report.data import SweepReport
from tadtune.report.setting import study_settings
from tadtune.spec.combination import build_configs
from tadtune.spec.study import Parts, Study

_NAMES = {"none": "no labels", "video_labels": "video labels", "segments": "annotated segments"}


def supervision_warnings(study: Study, sweep: SweepReport | None) -> list[str]:
    """One sentence for each detector whose settings read more than the detector as such does.

    Args:
        study: of an ablation every row is looked at.
        sweep: of a sweep the starting point and the best trial are.
    """
    if sweep is None:
        named: Iterable[tuple[str, tuple[Parts, Mapping[str, Any]]]] = (
            (f"row '{key}'", setting) for key, setting in study_settings(study).items()
        )
    else:
        shown = (("the starting point", sweep.start), ("the best trial", sweep.best))
        named = [(label, (study.parts, {**study.values, **t.values})) for label, t in shown if t is not None]
    found: dict[tuple[str, str, str], list[str]] = {}
    for label, (parts, values) in named:
        detector = build_configs(parts, values).detector
        usual, read = (getattr(of, "supervision", "none") for of in (type(detector), detector))
        if read != usual:
            found.setdefault((parts.detector, usual, read), []).append(label)
    return [
        f"Detector '{detector}' is known for training with {_NAMES[usual]}, but reads {_NAMES[read]} in "
        f"{', '.join(labels)}: not comparable with results of {_NAMES[usual]} alone."
        for (detector, usual, read), labels in found.items()
    ]
