"""What a report shows, collected once and handed to every writer. Metrics are fractions throughout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tadtune.spec.study import Row, Study
from tadtune.spec.tables import PaperTable
from tadtune.track.statistics import Difference, Noise, RankAgreement, RowStatistics


@dataclass(frozen=True)
class RowReport:
    """One row of an ablation.

    Attributes:
        row: the study's row.
        label: of the paper's row as printed, or "".
        note: how sure the reading of the paper's row is, or "".
        paper: metric name without the split -> the paper's value.
        statistics: ours, over seeds.
        differences: full metric name -> row minus baseline; {} for the baseline itself.
        trial_ids: planned seed -> trial.
    """

    row: Row
    label: str
    note: str
    paper: Mapping[str, float]
    statistics: RowStatistics
    differences: Mapping[str, Difference]
    trial_ids: Mapping[int, str]


@dataclass(frozen=True)
class AblationReport:
    """Rows x seeds.

    Attributes:
        rows: in the order of the study.
        baseline: key of the row others are compared with.
        rank: full metric name -> order of our finished rows against the paper's.
    """

    rows: tuple[RowReport, ...]
    baseline: str
    rank: Mapping[str, RankAgreement]


@dataclass(frozen=True)
class SweepTrial:
    """One trial of a sweep.

    Attributes:
        id: of the trial.
        number: from 1, in the order in which trials ended; those that have not come last.
        status: "complete", "pruned", "failed" or "running".
        config: every field.
        values: the sampled fields.
        objective: what the sampler saw, None without a finished score.
        best: best objective of the complete trials up to this one.
        metrics: full metric name -> value.
        inference: tuned inference values.
    """

    id: str
    number: int
    status: str
    config: Mapping[str, Any]
    values: Mapping[str, Any]
    objective: float | None
    best: float | None
    metrics: Mapping[str, float]
    inference: Mapping[str, Any]


@dataclass(frozen=True)
class Importances:
    """How much each parameter decides whether a trial is among the best.

    Attributes:
        values: parameter -> share, largest first; {} where nothing can be said.
        reason: why not, or "".
    """

    values: Mapping[str, float]
    reason: str = ""


@dataclass(frozen=True)
class SweepReport:
    """All trials of a sweep.

    Attributes:
        trials: by number.
        best: the best complete trial, or None.
        start: the trial of the study's starting point, or None before it is complete.
        gains: full metric name -> best minus starting point.
        importances: of the sampled parameters.
    """

    trials: tuple[SweepTrial, ...]
    best: SweepTrial | None
    start: SweepTrial | None
    gains: Mapping[str, Difference]
    importances: Importances


@dataclass(frozen=True)
class Deviation:
    """One thing that is not as in the paper.

    Attributes:
        what: a field's path, or words.
        paper: the paper's value, or the field's default.
        ours: value -> rows that have it ("" = all of them).
        source: where the default comes from, or "".
        doc: what the field means, or "".
    """

    what: str
    paper: str
    ours: Mapping[str, str]
    source: str = ""
    doc: str = ""


@dataclass(frozen=True)
class Setting:
    """What a number of this study may be compared with.

    Attributes:
        table: the paper's table, or None.
        same_data: whether the study's data set is the table's; only then is a number a reproduction.
        deviations: what differs.
    """

    table: PaperTable | None
    same_data: bool
    deviations: tuple[Deviation, ...]


@dataclass(frozen=True)
class Origin:
    """Trials that came from the same code, data and libraries.

    Attributes:
        trials: how many.
        code: digest of the code.
        data: digest of the data.
        versions: library -> version.
        hosts: names of the machines, sorted.
    """

    trials: int
    code: str
    data: str
    versions: Mapping[str, str]
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Measurement:
    """How the numbers were made.

    Attributes:
        protocol: name and version.
        num_videos: of the test split, None without stored matches.
        seeds: trained with.
        methods: of the intervals, in words.
        noise: between seeds.
        counts: trials by status.
        planned: trials the study asks for.
        last_end: Unix time at which the last of them ended, None before that.
        dataset_settings: field of the data set -> value.
        origins: groups of trials by provenance.
        data_remarks: on the data sets, for instance videos that were left out.
    """

    protocol: str
    num_videos: int | None
    seeds: tuple[int, ...]
    methods: tuple[str, ...]
    noise: Noise
    counts: Mapping[str, int]
    planned: int
    last_end: float | None
    dataset_settings: Mapping[str, Any]
    origins: tuple[Origin, ...]
    data_remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassScores:
    """AP per class of one configuration.

    Attributes:
        label: of the configuration.
        values: class -> AP, mean over its finished seeds.
    """

    label: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Timeline:
    """True and predicted segments of one test video.

    Attributes:
        video_id: the video.
        duration_s: its length.
        true: class -> (start, end) in seconds.
        predicted: label of the configuration -> class -> (start, end, score), the video's highest scores.
    """

    video_id: str
    duration_s: float
    true: Mapping[str, tuple[tuple[float, float], ...]]
    predicted: Mapping[str, Mapping[str, tuple[tuple[float, float, float], ...]]]


@dataclass(frozen=True)
class Evidence:
    """What lies behind the means.

    Attributes:
        metric: of the AP per class, without the split.
        classes: one entry per configuration shown.
        timelines: a few test videos.
    """

    metric: str
    classes: tuple[ClassScores, ...]
    timelines: tuple[Timeline, ...]


@dataclass(frozen=True)
class ReportData:
    """Everything a report shows.

    Attributes:
        study: the study.
        metrics: the protocol's metric names.
        headline: the one the answer is about.
        tuned: whether inference parameters were searched as well.
        setting: against the paper's.
        ablation: given for an ablation.
        sweep: given for a sweep.
        measurement: how the numbers were made.
        evidence: what lies behind them.
        warnings: what a reader must know before the numbers.
    """

    study: Study
    metrics: tuple[str, ...]
    headline: str
    tuned: bool
    setting: Setting
    ablation: AblationReport | None
    sweep: SweepReport | None
    measurement: Measurement
    evidence: Evidence
    warnings: tuple[str, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """Variants of the test score."""
        return ("test", "test_tuned") if self.tuned else ("test",)
