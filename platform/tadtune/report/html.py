"""The report as one HTML page that needs no network: styles, figures and Plotly itself are inside."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tadtune.report.ablation_figures import ablation_figures
from tadtune.report.answer import answer, data_notice, noise_sentence, start_sentence
from tadtune.report.data import ReportData
from tadtune.report.evidence_figures import class_figure, class_table, timeline_figures, timeline_legend
from tadtune.report.facts import deviation_ours, measurement_facts, parameter_table
from tadtune.report.sweep_figures import history_figure, importance_figure, parameter_figures
from tadtune.report.table import (
    GAIN_CAPTION,
    GAIN_HEADINGS,
    ablation_table,
    all_metrics_table,
    gain_table,
)
from tadtune.report.wording import metric_title, split_title


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("tadtune.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _plotly() -> Markup:
    """Plotly's script, made safe to stand inside a page."""
    from plotly.offline import get_plotlyjs

    return Markup(get_plotlyjs().replace("</script", "<\\/script"))


def render_html(data: ReportData) -> str:
    """The whole page."""
    environment = _environment()
    loader = environment.loader
    assert isinstance(loader, PackageLoader), "the loader given above"
    styles, script = (Markup(loader.get_source(environment, name)[0]) for name in ("report.css", "report.js"))
    ablation, sweep = data.ablation, data.sweep
    splits = [(split, split_title(split)) for split in data.splits]
    others = tuple(metric for metric in data.metrics if metric != data.headline)
    return environment.get_template("report.html").render(
        study=data.study,
        answer=answer(data),
        notice=data_notice(data),
        same_data=data.setting.same_data,
        warnings=data.warnings,
        table=data.setting.table,
        headline=metric_title(data.headline),
        row_tables=[(title, ablation_table(data, split, data.headline)) for split, title in splits if ablation],
        all_metrics=[(title, all_metrics_table(data, split)) for split, title in splits if ablation],
        metric_titles=[metric_title(metric) for metric in data.metrics],
        gain_caption=GAIN_CAPTION,
        gain_headings=GAIN_HEADINGS,
        gains=gain_table(data, (data.headline,)) if sweep else [],
        all_gains=gain_table(data, others) if sweep else [],
        parameters=parameter_table(data) if sweep else [],
        ablation_figures=ablation_figures(data, ablation) if ablation else [],
        history=history_figure(data, sweep) if sweep else None,
        importances=importance_figure(sweep) if sweep else None,
        no_importances=sweep.importances.reason if sweep else "",
        parameter_figures=parameter_figures(data, sweep) if sweep else [],
        classes=class_figure(data.evidence),
        every_class=class_table(data.evidence),
        timelines=timeline_figures(data.evidence),
        timeline_legend=timeline_legend(data.evidence),
        deviations=[(d, deviation_ours(d)) for d in data.setting.deviations],
        inferred=any(row.note == "inferred" for row in ablation.rows) if ablation else False,
        noise=noise_sentence(data),
        start=start_sentence(data) if sweep else "",
        facts=measurement_facts(data),
        styles=styles,
        script=script,
        plotly=_plotly(),
    )
