"""The training loop."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from tzrec.checkpoint.store import RESULTS
from tzrec.data.batch import Batch
from tzrec.distributed import group
from tzrec.errors import TrainingError
from tzrec.log import logger
from tzrec.protos import data_pb2, train_pb2
from tzrec.run.evaluate import Evaluation, append, evaluate
from tzrec.run.listeners import Listener
from tzrec.run.metric_logger import MetricLogger
from tzrec.run.signals import Signals
from tzrec.run.training import Training


@dataclass
class Outcome:
    """How a run ended.

    Attributes:
        step: number of the last step.
        metrics: of the last evaluation.
        signal: what stopped it early, 0 if nothing did.
    """

    step: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    signal: int = 0


def train(run: Training, listeners: Sequence[Listener]) -> Outcome:
    """Train until the run is over, or a signal or the clock stops it; saves and evaluates on the way and at the end.

    Raises:
        TrainingError: a loss was not finite and `train_config.nonfinite_loss` says to stop.
    """
    meter = MetricLogger(run.goal)
    outcome, saved = Outcome(run.position.step), run.position.step
    with run, Signals() as signals:
        for batch, last in run.batches():
            run.begin_step()
            losses = run.losses(batch)
            agreed = sync_step(losses, batch.rows, signals.received > 0 or run.steering.late)
            if agreed.finite:  # before backward: the fused optimizers learn during it
                losses = run.apply_task_weights(losses, agreed.share(batch.rows))
                run.backward_and_step(losses, agreed.share(batch.rows))
                meter.add(losses, batch.rows, agreed.rows)
            else:
                _refuse(run, losses, batch)
            run.position = run.position.after(batch)
            if last:
                run.position = run.position.next_epoch()
            for listener in listeners:
                listener.on_step(run.position)
            step = run.position.step
            if step % run.session.config.train_config.log_step_count_steps == 0:
                log = meter.read(run.position, run.rates.last_lr(), run.online.values())
                for listener in listeners:
                    listener.on_log(log)
            if agreed.stop:
                outcome.signal = max(group.gather(signals.received))
                if not outcome.signal:
                    _say(run, ["stop   the minutes of train_config.max_minutes are over"])
                break
            if run.cadence.after_step(step) or (last and run.cadence.after_epoch(run.position.epochs)):
                saved = step
                meter.without(_save_and_evaluate(run, listeners, outcome, last=run.goal.is_reached(run.position)))
        if run.position.step > saved:
            _save_and_evaluate(run, listeners, outcome, last=True)
        run.wait()
    outcome.step = run.position.step
    return outcome


@dataclass(frozen=True)
class StepSync:
    """What all ranks know of a step before they learn from it.

    Attributes:
        finite: whether all losses on all ranks are.
        rows: rows of all ranks.
        stop: whether any rank was asked to stop, or its time is over.
        ranks: how many there are.
    """

    finite: bool
    rows: int
    stop: bool
    ranks: int

    def share(self, rows: int) -> float:
        """Rows of one rank in units of the average, so that the mean over ranks weighs every row the same."""
        return rows * self.ranks / max(self.rows, 1)


def sync_step(losses: Mapping[str, torch.Tensor], rows: int, stop: bool) -> StepSync:
    """One small exchange per step; none with a single rank."""
    finite = bool(torch.isfinite(torch.stack([loss.detach() for loss in losses.values()])).all())
    strange, all_rows, asked, ranks = group.total([not finite, rows, stop, 1])
    return StepSync(not strange, int(all_rows), asked > 0, int(ranks))


def _refuse(run: Training, losses: Mapping[str, torch.Tensor], batch: Batch) -> None:
    """Stop, or leave the step out; nothing has been changed by it."""
    strange = ", ".join(f"{name} {loss.item()}" for name, loss in losses.items() if not torch.isfinite(loss))
    named = "; ".join(f"rank {rank}: {each}" for rank, each in enumerate(group.gather(strange)) if each)
    before, after = run.position.cursor, batch.cursor
    text = (
        f"step {run.position.step + 1}: the loss is not finite ({named}). It was made of rows {before.row:,} to "
        f"{after.row:,} of pass {after.epoch + 1} in training order. No parameter has been changed by it"
    )
    if run.session.config.train_config.nonfinite_loss == train_pb2.STOP_TRAINING:
        raise TrainingError(
            f"{text}. Look for extreme values in these rows, lower the learning rates, or leave such steps out with "
            "train_config.nonfinite_loss: SKIP_STEP"
        )
    if run.session.rank_info.is_main:
        logger.warning("%s; left out", text)


def _save_and_evaluate(run: Training, listeners: Sequence[Listener], outcome: Outcome, last: bool) -> float:
    """Save, and evaluate unless a signal hurries; how many seconds that took from training."""
    began = time.perf_counter()
    saved = run.save(last)
    for listener in listeners:
        listener.on_save(saved)
    _report_bad_rows(run)
    if run.session.config.eval_input_path and not outcome.signal:
        evaluation = _evaluate(run)
        outcome.metrics = evaluation.metrics
        for listener in listeners:
            listener.on_evaluation(evaluation)
        # those of rank 0: on machines that differ in a last bit ranks must decide alike all the same
        _say(run, run.steering.on_evaluation(group.broadcast(dict(evaluation.metrics))))
    return time.perf_counter() - began


def _say(run: Training, lines: Sequence[str]) -> None:
    if run.session.rank_info.is_main:
        for line in lines:
            logger.info(line)


def _evaluate(run: Training) -> Evaluation:
    session = run.session
    loader = session.loader(session.config.eval_input_path, "eval")
    with run.evaluated_weights():
        evaluation = evaluate(session, loader, run.position.step)
    if session.rank_info.is_main:
        append(session.model_dir / RESULTS, evaluation)
    return evaluation


def _report_bad_rows(run: Training) -> None:
    """Log how many rows were bad so far, on all ranks together."""
    counts: Counter[str] = Counter()
    for rank in group.gather({f"{column}: {reason}": n for (column, reason), n in run.loader.bad.items()}):
        counts.update(rank)
    if counts and run.session.rank_info.is_main:
        what = ", ".join(f"{name} {n:,}" for name, n in counts.items())
        policy = data_pb2.BadRowPolicy.Name(run.session.config.data_config.bad_row_policy).lower()
        number, where = f"{sum(counts.values()):,}", run.loader.bad_rows_path
        logger.info("data   bad rows so far: %s (%s); policy %s; see %s", number, what, policy, where)
