"""The report on a terminal, at the end of `tadtune run` and by `tadtune report`."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tadtune.report.answer import answer, data_notice, noise_sentence, start_sentence
from tadtune.report.collect import collect
from tadtune.report.data import ReportData
from tadtune.report.facts import parameter_table
from tadtune.report.table import GAIN_CAPTION, GAIN_HEADINGS, ROW_HEADINGS, ablation_table, gain_table
from tadtune.report.wording import metric_title, split_title
from tadtune.spec.study import Study
from tadtune.track.study_folder import StudyFolder

_STYLES = {"agrees": "green", "opposite": "red", "noise": "yellow", "": ""}


def print_report(study: Study, folder: StudyFolder, console: Console) -> None:
    """Show a study's table and its answer."""
    print_data(collect(study, folder), console)


def print_data(data: ReportData, console: Console) -> None:
    """Show what was collected."""
    console.print(Text(data.study.name, style="bold"))
    notice = data_notice(data)
    if notice:
        console.print(Text(notice, style="" if data.setting.same_data else "yellow"), soft_wrap=True)
    for warning in data.warnings:
        console.print(Text(f"warning: {warning}", style="yellow"), soft_wrap=True)
    for table in _ablation(data) if data.ablation is not None else _sweep(data):
        console.print(table)
    console.print(Text(answer(data), style="bold"), soft_wrap=True)
    if data.sweep is not None:
        console.print(Text(start_sentence(data)), soft_wrap=True)
    console.print(Text(noise_sentence(data)), soft_wrap=True)


def _new_table(title: str, headings: tuple[str, ...], text_columns: int) -> Table:
    table = Table(title=Text(title), title_justify="left")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number < text_columns else "right", overflow="fold")
    return table


def _ablation(data: ReportData) -> list[Table]:
    tables = []
    for split in data.splits:
        title = f"{metric_title(data.headline)} on {split_title(split)}, percent"
        table = _new_table(title, ROW_HEADINGS, 1)
        for row in ablation_table(data, split, data.headline):
            *cells, sign = (Text(cell) for cell in row.cells)
            sign.stylize(_STYLES[row.verdict])
            if not row.whole:
                cells[3].stylize("yellow")
            table.add_row(*cells, sign)
        tables.append(table)
    return tables


def _sweep(data: ReportData) -> list[Table]:
    scores = _new_table(GAIN_CAPTION, GAIN_HEADINGS, 2)
    for row in gain_table(data, (data.headline,)):
        scores.add_row(*(Text(cell) for cell in row))
    values = _new_table("parameters", ("parameter", "space", "starting point", "best trial"), 2)
    for line in parameter_table(data):
        values.add_row(*(Text(cell) for cell in line))
    return [scores, values]
