"""A whole training, from a checked config to files in model_dir; what the verb and the Python interface share."""

from __future__ import annotations

from pathlib import Path

import tzrec
from tzrec.checkpoint.lock import Lock
from tzrec.checkpoint.store import remove_leftovers
from tzrec.config.load import dump_config
from tzrec.log import logger
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run.listeners import Listener, Progress, TensorBoard
from tzrec.run.session import Session
from tzrec.run.start import find_start
from tzrec.run.train import Outcome, train
from tzrec.run.training import Training


def run_training(
    config: EasyRecConfig, continue_train: bool = False, ignore_restore_optimizer: bool = False
) -> Outcome:
    """Train and evaluate.

    Args:
        config: checked, with edits and flags in it.
        continue_train: go on from the last checkpoint in model_dir, if there is one.
        ignore_restore_optimizer: take weights alone from a checkpoint.

    Raises:
        CheckpointError: another process writes to model_dir, or a checkpoint is in the way, damaged or does not fit.
        DataError: the data cannot be read.
        TrainingError: a loss was not finite.
    """
    session = Session(config)
    lock = Lock(session.model_dir) if session.place.is_chief else None
    listeners: list[Listener] = []
    try:
        start = find_start(config, continue_train, ignore_restore_optimizer, session.place)
        if lock:
            remove_leftovers(session.model_dir)
            _write_config(config, session.model_dir)
            listeners = _listeners(config, session.model_dir)
        training = Training(session, start)
        session.describe()
        if training.goal.reached(training.position):
            logger.info("train  nothing left to do: step %d was the last one", training.position.step)
        return train(training, listeners)
    finally:
        for listener in listeners:
            listener.finished()
        session.close()
        if lock:
            lock.release()


def _write_config(config: EasyRecConfig, model_dir: Path) -> None:
    """What this run really does, beside its results."""
    (model_dir / "pipeline.config").write_text(dump_config(config))
    (model_dir / "version").write_text(f"{tzrec.__version__}\n")


def _listeners(config: EasyRecConfig, model_dir: Path) -> list[Listener]:
    found: list[Listener] = [Progress()]
    if config.train_config.use_tensorboard:
        found.append(TensorBoard(model_dir))
    return found
