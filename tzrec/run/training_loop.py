"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from tzrec.checkpoint.store import RESULTS
from tzrec.config.eval_split import evaluation_path
from tzrec.distributed import group
from tzrec.log import logger, side_output
from tzrec.run.bad_row_log import log_bad_rows
from tzrec.run.evaluation import append_evaluation, eval_data_digest, evaluate_model
from tzrec.run.listeners import Listener
from tzrec.run.metric_logger import MetricLogger, StepLog
from tzrec.run.signals import Signals
from tzrec.run.skipped_steps import SkippedSteps
from tzrec.run.step import apply_step, ensure_trained
from tzrec.run.step_sync import sync_step
from tzrec.run.trainer import Trainer


@dataclass
class Outcome:
    """Result of a training run.

    Attributes:
        step: number of the last step.
        metrics: of the last evaluation.
        signal: number of the signal that stopped the run, 0 if none did.
        skipped: steps that were not applied, of this run and those that it continues.
        seconds: duration of the loop.
        stage_seconds: time of rank 0 by stage, see `StageTimer`.
        bad_rows: number of bad values of all ranks by "column: reason".
    """

    step: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    signal: int = 0
    skipped: SkippedSteps = SkippedSteps()  # noqa: RUF009 - frozen
    seconds: float = 0.0
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    bad_rows: Mapping[str, int] = field(default_factory=dict)


def run_training_loop(trainer: Trainer, listeners: Sequence[Listener], signals: Signals) -> Outcome:
    """Train until the stop condition, a signal or the time limit is reached, with checkpoints and evaluations.

    Raises:
        TrainingError: losses, gradients or the state were not finite, and the step may not be skipped.
    """
    metric_logger = MetricLogger(trainer.stop_condition, lambda: trainer.control.seconds_left)
    outcome, saved_step, timer = Outcome(trainer.position.step), trainer.position.step, trainer.timer
    start = time.perf_counter()
    timer.start()
    with signals, group.naming_lost_ranks():
        if trainer.lacks_evaluation:
            _evaluate(trainer, listeners, outcome, trainer.counts_evaluation)
        for listener in listeners:
            listener.on_loop(partial(_current_log, trainer, metric_logger))
        for current in trainer.steps():
            batch = current.batch
            timer.lap("data")
            trainer.begin_step()
            losses = trainer.compute_losses(batch)
            timer.lap("forward")
            trainer.pipeline.advance()
            group.arrive("the step sync", trainer.position.step + 1)
            sync = sync_step(losses, batch.rows, signals.received > 0 or trainer.should_stop)
            timer.lap("exchange")
            minimized = apply_step(trainer, losses, batch, sync)
            if minimized is not None:
                metric_logger.update(minimized, batch.rows)
            else:
                for listener in listeners:
                    listener.on_skip(trainer.skipped_steps)
            trainer.position = current.after
            metric_logger.count(trainer.position, sync.num_rows if minimized is not None else 0)
            for listener in listeners:
                listener.on_step(trainer.position)
            step = trainer.position.step
            if step % trainer.session.config.train_config.log_step_count_steps == 0:
                log = metric_logger.compute(
                    trainer.position,
                    trainer.learning_rates.last_lr(),
                    trainer.train_metrics.values(),
                    trainer.seconds(),
                )
                for listener in listeners:
                    listener.on_log(log)
            timer.lap("log")
            if sync.should_stop:
                trainer.wait()  # raises if saving has failed too often
                outcome.signal = max(group.gather(signals.received))
                if not outcome.signal:
                    _log_on_main(trainer, ["stop   train_config.max_minutes is over"])
                break
            if trainer.cadence.is_due(trainer.position):
                saved_step = step
                is_final = trainer.stop_condition.is_reached(trainer.position)
                metric_logger.exclude(_save_and_evaluate(trainer, listeners, outcome, is_final))
        trainer.pipeline.close()
        if not outcome.signal:
            ensure_trained(trainer)
        if trainer.position.step > saved_step:
            _save_and_evaluate(trainer, listeners, outcome, is_final=True)
        trainer.finish()
    timer.lap("save")
    outcome.step, outcome.skipped = trainer.position.step, trainer.skipped_steps
    outcome.seconds, outcome.stage_seconds = time.perf_counter() - start, trainer.seconds()
    return outcome


def _current_log(trainer: Trainer, metric_logger: MetricLogger) -> StepLog:
    return metric_logger.current(trainer.position, trainer.learning_rates.last_lr(), trainer.train_metrics.values())


def _save_and_evaluate(trainer: Trainer, listeners: Sequence[Listener], outcome: Outcome, is_final: bool) -> float:
    """Save a checkpoint and evaluate, without evaluation after a signal; return the seconds that training waited."""
    start = time.perf_counter()
    group.arrive("the save", trainer.position.step)
    saved = trainer.save(is_final)
    for listener in listeners:
        listener.on_save(saved)
    num_rows = trainer.skipped_steps.num_trained_rows
    data = trainer.session.config.data_config
    outcome.bad_rows = log_bad_rows(trainer.loader, data, num_rows, "trained on")
    trainer.timer.lap("save")
    if trainer.skipped_steps.num_steps:
        _log_on_main(trainer, [f"skip   {trainer.skipped_steps}"])
    if evaluation_path(trainer.session.config) and not outcome.signal:
        _evaluate(trainer, listeners, outcome)
    return time.perf_counter() - start


def _log_on_main(trainer: Trainer, lines: Sequence[str]) -> None:
    if trainer.session.rank_info.is_main:
        for line in lines:
            logger.info(line)


def _evaluate(trainer: Trainer, listeners: Sequence[Listener], outcome: Outcome, is_counted: bool = True) -> None:
    """Evaluate the model and append the result; early stopping and learning rate reduction see it if it is counted."""
    session = trainer.session
    group.arrive("the evaluation", trainer.position.step)
    loader = session.evaluation_loader()
    data = eval_data_digest(session, loader) if session.rank_info.is_main else ""
    with trainer.evaluation_weights():
        evaluation = evaluate_model(
            session, loader, trainer.position.step, trainer.skipped_steps.num_steps, trainer.evaluation_sample
        )
    if session.rank_info.is_main:
        path = session.model_dir / RESULTS
        with side_output(path):
            append_evaluation(path, replace(evaluation, data=data))
    outcome.metrics = evaluation.metrics
    for listener in listeners:
        listener.on_evaluation(evaluation)
    if is_counted:
        # metrics of rank 0 on all ranks: machines may differ in the last bit, but ranks must decide alike
        _log_on_main(trainer, trainer.control.on_evaluation(group.broadcast(dict(evaluation.metrics))))
    trainer.timer.lap("evaluation")
