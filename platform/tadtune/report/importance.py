"""Which parameters matter, from the records of a sweep."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

from tadtune.report.data import Importances, SweepTrial
from tadtune.spec.study import Study

#: Complete trials below which a share would say more about chance than about the parameter.
MIN_TRIALS = 8


def importances(study: Study, trials: Sequence[SweepTrial]) -> Importances:
    """PED-ANOVA importances of the sampled parameters.

    Source: Watanabe et al. 2023, "PED-ANOVA: Efficiently quantifying hyperparameter importance in arbitrary
    subspaces", as implemented by Optuna, on a study in memory that is built from the records.

    Args:
        study: a sweep.
        trials: of the sweep.
    """
    assert study.sweep is not None, "a sweep"
    complete = [t for t in trials if t.status == "complete" and t.objective is not None and math.isfinite(t.objective)]
    if len(complete) < MIN_TRIALS:
        return Importances({}, f"{len(complete)} complete trials; importances need {MIN_TRIALS}")
    if len({trial.objective for trial in complete}) < 2:
        return Importances({}, "every complete trial has the same score")
    import optuna

    from tadtune.search.optuna_parts import direction, distribution, start_point

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {p.path: distribution(p) for p in study.sweep.space}
    memory = optuna.create_study(direction=direction(study.metric))
    for trial in complete:
        params = start_point(study.sweep.space, trial.config)
        memory.add_trial(
            optuna.trial.create_trial(
                value=trial.objective, params=params, distributions={path: distributions[path] for path in params}
            )
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        shares = optuna.importance.get_param_importances(memory, evaluator=evaluator)
    finite = {path: float(share) for path, share in shares.items() if math.isfinite(share)}
    if not finite:
        return Importances({}, "no parameter was sampled in every complete trial")
    return Importances(dict(sorted(finite.items(), key=lambda item: -item[1])))
