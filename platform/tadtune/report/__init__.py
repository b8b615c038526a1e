"""Reports of a study from its records: HTML, Markdown, CSV, terminal, summary runs. No Ray, no torch."""

from __future__ import annotations

from pathlib import Path

from tadtune.report.collect import collect
from tadtune.spec.study import Study
from tadtune.track.files import write_text
from tadtune.track.study_folder import StudyFolder


def write_reports(study: Study, folder: StudyFolder) -> dict[str, Path]:
    """Write ``report.html``, ``report.md`` and ``report.csv`` into the study's folder, each in one step.

    Returns:
        "html", "md", "csv" -> path.
    """
    from tadtune.report.csv import render_csv
    from tadtune.report.html import render_html
    from tadtune.report.markdown import render_markdown

    data = collect(study, folder)
    texts = {"html": render_html(data), "md": render_markdown(data), "csv": render_csv(data)}
    paths = {kind: folder.report / f"report.{kind}" for kind in texts}
    for kind, text in texts.items():
        write_text(paths[kind], text)
    return paths
