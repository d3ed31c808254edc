"""Evaluation loop, and the files that keep its results."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import torch

from tzrec.checkpoint.store import EVAL_DATA
from tzrec.config.eval_split import is_held_out
from tzrec.data.atomic import append_lines
from tzrec.data.batch import Batch
from tzrec.data.loader import DataLoader
from tzrec.distributed import group
from tzrec.formatting import format_count
from tzrec.heads.eval_metrics import EvalMetrics
from tzrec.live_line import live_line
from tzrec.log import logger
from tzrec.metrics.base import State
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run.bad_row_log import log_bad_rows
from tzrec.run.evaluation_sample import EvaluationSample
from tzrec.run.session import Session
from tzrec.storage.path import AnyPath

DECIMALS = 6
_LINE_S = 60.0


@dataclass(frozen=True)
class Evaluation:
    """Metrics and losses over the rows of all ranks.

    Attributes:
        step: number of the last trained step; None for a checkpoint that was named by the user.
        metrics: metrics and losses by name, sorted, rounded to six decimals as they are written.
        num_rows: rows that were scored.
        seconds: duration.
        skipped_steps: number of training steps before it that were not applied.
        data: digest of the rows, see `eval_data_digest`; "" outside of a training run.
    """

    step: int | None
    metrics: Mapping[str, float]
    num_rows: int
    seconds: float
    skipped_steps: int = 0
    data: str = ""

    def to_json(self) -> str:
        """Format as one line of JSON: step, skipped steps and data if any, metrics by name; null if undefined."""
        skipped: dict[str, object] = {"skipped_steps": self.skipped_steps} if self.skipped_steps else {}
        skipped |= {EVAL_DATA: self.data} if self.data else {}
        values = {name: value if math.isfinite(value) else None for name, value in self.metrics.items()}
        return json.dumps({"global_step": self.step, **skipped, **values}, allow_nan=False)

    def __str__(self) -> str:
        """Format as a log line: `eval   step 1200  auc_ctr 0.6341  (200,000 rows, 61.0k/s)`."""
        step = "" if self.step is None else f"step {self.step}  "
        values = "  ".join(f"{name} {value:.4f}" for name, value in self.metrics.items())
        rate = format_count(self.num_rows / max(self.seconds, 1e-9))
        return f"eval   {step}{values}  ({self.num_rows:,} rows, {rate}/s)"


def evaluate_model(
    session: Session,
    loader: DataLoader,
    step: int | None,
    skipped_steps: int = 0,
    sample: EvaluationSample | None = None,
) -> Evaluation:
    """Evaluate the model of a session on the data of a loader. All ranks call this together and get the same result.

    Args:
        session: with a built model.
        loader: of the data; it is closed.
        step: last trained step; None for a checkpoint that was named by the user.
        skipped_steps: training steps before it that were not applied.
        sample: keeps some of the batches; None for no sample.
    """
    start = time.perf_counter()
    progress = _EvalProgress(step)
    with live_line.counting(progress.text):
        batches: Iterable[Batch] = first_steps(session.config, loader.epoch(), session.config.eval_config.num_steps)
        batches = sample.collect(batches) if sample else batches
        evaluated, num_rows = _score(session, ((batch, batch) for batch in progress.watch(batches)))
    loader.close()
    log_bad_rows(loader, session.config.data_config, num_rows, "evaluated")
    metrics = {name: round(value, DECIMALS) for name, value in evaluated.compute().items()}
    if session.rank_info.is_main:
        for name, remark in evaluated.remarks().items():
            logger.warning("%s: %s", name, remark)
        _warn_of_undefined(metrics, num_rows)
    return Evaluation(step, metrics, num_rows, time.perf_counter() - start, skipped_steps)


def first_steps(config: EasyRecConfig, batches: Iterator[Batch], num_steps: int) -> Iterator[Batch]:
    """Iterate over the batches of the first steps of an evaluation; 0 for all. All ranks iterate together.

    Where `eval_split` holds rows out, a step in which no rank has any of them does not count.
    """
    if num_steps and is_held_out(config):
        batches = (batch for batch in batches if group.any_rank(batch.rows > 0))
    return islice(batches, num_steps or None)


def eval_data_digest(session: Session, loader: DataLoader) -> str:
    """Compute a digest of the rows that evaluations read: values of the same rows compare.

    Args:
        session: of the run.
        loader: of the data of evaluations.
    """
    config = session.config
    split = config.data_config.eval_split.SerializeToString(deterministic=True) if is_held_out(config) else b""
    num_steps = config.eval_config.num_steps
    num_rows = num_steps * session.evaluation_batch_size * session.rank_info.world_size
    return loader.identity().digest(split, num_rows)


def _warn_of_undefined(metrics: Mapping[str, float], num_rows: int) -> None:
    """Warn of metrics and losses without a value."""
    undefined = [name for name, value in metrics.items() if math.isnan(value)]
    if undefined and not num_rows:
        logger.warning(
            "eval   no row was evaluated, so that all metrics are nan: see eval_input_path, data_config.eval_split, "
            "eval_config.num_steps, and the bad rows of the data"
        )
    elif undefined:
        logger.warning(
            "eval   %s: nan over %s rows, where it is not defined: labels are all alike, or scores not finite",
            ", ".join(undefined),
            f"{num_rows:,}",
        )


class _EvalProgress:
    """Counter of the rows of this rank: a line that moves on a terminal, else a line per minute."""

    def __init__(self, step: int | None) -> None:
        self._start = "eval   " + ("" if step is None else f"step {step}  ")
        self._num_rows = 0
        self._next_line = time.monotonic() + _LINE_S

    def text(self) -> str:
        return f"{self._start}{self._num_rows:,} rows"

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield batches unchanged, and count their rows."""
        for batch in batches:
            yield batch
            self._num_rows += batch.rows
            if time.monotonic() >= self._next_line and not live_line.is_live:
                self._next_line = time.monotonic() + _LINE_S
                logger.info("%s so far", self.text())


