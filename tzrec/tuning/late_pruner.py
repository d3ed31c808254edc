"""LatePruner: leave trials alone until they can be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna.pruners import BasePruner

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

_PART = 3


class LatePruner(BasePruner):
    """Asks another pruner when a trial has more than a third of the evaluations of the first trial.

    At the first evaluations the trials with the highest learning rates lead, whichever ends best.

    Args:
        pruner: to ask.
    """

    def __init__(self, pruner: BasePruner) -> None:
        self._pruner = pruner

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        first = study.get_trials(deepcopy=False)[0]
        num_evaluations = len(first.intermediate_values)
        if not first.state.is_finished() or _PART * len(trial.intermediate_values) <= num_evaluations:
            return False
        return self._pruner.prune(study, trial)
