"""Everything a report shows, from a study and its records alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from tadtune.plan.ablation import rows_on_baseline_data
from tadtune.report.ablation import collect_ablation
from tadtune.report.data import AblationReport, Measurement, ReportData, SweepReport
from tadtune.report.evidence import collect_evidence
from tadtune.report.origins import collect_origins, origin_warnings
from tadtune.report.resampling import resample_trial
from tadtune.report.setting import describe_setting, study_settings
from tadtune.report.supervision import supervision_warnings
from tadtune.report.sweep import collect_sweep
from tadtune.report.wording import count
from tadtune.spec.combination import build_configs
from tadtune.spec.study import Study
from tadtune.track.faults import WORDS
from tadtune.track.record import TrialRecord
from tadtune.track.statistics import Method, study_noise
from tadtune.track.study_folder import StudyFolder

_METHODS: Mapping[Method, str] = {
    "bootstrap_videos_seeds": "paired bootstrap over test videos and seeds, widened where the paired t-interval over "
    "seeds is wider",
    "bootstrap_videos": "paired bootstrap over test videos (one seed: says nothing about other seeds)",
    "t_seeds": "paired t-interval over seeds",
    "none": "no interval: one seed and no stored matches",
}


def collect(study: Study, folder: StudyFolder) -> ReportData:
    """Read the records of a study.

    Raises:
        tadtune.spec.errors.StudyError: the study's parts are not installed, or its table does not exist.
    """
    protocol = build_configs(study.parts, study.values).protocol
    metrics = tuple(protocol.metric_names())
    setting = describe_setting(study, metrics)
    ablation: AblationReport | None = None
    sweep: SweepReport | None = None
    if study.ablation is not None:
        ablation, warnings = collect_ablation(study, folder, setting.table, metrics)
        wanted = {trial_id for row in ablation.rows for trial_id in row.trial_ids.values()}
        records = {i: folder.record(i) for i in sorted(wanted)}
    else:
        sweep, warnings = collect_sweep(study, folder, protocol)
        records = folder.records()
    headline = _headline(study, ablation, metrics)
    shown = _shown(folder, ablation, sweep, headline)
    origins = collect_origins(records)
    return ReportData(
        study=study,
        metrics=metrics,
        headline=headline,
        tuned=bool(study.inference.space),
        setting=setting,
        ablation=ablation,
        sweep=sweep,
        measurement=_measure(study, records, ablation, sweep, headline),
        evidence=collect_evidence(headline, shown),
        warnings=(
            *supervision_warnings(study, sweep),
            *origin_warnings(study, origins),
            *_failures(records),
            *_repeats(records),
            *warnings,
        ),
    )


def _headline(study: Study, ablation: AblationReport | None, metrics: tuple[str, ...]) -> str:
    """The study's metric, or one the paper's rows have where they do not have that."""
    printed = [name for name in metrics if ablation and any(name in row.paper for row in ablation.rows)]
    for name in (study.metric.name, "map_tiou_0.50"):
        if name in printed:
            return name
    return printed[0] if printed else study.metric.name


def _shown(
    folder: StudyFolder, ablation: AblationReport | None, sweep: SweepReport | None, headline: str
) -> dict[str, list[TrialRecord]]:
    """Label -> complete trials of what is shown in detail: the reference, and the best of the others."""
    if sweep is not None:
        found = {"starting point": sweep.start, "best trial": sweep.best if sweep.best is not sweep.start else None}
        return {label: [folder.record(trial.id)] for label, trial in found.items() if trial is not None}
    assert ablation is not None, "a sweep or an ablation"
    means = {
        row.row.key: row.statistics.metrics[f"test/{headline}"].mean
        for row in ablation.rows
        if row.row.key != ablation.baseline and f"test/{headline}" in row.statistics.metrics
    }
    keys = {ablation.baseline, max(means, key=lambda key: means[key], default="")}
    return {
        row.row.key: [folder.record(row.trial_ids[seed]) for seed in row.statistics.finished]
        for row in ablation.rows
        if row.row.key in keys and row.statistics.finished
    }


def _measure(
    study: Study,
    records: Mapping[str, TrialRecord],
    ablation: AblationReport | None,
    sweep: SweepReport | None,
    headline: str,
) -> Measurement:
    configs = build_configs(*study_settings(study)[ablation.baseline if ablation else ""])
    rows = {row.row.key: row.statistics for row in ablation.rows} if ablation else {}
    gaps = [row.differences for row in ablation.rows] if ablation else [sweep.gains] if sweep else []
    methods = {gap[f"test/{headline}"].method for gap in gaps if f"test/{headline}" in gap}
    if study.ablation is not None:
        seeds, planned = study.ablation.seeds, len(records)
        same_data = rows_on_baseline_data(study.ablation)
        rows = {key: statistics for key, statistics in rows.items() if key in same_data}
    else:
        assert study.sweep is not None, "a sweep or an ablation"
        seeds, planned = (study.sweep.seed,), study.sweep.budget.trials
    return Measurement(
        protocol=f"{study.parts.protocol} {getattr(configs.protocol, 'version', '')}".strip(),
        num_videos=_num_videos(records, configs.protocol),
        seeds=seeds,
        methods=tuple(_METHODS[method] for method in sorted(methods)),
        noise=study_noise(rows, f"test/{headline}", len(seeds)),
        counts=_counts(records),
        planned=planned,
        last_end=max((r.finished_at for r in (record.result() for record in records.values()) if r), default=None),
        dataset_settings={p: v for p, v in configs.plain().items() if p.startswith("dataset.")},
        origins=collect_origins(records),
        data_remarks=tuple(dict.fromkeys(r for p in records.values() for r in p.provenance().get("data_remarks", ()))),
    )


def _num_videos(records: Mapping[str, TrialRecord], protocol: object) -> int | None:
    for record in records.values():
        result = record.result()
        if result is not None and result.status == "complete":
            return resample_trial(record, result, protocol).videos[1] or None
    return None


def _counts(records: Mapping[str, TrialRecord]) -> dict[str, int]:
    counts = dict.fromkeys(("complete", "pruned", "failed", "running"), 0)
    for record in records.values():
        result = record.result()
        if result is not None:
            counts[result.status] += 1
        elif record.folder.is_dir():
            counts["running"] += 1
    return counts


def _failures(records: Mapping[str, TrialRecord]) -> list[str]:
    """One line per reason, with the trials."""
    reasons: dict[str, list[str]] = {}
    for trial_id, record in records.items():
        result = record.result()
        if result is not None and result.status == "failed":
            lines = (result.error or "").strip().splitlines()
            kind = f"{WORDS[result.kind]}: " if result.kind else ""
            reasons.setdefault(kind + (lines[-1] if lines else "no reason recorded"), []).append(trial_id)
    return [
        f"{count(len(ids), 'trial')} failed ({', '.join(ids)}) without a score: {reason}"
        for reason, ids in reasons.items()
    ]


def _repeats(records: Mapping[str, TrialRecord]) -> list[str]:
    """One line on the attempts that were followed by another one, by why they ended."""
    kinds: Counter[str] = Counter()
    for record in records.values():
        result, attempts = record.result(), record.attempts()
        if result is not None:
            last = result.attempts if result.status == "failed" else 0
            kinds.update(WORDS[attempt.kind] for attempt in attempts if attempt.number != last)
    listed = ", ".join(f"{number} x {words}" for words, number in sorted(kinds.items()))
    return [f"{count(kinds.total(), 'attempt')} did not end a trial and were repeated: {listed}."] if kinds else []
