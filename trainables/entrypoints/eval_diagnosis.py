"""A diagnosis of errors as tables, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.detections import Detections, GroundTruth
from trainables.evaluation.detection.protocols import ActivityNet
from trainables.evaluation.diagnosis.buckets import ACTIVITYNET_BUCKETS, THUMOS14_BUCKETS, Buckets
from trainables.evaluation.diagnosis.diagnose import diagnose
from trainables.evaluation.diagnosis.extra_characteristics import read_extra_characteristics

#: Ranges of the characteristics by name; "quantiles" takes about equally many instances each.
BUCKETS: Mapping[str, Mapping[str, Buckets]] = {
    "activitynet": ACTIVITYNET_BUCKETS,
    "thumos14": THUMOS14_BUCKETS,
    "quantiles": {},
}


@dataclass(frozen=True)
class DiagnosisTable:
    """One table of a diagnosis, values in percent.

    Attributes:
        title: what it shows.
        columns: heads.
        rows: cells.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def diagnose_file(
    found: Detections,
    truth: GroundTruth,
    durations_s: Mapping[str, float],
    protocol: Any,
    *,
    buckets: str,
    characteristics: Path | None,
) -> dict[str, Any]:
    """The diagnosis as a dictionary.

    Args:
        found: detections.
        truth: ground truth.
        durations_s: video id -> seconds.
        protocol: the evaluation protocol; must match as ActivityNet does.
        buckets: name in :data:`BUCKETS`.
        characteristics: DETAD's file of further ones.

    Raises:
        ValueError: another protocol or set of ranges, or a video without a duration.
    """
    if not isinstance(protocol, ActivityNet):
        raise ValueError(f"diagnose: matches as activitynet, afsd and opentad do, not as '{protocol.key}'")
    if buckets not in BUCKETS:
        raise ValueError(f"buckets: '{buckets}' is none of {', '.join(BUCKETS)}")
    missing = [video_id for video_id in truth.video_ids if video_id not in durations_s]
    if missing:
        raise ValueError(
            f"diagnose: the annotations do not say how long video '{missing[0]}' is ({len(missing)} such videos); "
            "use annotations with durations"
        )
    extra = None if characteristics is None else read_extra_characteristics(characteristics)
    found_out = diagnose(found, truth, durations_s, protocol=protocol, buckets=BUCKETS[buckets], extra=extra)
    return found_out.to_dict()


def diagnosis_tables(diagnosis: Mapping[str, Any]) -> list[DiagnosisTable]:
    """Error types, what removing each gains, and the characteristics."""
    profile = diagnosis["false_positives"]
    types = [name.replace("_", " ") for name in profile["types"]]
    shares = [
        (f"top {k} G", *map(_percent, row))
        for k, row in enumerate(profile["top_shares"], start=1)
        if row[0] is not None
    ]
    removal = profile["removal"]
    gains = [
        (name.replace("_", " "), _percent(part["avg_gain"]), *map(_percent, part["gain"]))
        for name, part in removal.items()
    ]
    thresholds = tuple(f"{t:g}" for t in diagnosis["tiou_thresholds"])
    tables = [
        DiagnosisTable(
            "What the best-scored detections are, mean over thresholds (G: instances of the class)",
            ("detections", *types),
            tuple(shares),
        ),
        DiagnosisTable(
            f"Gain in mAP_N if an error were removed (mAP_N is {_percent(profile['avg_map_n'])})",
            ("error", "mean", *thresholds),
            tuple(gains),
        ),
    ]
    missed = diagnosis["false_negatives"]["by_characteristic"]
    for name, part in diagnosis["sensitivity"].items():
        rows = [
            (_range(part, i), str(number), _percent(part["avg_map_n"][i]), _percent(missed[name]["avg_missed"][i]))
            for i, number in enumerate(part["num_instances"])
        ]
        title = f"By {name}: sensitivity {_percent(part['sensitivity'])}, impact {_percent(part['impact'])}"
        tables.append(DiagnosisTable(title, ("bucket", "instances", "mAP_N", "missed"), tuple(rows)))
    return tables


def _range(part: Mapping[str, Any], i: int) -> str:
    low, high = (_edge(part["edges"], k) for k in (i, i + 1))
    return f"{part['buckets'][i]} ({low}, {high}]"


def _edge(edges: Sequence[float | None], k: int) -> str:
    value = edges[k]
    if value is None:
        return "-inf" if k == 0 else "inf"
    return f"{value:.3g}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
