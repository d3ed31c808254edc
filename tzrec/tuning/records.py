"""TrialRecord: a trial of a study, as tables, plots and the choice of the best read it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tzrec.data.atomic import write_text
from tzrec.tuning.space import Space, Value
from tzrec.tuning.storage import IS_START

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

State = Literal["complete", "pruned", "failed", "running"]
ERROR, SECONDS, VALUE, SURPLUS = "error", "seconds", "value", "surplus"
"""Attributes of trials in the storage."""
MIN_TRIALS = 10
"""Complete trials from which on the importance of parameters is estimated."""


@dataclass(frozen=True)
class TrialRecord:
    """Trial of a study.

    Attributes:
        number: from 0.
        state: "complete", "pruned" behind others, "failed" with an error, or "running".
        value: metric of its model; of a pruned one that of the last evaluation; None without one.
        params: values by name of the parameter; empty for a starting config outside of the space.
        seconds: duration; 0 while it runs.
        error: reason of a failure; "" without one.
        evaluations: metric after each evaluation.
    """

    number: int
    state: State
    value: float | None
    params: Mapping[str, Value]
    seconds: float = 0.0
    error: str = ""
    evaluations: Sequence[float] = field(default=())

    @property
    def is_complete(self) -> bool:
        return self.state == "complete"


def read_records(study: Study) -> list[TrialRecord]:
    """Return all trials of a study that have started, by number."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    return [_record(trial) for trial in trials if trial.state != TrialState.WAITING and SURPLUS not in trial.user_attrs]


def _record(trial: FrozenTrial) -> TrialRecord:
    from optuna.trial import TrialState

    states: Mapping[TrialState, State] = {
        TrialState.COMPLETE: "complete",
        TrialState.PRUNED: "pruned",
        TrialState.FAIL: "failed",
        TrialState.RUNNING: "running",
    }
    state, value = states[trial.state], trial.user_attrs.get(VALUE)
    if trial.user_attrs.get(IS_START) and state == "failed" and value is not None:
        state = "complete"  # kept from the sampler, which needs values of all parameters
    evaluations = [trial.intermediate_values[step] for step in sorted(trial.intermediate_values)]
    if value is None and state == "pruned" and evaluations:
        value = evaluations[-1]
    return TrialRecord(
        trial.number,
        state,
        value,
        dict(trial.params),
        trial.user_attrs.get(SECONDS, 0.0),
        trial.user_attrs.get(ERROR, ""),
        evaluations,
    )


def ranked(records: Sequence[TrialRecord], is_maximized: bool) -> list[TrialRecord]:
    """Return the complete trials, the best first, of equals the first one."""
    sign = -1 if is_maximized else 1
    scored = [(record.value, record) for record in records if record.is_complete and record.value is not None]
    return [record for _, record in sorted(scored, key=lambda item: (sign * item[0], item[1].number))]


def importances(study: Study) -> dict[str, float]:
    """Return the share of each parameter in the differences between trials, the largest first; empty if unknown."""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    if len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) < MIN_TRIALS:
        return {}
    try:
        shares = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    except (ValueError, RuntimeError):  # all have the same value
        return {}
    return {name: share for name, share in shares.items() if math.isfinite(share)}


def write_csv(path: Path, records: Sequence[TrialRecord], space: Space, metric: str) -> None:
    """Write a table of trials, with a header."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    names = [parameter.name for parameter in space.parameters]
    writer.writerow(["trial", "state", metric, "seconds", "evaluations", *names, "error"])
    for record in records:
        value = "" if record.value is None else f"{record.value:.6f}"
        values = [p.text(record.params[p.name]) if p.name in record.params else "" for p in space.parameters]
        head = [record.number, record.state, value, f"{record.seconds:.1f}", len(record.evaluations)]
        writer.writerow([*head, *values, record.error])
    write_text(path, stream.getvalue())
