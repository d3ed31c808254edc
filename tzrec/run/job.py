"""A whole training, from a checked config to files in model_dir; what the verb and the Python interface share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tzrec.checkpoint.lock import Lock
from tzrec.checkpoint.store import remove_leftovers
from tzrec.config.load import dump_config
from tzrec.log import logger
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run.evaluate import append, evaluate
from tzrec.run.listeners import Listener, Progress, TensorBoard, evaluation_line
from tzrec.run.reporting import Report
from tzrec.run.resume import agreed_checkpoint, find_resume_state
from tzrec.run.session import Session
from tzrec.run.train import Outcome, train
from tzrec.run.training import Training
from tzrec.version import __version__


def run_training(
    config: EasyRecConfig,
    continue_train: bool = False,
    ignore_restore_optimizer: bool = False,
    watching: Sequence[Listener] = (),
) -> Outcome:
    """Train and evaluate.

    Args:
        config: checked, with edits and flags in it.
        continue_train: go on from the last checkpoint in model_dir, if there is one.
        ignore_restore_optimizer: take weights alone from a checkpoint.
        watching: listeners besides the progress lines and TensorBoard; they are called on rank 0.

    Raises:
        CheckpointError: another process writes to model_dir, or a checkpoint is in the way, damaged or does not fit.
        DataError: the data cannot be read.
        TrainingError: a loss was not finite.
    """
    session = Session(config)
    lock = Lock(session.model_dir) if session.rank_info.is_main else None
    listeners: list[Listener] = []
    try:
        start = find_resume_state(config, continue_train, ignore_restore_optimizer, session.rank_info)
        if lock:
            remove_leftovers(session.model_dir)
            _write_config(config, session.model_dir)
            listeners = [*_listeners(config, session.model_dir), *watching]
        training = Training(session, start)
        session.describe()
        if training.over:
            logger.info("train  nothing left to do: step %d was the last one", training.position.step)
        return train(training, listeners)
    finally:
        for listener in listeners:
            listener.on_end()
        session.close()
        if lock:
            lock.release()


def run_evaluation(
    config: EasyRecConfig, checkpoint_path: str | None = None, result_filename: str = "eval_result.txt"
) -> Mapping[str, float]:
    """Evaluate a checkpoint on `eval_input_path`; all ranks together.

    Args:
        config: checked, with edits and flags in it.
        checkpoint_path: a checkpoint, or a model directory whose newest whole one is meant; by default model_dir.
        result_filename: file in model_dir to which rank 0 appends the result; its step is null for a named checkpoint.

    Returns:
        metrics and losses by name.

    Raises:
        CheckpointError: there is no checkpoint, or it is damaged or of another model.
        DataError: the data cannot be read.
    """
    session = Session(config)
    try:
        checkpoint = agreed_checkpoint(Path(checkpoint_path or config.model_dir), session.rank_info)
        loader = session.loader(config.eval_input_path, "eval")
        session.build()
        session.restore(checkpoint)
        evaluation = evaluate(session, loader, None if checkpoint_path else checkpoint.step)
        if session.rank_info.is_main:
            logger.info("model  %s\n%s", checkpoint.path, evaluation_line(evaluation))
            append(session.model_dir / result_filename, evaluation)
        return evaluation.metrics
    finally:
        session.close()


def _write_config(config: EasyRecConfig, model_dir: Path) -> None:
    """What this run really does, beside its results."""
    (model_dir / "pipeline.config").write_text(dump_config(config))
    (model_dir / "version").write_text(f"{__version__}\n")


def _listeners(config: EasyRecConfig, model_dir: Path) -> list[Listener]:
    found: list[Listener] = [Progress(), Report(model_dir, dump_config(config))]
    if config.train_config.use_tensorboard:
        found.append(TensorBoard(model_dir))
    return found