def score(session: Session, batches: Iterable[tuple[Batch, Batch]]) -> tuple[dict[str, float], int]:
    """Compute metrics and losses over the batches of all ranks.

    Args:
        session: with a built model.
        batches: for each batch, the features that the model reads and the batch with the true labels; often the same.

    Returns:
        Metrics and losses by name, and the number of rows of all ranks.
    """
    metrics, num_rows = _score(session, batches)
    return metrics.compute(), num_rows


def _score(session: Session, batches: Iterable[tuple[Batch, Batch]]) -> tuple[EvalMetrics, int]:
    """Add the batches of all ranks to new metrics."""
    metrics, num_rows = EvalMetrics(session.rec_model.heads), 0
    training = session.model.training
    session.model.eval()
    with torch.no_grad():
        for features, labels in batches:
            output, moved = session.forward(features)
            if labels.rows:
                labeled = moved if features is labels else labels.to(session.device)
                metrics.update(output.logits, output.auxiliary_losses, labeled)
                num_rows += labels.rows
            group.advance()
    session.model.train(training)
    metrics.merge(gather_metric_states(metrics.state()))
    return metrics, int(group.total([num_rows])[0])


def gather_metric_states(states: Mapping[str, State]) -> list[dict[str, State]]:
    """Exchange the states of this rank's metrics, by name; return those of every rank, in rank order."""
    return [_unflatten(state) for state in group.gather_states(_flatten(states))]


def append_evaluation(path: AnyPath, evaluation: Evaluation) -> None:
    """Append an evaluation to a file of results."""
    append_lines(path, [evaluation.to_json()])


def _flatten(states: Mapping[str, State]) -> dict[str, torch.Tensor]:
    return {f"{name}/{key}": value for name, state in states.items() for key, value in state.items()}


def _unflatten(flat: Mapping[str, torch.Tensor]) -> dict[str, State]:
    states: dict[str, State] = {}
    for path, value in flat.items():
        name, _, key = path.rpartition("/")
        states.setdefault(name, {})[key] = value
    return states
