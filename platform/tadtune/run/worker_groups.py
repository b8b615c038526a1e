"""Gives back what a trial's group of Ray Train workers holds, the moment the trial is stopped.

Ray Train leaves that to a process of its own that asks the dashboard once a second whether the group's controller is
alive. Where no dashboard answers, or where two Rays run on one machine, that process fails, and the processors and GPUs
of a pruned trial stay taken for good.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray import tune

#: Key of a report under which a worker names its placement group.
GROUP = "placement_group"


def own_group() -> dict[str, str]:
    """What a worker adds to its report."""
    from ray.util import get_current_placement_group

    group = get_current_placement_group()
    return {} if group is None else {GROUP: group.id.hex()}


class WorkerGroups(tune.Callback):  # type: ignore[misc, unused-ignore]
    """Removes the placement group of every trial that has ended; its processes end with it.

    A group that Ray Train has removed already is removed once more without effect. The sampler and the record have been
    told before: what the processes say while they end changes nothing.
    """

    def __init__(self) -> None:
        self._groups: dict[str, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing is saved with Tune's own state, which is not used."""
        return {}

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Mapping[str, Any], **info: Any) -> None:
        """Called by Tune."""
        if GROUP in result:
            self._groups[trial.trial_id] = result[GROUP]

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Called by Tune, also for a trial that it is about to stop."""
        self._remove(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Called by Tune."""
        self._remove(trial.trial_id)

    def _remove(self, trial_id: str) -> None:
        from ray.util import remove_placement_group
        from ray.util.placement_group import PlacementGroup, PlacementGroupID

        group = self._groups.pop(trial_id, None)
        if group is not None:
            remove_placement_group(PlacementGroup(PlacementGroupID.from_hex(group)))
