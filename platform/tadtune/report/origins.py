"""Where the trials of a report come from, and whether they come from one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tadtune.report.data import Origin
from tadtune.report.setting import study_settings
from tadtune.spec.combination import build_configs
from tadtune.spec.study import Study
from tadtune.track.record import TrialRecord


def collect_origins(records: Mapping[str, TrialRecord]) -> tuple[Origin, ...]:
    """Trials with a score, grouped by code, data and versions; the largest group first."""
    groups: dict[tuple[str, str, tuple[tuple[str, str], ...]], list[str]] = {}
    for record in records.values():
        result = record.result()
        if result is None or result.status != "complete":
            continue
        known = record.provenance()
        versions = {**known.get("versions", {}), "python": known.get("python", "unknown")}
        key = (str(known.get("code", "")), str(known.get("data", "")), tuple(sorted(versions.items())))
        groups.setdefault(key, []).append(str(known.get("host", "unknown")))
    origins = [
        Origin(len(hosts), code, data, dict(versions), tuple(sorted(set(hosts))))
        for (code, data, versions), hosts in groups.items()
    ]
    return tuple(sorted(origins, key=lambda o: (-o.trials, o.code, o.data)))


def origin_warnings(study: Study, origins: Sequence[Origin]) -> list[str]:
    """What keeps the scores from being compared with each other."""
    settings = study_settings(study).values()
    datasets = {repr(build_configs(parts, values).dataset) for parts, values in settings}
    found: dict[str, set[Any]] = {
        "code": {origin.code for origin in origins},
        "data": {origin.data for origin in origins},
        "library versions": {tuple(sorted(origin.versions.items())) for origin in origins},
    }
    lines = []
    for what, digests in found.items():
        expected = len(datasets) if what == "data" else 1
        if len(digests) > expected:
            counts = " and ".join(_counts(origins, what))
            lines.append(f"Trials were recorded with different {what} ({counts}): differences may come from that.")
    return lines


def _counts(origins: Sequence[Origin], what: str) -> list[str]:
    totals: dict[str, int] = {}
    for origin in origins:
        named = {"code": origin.code[:12], "data": origin.data[:12]}
        label = named.get(what) or ", ".join(f"{name} {version}" for name, version in sorted(origin.versions.items()))
        totals[label] = totals.get(label, 0) + origin.trials
    return [f"{count} with {label}" for label, count in sorted(totals.items(), key=lambda item: -item[1])]
