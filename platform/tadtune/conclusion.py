"""The end of a launch: report files, one summary run per row, the paper's rows as reference runs."""

from __future__ import annotations

from pathlib import Path

from tadtune.report import write_reports
from tadtune.report.summaries import summary_runs
from tadtune.spec.study import Study
from tadtune.track.mlflow_tracking.runs import Summary
from tadtune.track.study_folder import StudyFolder


def conclude(study: Study, folder: StudyFolder) -> tuple[list[Summary], list[Path]]:
    """Summary runs for MLflow and the report files, from the records."""
    if not any(record.result() is not None for record in folder.records().values()):
        return [], []
    return summary_runs(study, folder), list(write_reports(study, folder).values())
