"""One training step: applied on all ranks if losses and gradients of all of them allow it, else skipped or an error."""

from __future__ import annotations

import torch

from tzrec.data.batch import Batch
from tzrec.distributed import group
from tzrec.errors import DataError, TrainingError
from tzrec.log import logger
from tzrec.protos import train_pb2
from tzrec.run.step_sync import StepSync
from tzrec.run.trainer import Trainer


def apply_step(
    trainer: Trainer, losses: dict[str, torch.Tensor], batch: Batch, sync: StepSync
) -> dict[str, torch.Tensor] | None:
    """Update all parameters with the gradient of the losses of all ranks.

    Args:
        trainer: after its forward pass.
        losses: of this rank.
        batch: rows of this rank.
        sync: exchanged facts about the step.

    Returns:
        The losses that were minimized; None if the step was skipped.

    Raises:
        TrainingError: losses or gradients do not allow an update, and no further step may be skipped.
    """
    if not sync.is_finite:
        nonfinite = ", ".join(f"{name} {loss.item()}" for name, loss in losses.items() if not torch.isfinite(loss))
        _skip(trainer, batch, sync, "the loss is not finite", nonfinite)
        return None
    weight = sync.loss_weight(batch.rows)
    losses = trainer.apply_task_weights(losses, weight)
    problem = trainer.backward(losses, weight)
    if group.any_rank(bool(problem)):
        trainer.discard_gradients()
        _skip(trainer, batch, sync, "gradients are not finite, or too large for their squares", problem)
        return None
    trainer.step()
    trainer.skipped_steps = trainer.skipped_steps.after_step(sync.num_rows)
    return losses


def ensure_trained(trainer: Trainer) -> None:
    """Check at the end of a run that rows were trained, and that not most of its steps were skipped.

    Raises:
        DataError: all rows were left out as bad rows.
        TrainingError: more steps were skipped than applied.
    """
    skipped = trainer.skipped_steps
    # a resumed run may have had a single step left
    is_whole_run = skipped.num_applied + skipped.num_new == trainer.position.step + 1
    if is_whole_run and skipped.num_applied and not skipped.num_trained_rows:
        if not trainer.loader.bad_value_counts:
            raise DataError("no row was trained: data_config.eval_split holds all of them out, or there are none")
        raise DataError(
            "no row was trained: all rows of this run were left out as bad rows. Their columns and reasons are in "
            f"{trainer.loader.bad_rows_path}"
        )
    if skipped.num_new > skipped.num_applied and (is_whole_run or skipped.num_new > 1):
        raise TrainingError(
            f"of {skipped.num_new + skipped.num_applied:,} steps {skipped.num_new:,} were skipped: this run has not "
            "trained the model. Look for extreme values in the data, or lower the learning rates"
        )


def _skip(trainer: Trainer, batch: Batch, sync: StepSync, subject: str, detail: str) -> None:
    """Undo the forward pass, and raise or log a warning. No parameter was changed."""
    trainer.undo_forward()
    train, step = trainer.session.config.train_config, trainer.position.step + 1
    place = f"{_rows(trainer, batch)}{_largest_input(batch)}"
    message = f"step {step}: {subject} ({_details(detail)}) on {place}; no parameter was changed"
    if trainer.skipped_steps.num_consecutive == 0 and trainer.is_broken(should_check_gradients=True):
        raise TrainingError(
            f"{message}. The step before could not be applied again either, so the parameters are broken and not these "
            "rows: lower the learning rates. --continue_train starts from the last checkpoint"
        )
    if train.nonfinite_loss == train_pb2.STOP_TRAINING:
        raise TrainingError(
            f"{message}. Look for extreme values in these rows, lower the learning rates, or skip such steps with "
            "train_config.nonfinite_loss: SKIP_STEP"
        )
    trainer.skipped_steps = trainer.skipped_steps.after_skip(step, sync.num_rows)
    if trainer.skipped_steps.num_consecutive >= train.max_skipped_steps:
        raise TrainingError(
            f"{message}. {trainer.skipped_steps.num_consecutive:,} steps in a row were skipped, as many as "
            "train_config.max_skipped_steps allows: lower the learning rates, or look for extreme values in the data"
        )
    if trainer.session.rank_info.is_main:
        logger.warning("%s; skipped", message)


def _details(detail: str) -> str:
    """Describe the ranks on which losses or gradients are wrong."""
    return "; ".join(f"rank {rank}: {text}" for rank, text in enumerate(group.gather(detail)) if text)


def _largest_input(batch: Batch) -> str:
    """Describe the largest absolute value of the dense features of all ranks; "" if there are none."""
    if not batch.dense:
        return ""
    parts = [(name, values) for dense in batch.dense.values() for name, values in dense.to_dict().items()]
    values = [(values.abs().max().item(), name) for name, values in parts]
    largest, name = max(map(tuple, group.gather(max(values))))
    return f", largest input {name} {largest:.3g}"


def _rows(trainer: Trainer, batch: Batch) -> str:
    start, end = trainer.position.cursor, batch.cursor
    return f"rows {start.row:,} to {end.row:,} of epoch {end.epoch + 1}, in training order"
