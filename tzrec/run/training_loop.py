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
from tzrec.run.evaluation import Evaluation, append_evaluation, evaluate_model
from tzrec.run.listeners import Listener
from tzrec.run.metric_logger import MetricLogger
from tzrec.run.signals import Signals
from tzrec.run.trainer import Trainer


@dataclass
class Outcome:
    """Result of a training run.

    Attributes:
        step: number of the last step.
        metrics: of the last evaluation.
        signal: number of the signal that stopped the run, 0 if none did.
    """

    step: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    signal: int = 0


def run_training_loop(trainer: Trainer, listeners: Sequence[Listener]) -> Outcome:
    """Train until the stop condition, a signal or the time limit is reached, with checkpoints and evaluations.

    Raises:
        TrainingError: a loss was not finite and `train_config.nonfinite_loss` is STOP_TRAINING.
    """
    metric_logger = MetricLogger(trainer.stop_condition)
    outcome, saved_step = Outcome(trainer.position.step), trainer.position.step
    with Signals() as signals:
        for batch, is_last in trainer.batches():
            trainer.begin_step()
            losses = trainer.compute_losses(batch)
            sync = sync_step(losses, batch.rows, signals.received > 0 or trainer.control.is_time_over)
            if sync.is_finite:  # before backward, during which fused optimizers update their tables
                weight = sync.loss_weight(batch.rows)
                losses = trainer.apply_task_weights(losses, weight)
                trainer.backward_and_step(losses, weight)
                metric_logger.update(losses, batch.rows, sync.num_rows)
            else:
                _handle_nonfinite_losses(trainer, losses, batch)
            trainer.position = trainer.position.after(batch)
            if is_last:
                trainer.position = trainer.position.next_epoch()
            for listener in listeners:
                listener.on_step(trainer.position)
            step = trainer.position.step
            if step % trainer.session.config.train_config.log_step_count_steps == 0:
                log = metric_logger.compute(
                    trainer.position, trainer.learning_rates.last_lr(), trainer.train_metrics.values()
                )
                for listener in listeners:
                    listener.on_log(log)
            if sync.should_stop:
                outcome.signal = max(group.gather(signals.received))
                if not outcome.signal:
                    _log_on_main(trainer, ["stop   train_config.max_minutes is over"])
                break
            if trainer.cadence.after_step(step) or (is_last and trainer.cadence.after_epoch(trainer.position.epochs)):
                saved_step = step
                is_final = trainer.stop_condition.is_reached(trainer.position)
                metric_logger.exclude(_save_and_evaluate(trainer, listeners, outcome, is_final))
        if trainer.position.step > saved_step:
            _save_and_evaluate(trainer, listeners, outcome, is_final=True)
        trainer.wait()
    outcome.step = trainer.position.step
    return outcome


@dataclass(frozen=True)
class StepSync:
    """Facts about a step that all ranks exchange before its backward pass.

    Attributes:
        is_finite: all losses of all ranks are finite.
        num_rows: rows of all ranks.
        should_stop: at least one rank received a signal or reached its time limit.
        num_ranks: number of ranks.
    """

    is_finite: bool
    num_rows: int
    should_stop: bool
    num_ranks: int

    def loss_weight(self, num_rows: int) -> float:
        """Rows of one rank divided by the mean over ranks, so that averaged gradients weigh every row the same."""
        return num_rows * self.num_ranks / max(self.num_rows, 1)


def sync_step(losses: Mapping[str, torch.Tensor], num_rows: int, should_stop: bool) -> StepSync:
    """Exchange the facts about a step, in one small collective operation; without any on a single rank."""
    is_finite = bool(torch.isfinite(torch.stack([loss.detach() for loss in losses.values()])).all())
    num_nonfinite, total_rows, num_stops, num_ranks = group.total([not is_finite, num_rows, should_stop, 1])
    return StepSync(not num_nonfinite, int(total_rows), num_stops > 0, int(num_ranks))


def _handle_nonfinite_losses(trainer: Trainer, losses: Mapping[str, torch.Tensor], batch: Batch) -> None:
    """Raise or log a warning, depending on `train_config.nonfinite_loss`. No parameter was changed."""
    nonfinite = ", ".join(f"{name} {loss.item()}" for name, loss in losses.items() if not torch.isfinite(loss))
    losses_by_rank = "; ".join(f"rank {rank}: {text}" for rank, text in enumerate(group.gather(nonfinite)) if text)
    start, end = trainer.position.cursor, batch.cursor
    message = (
        f"step {trainer.position.step + 1}: the loss is not finite ({losses_by_rank}) on rows "
        f"{start.row:,} to {end.row:,} of epoch {end.epoch + 1}, in training order; no parameter was changed"
    )
    if trainer.session.config.train_config.nonfinite_loss == train_pb2.STOP_TRAINING:
        raise TrainingError(
            f"{message}. Look for extreme values in these rows, lower the learning rates, or skip such steps with "
            "train_config.nonfinite_loss: SKIP_STEP"
        )
    if trainer.session.rank_info.is_main:
        logger.warning("%s; skipped", message)


def _save_and_evaluate(trainer: Trainer, listeners: Sequence[Listener], outcome: Outcome, is_final: bool) -> float:
    """Save a checkpoint and evaluate, without evaluation after a signal; return the seconds that training waited."""
    start = time.perf_counter()
    saved = trainer.save(is_final)
    for listener in listeners:
        listener.on_save(saved)
    _log_bad_rows(trainer)
    if trainer.session.config.eval_input_path and not outcome.signal:
        evaluation = _evaluate(trainer)
        outcome.metrics = evaluation.metrics
        for listener in listeners:
            listener.on_evaluation(evaluation)
        # metrics of rank 0 on all ranks: machines may differ in the last bit, but ranks must decide alike
        _log_on_main(trainer, trainer.control.on_evaluation(group.broadcast(dict(evaluation.metrics))))
    return time.perf_counter() - start


def _log_on_main(trainer: Trainer, lines: Sequence[str]) -> None:
    if trainer.session.rank_info.is_main:
        for line in lines:
            logger.info(line)


def _evaluate(trainer: Trainer) -> Evaluation:
    session = trainer.session
    loader = session.loader(session.config.eval_input_path, "eval")
    with trainer.evaluation_weights():
        evaluation = evaluate_model(session, loader, trainer.position.step)
    if session.rank_info.is_main:
        append_evaluation(session.model_dir / RESULTS, evaluation)
    return evaluation


def _log_bad_rows(trainer: Trainer) -> None:
    """Log the number of bad rows of all ranks so far."""
    counts: Counter[str] = Counter()
    for rank in group.gather(
        {f"{column}: {reason}": n for (column, reason), n in trainer.loader.bad_value_counts.items()}
    ):
        counts.update(rank)
    if counts and trainer.session.rank_info.is_main:
        reasons = ", ".join(f"{name} {n:,}" for name, n in counts.items())
        policy = data_pb2.BadRowPolicy.Name(trainer.session.config.data_config.bad_row_policy).lower()
        total, path = f"{sum(counts.values()):,}", trainer.loader.bad_rows_path
        logger.info("data   bad rows so far: %s (%s); policy %s; see %s", total, reasons, policy, path)
