"""What a study may plan with on a cluster whose workers come and go."""

from __future__ import annotations

import pytest
import ray
from ray._private.state import state

from tadtune.run.preflight import fitting_trials
from tadtune.run.session import ray_session
from tadtune.spec.study import Resources


@pytest.mark.parametrize(
    ("now", "limits", "reachable"),
    [
        ({"memory": 8.0}, {"CPU": 160, "GPU": 20}, {"memory": 8.0, "CPU": 160.0, "GPU": 20.0}),
        ({"CPU": 8.0, "GPU": 1.0}, {"CPU": 160, "GPU": 20}, {"CPU": 160.0, "GPU": 20.0}),
        # the configuration speaks of nothing, or of less than a person has added by hand
        ({"CPU": 4.0}, None, {"CPU": 4.0}),
        ({"CPU": 4.0, "GPU": 2.0}, {"CPU": 2, "GPU": 0}, {"CPU": 4.0, "GPU": 2.0}),
    ],
)
def test_the_larger_of_what_is_there_and_what_may_come(
    monkeypatch: pytest.MonkeyPatch, now: dict[str, float], limits: dict[str, int] | None, reachable: dict[str, float]
) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "cluster_resources", lambda: now)
    monkeypatch.setattr(state, "get_max_resources_from_cluster_config", lambda: limits)
    with ray_session("10.0.0.1:6379", dashboard=False) as resources:
        assert resources == reachable


def test_a_study_starts_on_a_cluster_that_has_scaled_to_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"memory": 8.0})
    monkeypatch.setattr(state, "get_max_resources_from_cluster_config", lambda: {"CPU": 160, "GPU": 20})
    with ray_session("10.0.0.1:6379", dashboard=False) as resources:
        assert fitting_trials(Resources(cpus=4, gpus=1), resources) == 20
