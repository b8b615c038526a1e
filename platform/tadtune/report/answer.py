"""What the study found, in one sentence, and what its numbers may be compared with."""

from __future__ import annotations

from collections.abc import Iterable

from tadtune.report.data import AblationReport, ReportData, SweepReport
from tadtune.report.wording import count, gap, gap_interval, metric_title, plain_number, points, score
from tadtune.track.statistics import Difference


def data_notice(data: ReportData) -> str:
    """What kind of comparison with the paper this is; "" where there is no paper's table to compare with."""
    table = data.setting.table
    if table is None:
        return ""
    if data.setting.same_data:
        return f"Measured on {data.study.parts.dataset}, the data set of the paper's {_short_title(data)}."
    theirs = " and ".join(table.datasets) or "data it does not name"
    return (
        f"Not a reproduction: measured on {data.study.parts.dataset}, while the paper's {_short_title(data)} was "
        f"measured on {theirs}. Values cannot be compared; signs and order of differences can."
    )


def _short_title(data: ReportData) -> str:
    assert data.setting.table is not None, "a table"
    return data.setting.table.title.split(":", 1)[0]


def answer(data: ReportData) -> str:
    """One sentence."""
    counts = data.measurement.counts
    if counts["complete"] == 0:
        return "No trial has finished yet, so there is no answer."
    total = max(data.measurement.planned, sum(counts.values()))
    done = counts["complete"] + counts["pruned"]
    prefix = f"So far, with {done} of {total} trials finished: " if done < total else ""
    where = "" if data.setting.table is None or data.setting.same_data else f"on {data.study.parts.dataset} data, "
    if data.ablation is not None:
        body = _ablation(data, data.ablation)
    else:
        assert data.sweep is not None, "a sweep or an ablation"
        body = _sweep(data, data.sweep)
    text = f"{prefix}{where}{body}"
    return text[0].upper() + text[1:]


def _ablation(data: ReportData, ablation: AblationReport) -> str:
    name = f"test/{data.headline}"
    gaps = [row.differences[name] for row in ablation.rows if name in row.differences]
    printed = [g for g in gaps if g.sign_agrees is not None]
    title = metric_title(data.headline)
    if len(ablation.rows) == 1:
        return f"the study has one row, '{ablation.baseline}', and nothing to compare it with."
    if not gaps:
        return "no row has a finished seed in common with the baseline yet."
    if not printed:
        clear = sum(bool(g.excludes_zero) for g in gaps)
        rows = count(len(gaps), "row")
        verb = "differs" if clear == 1 else "differ"
        return f"{clear} of {rows} {verb} in {title} from '{ablation.baseline}' by more than {_chance(gaps)}."
    agreeing = [g for g in printed if g.sign_agrees]
    clear = sum(bool(g.excludes_zero) for g in agreeing)
    contrary = sum(bool(g.excludes_zero) for g in printed if not g.sign_agrees)
    text = (
        f"{len(agreeing)} of {count(len(printed), 'difference')} in {title} to '{ablation.baseline}' "
        f"{'has' if len(agreeing) == 1 else 'have'} the paper's sign{_clear(clear, len(agreeing), _chance(printed))}"
    )
    if contrary:
        text += f"; {contrary} {'is' if contrary == 1 else 'are'} clearly opposite"
    rank = ablation.rank.get(name)
    if rank is not None:
        tau = "" if rank.tau is None else f" (Kendall's tau-b {plain_number(rank.tau)})"
        text += f"; {rank.concordant} of {count(rank.pairs, 'pair')} of finished rows stand in the paper's order{tau}"
    return f"{text}."


def _clear(number: int, of: int, chance: str) -> str:
    if of == 0:
        return ""
    if of == 1:
        return f", by {'more' if number else 'no more'} than {chance}"
    shown = "none" if number == 0 else "all" if number == of else str(number)
    return f", {shown} of them by more than {chance}"


def _chance(gaps: Iterable[Difference]) -> str:
    """What an interval without zero rules out."""
    if any(len(gap.seeds) < 2 for gap in gaps):
        return "the choice of test videos explains (one seed: another may differ)"
    return "chance explains"


def _sweep(data: ReportData, sweep: SweepReport) -> str:
    title = metric_title(data.study.metric.name)
    if sweep.best is None or sweep.best.objective is None:
        return "no trial has a finite score, so there is no best one."
    complete = data.measurement.counts["complete"]
    if sweep.start is None or sweep.start.objective is None:
        return (
            f"the best of {complete} complete trials reaches {score(sweep.best.objective)} {title} on select; the "
            "starting point has no finished trial to compare it with."
        )
    if sweep.best is sweep.start:
        reached = f"{score(sweep.best.objective)} {title}"
        return f"none of {complete} complete trials beats the starting point on select ({reached})."
    split = "test_tuned" if data.tuned else "test"
    found = sweep.gains.get(f"{split}/{data.study.metric.name}")
    text = (
        f"the best of {complete} complete trials reaches {score(sweep.best.objective)} {title} on select, "
        f"{gap(sweep.best.objective - sweep.start.objective)} over the starting point"
    )
    if found is None:
        return f"{text}; test has no score of both."
    chance = _chance([found])
    verdict = {True: f"more than {chance}", False: f"no more than {chance}", None: "of unknown certainty"}
    shown = f"{gap(found.mean)} {gap_interval(found)}"
    return f"{text}; on test, which the search never saw, the difference is {shown}, {verdict[found.excludes_zero]}."


def start_sentence(data: ReportData) -> str:
    """What the starting point of a sweep has to do with the paper's setting."""
    changed = [d.what for d in data.setting.deviations if d.what.startswith(("detector.", "tasks."))]
    if not changed:
        return "The starting point has the paper's values."
    return f"The starting point has the paper's values except for {', '.join(changed)}."


def noise_sentence(data: ReportData) -> str:
    """What chance alone does with this many seeds."""
    noise = data.measurement.noise
    spread = f"Seeds of one configuration differ by {points(noise.sd)} points (standard deviation of {noise.source})"
    if noise.detectable is None:
        return (
            f"{spread}: 95 % of pairs of single runs of equal configurations differ by up to {points(noise.by_chance)}."
        )
    return (
        f"{spread}: {noise.seeds} seeds per row find true differences of {points(noise.detectable)} points and "
        "more (80 % power, 5 % level)."
    )
