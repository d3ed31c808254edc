"""The evaluation loop, and the files its results go to."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

from tzrec.data.batch import Batch
from tzrec.data.loader import DataLoader
from tzrec.distributed import group
from tzrec.heads.eval_metrics import EvalMetrics
from tzrec.metrics.base import State
from tzrec.run.session import Session

DECIMALS = 6


@dataclass(frozen=True)
class Evaluation:
    """Metrics and losses by name, sorted, over the rows of all ranks.

    Attributes:
        step: number of the step that was last trained; None where it is not known.
        metrics: rounded to six decimals, as they are written.
        rows: how many were scored.
        seconds: how long it took.
    """

    step: int | None
    metrics: Mapping[str, float]
    rows: int
    seconds: float

    def line(self) -> str:
        """One line of JSON: the step, then the metrics by name; null where one is not defined."""
        values = {name: value if math.isfinite(value) else None for name, value in self.metrics.items()}
        return json.dumps({"global_step": self.step, **values}, allow_nan=False)


def evaluate(session: Session, loader: DataLoader, step: int | None) -> Evaluation:
    """Score the data of a loader; all ranks call it together and get the same result."""
    began = time.perf_counter()
    limit = session.config.eval_config.num_steps or None
    exact, rows = score(session, ((batch, batch) for batch in islice(loader.epoch(), limit)))
    loader.close()
    metrics = {name: round(value, DECIMALS) for name, value in exact.items()}
    return Evaluation(step, metrics, rows, time.perf_counter() - began)


def score(session: Session, batches: Iterable[tuple[Batch, Batch]]) -> tuple[dict[str, float], int]:
    """Metrics and losses by name, and rows, of all ranks; of each batch first what the model sees, then the truth."""
    scores, rows = EvalMetrics(session.rec_model.heads), 0
    training = session.model.training
    session.model.eval()
    with torch.no_grad():
        for seen, batch in batches:
            output, moved = session.forward(seen)
            if batch.rows:
                labelled = moved if seen is batch else batch.to(session.device)
                scores.update(output.logits, output.auxiliary_losses, labelled)
                rows += batch.rows
    session.model.train(training)
    scores.merge(of_all_ranks(scores.state()))
    return scores.compute(), int(group.total([rows])[0])


def of_all_ranks(states: Mapping[str, State]) -> list[dict[str, State]]:
    """From the states of this rank's metrics, by name, to those of every rank, in rank order."""
    return [_nested(state) for state in group.gather_states(_flat(states))]


def append(path: Path, evaluation: Evaluation) -> None:
    """Add an evaluation to a file of results."""
    with path.open("a") as stream:
        stream.write(evaluation.line() + "\n")


def _flat(states: Mapping[str, State]) -> dict[str, torch.Tensor]:
    return {f"{name}/{key}": value for name, state in states.items() for key, value in state.items()}


def _nested(flat: Mapping[str, torch.Tensor]) -> dict[str, State]:
    states: dict[str, State] = {}
    for path, value in flat.items():
        name, _, key = path.rpartition("/")
        states.setdefault(name, {})[key] = value
    return states
