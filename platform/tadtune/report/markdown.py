"""The report's tables as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tadtune.report.answer import answer, data_notice, noise_sentence, start_sentence
from tadtune.report.data import ReportData
from tadtune.report.facts import deviation_ours, measurement_facts, parameter_table
from tadtune.report.table import GAIN_CAPTION, GAIN_HEADINGS, ROW_HEADINGS, ablation_table, gain_table
from tadtune.report.wording import metric_title, split_title


def render_markdown(data: ReportData) -> str:
    """The whole report."""
    lines = [f"# {_safe(data.study.name)}", ""]
    if data.study.claim:
        lines += [f"**Claim.** {_safe(data.study.claim)}", ""]
    lines += [f"**Answer.** {_safe(answer(data))}", ""]
    notice = data_notice(data)
    if notice:
        lines += [f"> {_safe(notice)}", ""]
    for warning in data.warnings:
        lines += [f"> **Warning.** {_safe(warning)}", ""]
    lines += _ablation(data) if data.ablation is not None else _sweep(data)
    lines += [_safe(noise_sentence(data)), ""]
    if data.setting.deviations:
        rows = [(d.what, d.paper, deviation_ours(d), d.source) for d in data.setting.deviations]
        lines += [
            "## What differs from the paper's setting",
            "",
            *_table(("what", "paper", "here", "source"), rows),
            "",
        ]
    lines += ["## How it was measured", "", *(f"- {_safe(k)}: {_safe(v)}" for k, v in measurement_facts(data)), ""]
    return "\n".join(lines)


def _ablation(data: ReportData) -> list[str]:
    lines = []
    for split in data.splits:
        rows = [row.cells for row in ablation_table(data, split, data.headline)]
        title = f"{metric_title(data.headline)} on {split_title(split)}, percent"
        lines += [f"## {title}", "", *_table(ROW_HEADINGS, rows), ""]
    return lines


def _sweep(data: ReportData) -> list[str]:
    gains = gain_table(data, (data.headline,))
    parameters = parameter_table(data)
    return [
        "## The search",
        "",
        f"{GAIN_CAPTION}.",
        "",
        *_table(GAIN_HEADINGS, gains),
        "",
        _safe(start_sentence(data)),
        "",
        *_table(("parameter", "space", "starting point", "best trial"), parameters),
        "",
    ]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [[_safe(cell) for cell in row] for row in rows]
    lines = [headings, ["---"] * len(headings), *cells]
    return [f"| {' | '.join(line)} |" for line in lines]


def _safe(text: str) -> str:
    """Text from outside: no HTML, no table separators, no markup, one line."""
    flat = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*|\[\]#]|(?<!\w)_|_(?!\w))", r"\\\1", flat)
