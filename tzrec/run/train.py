"""Train a model: the function behind `tzrec train` and `tzrec.train`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from tzrec.checkpoint.lease import lock_directory
from tzrec.checkpoint.store import remove_unfinished, repeat_from
from tzrec.config.load import dump_config
from tzrec.data.atomic import write_text
from tzrec.live_line import live_line
from tzrec.log import logger
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run.analysis import write_analysis
from tzrec.run.facts import run_facts
from tzrec.run.inputs import ensure_inputs
from tzrec.run.listeners import Listener, TensorBoard
from tzrec.run.mlflow_tracker import MlflowTracker
from tzrec.run.profile_writer import ProfileWriter
from tzrec.run.progress import Progress
from tzrec.run.prometheus_file import PrometheusFile
from tzrec.run.recorder import Recorder
from tzrec.run.reporting import Report
from tzrec.run.resume import find_resume_state
from tzrec.run.session import Session
from tzrec.run.signals import Signals
from tzrec.run.trainer import Trainer
from tzrec.run.training_loop import Outcome, run_training_loop
from tzrec.storage.path import AnyPath
from tzrec.version import __version__


def train(
    config: EasyRecConfig,
    continue_train: bool = False,
    ignore_restore_optimizer: bool = False,
    accept_new_data: bool = False,
    listeners: Sequence[Listener] = (),
) -> Outcome:
    """Train a model and evaluate it. All ranks call this together.

    Args:
        config: checked, with edits and flags applied.
        continue_train: resume from the last checkpoint in `model_dir` if there is one.
        ignore_restore_optimizer: restore only weights from a checkpoint, no optimizer state.
        accept_new_data: start an epoch over the present files if the last checkpoint is inside of an epoch over others.
        listeners: called on rank 0, in addition to progress lines, report and TensorBoard.

    Raises:
        ConfigError: a path of the config does not exist.
        CheckpointError: another process writes to `model_dir`; or a checkpoint exists although `continue_train` is off,
            is damaged, or does not match the config or the data.
        DataError: the data cannot be read.
        TrainingError: a loss was not finite.
    """
    ensure_inputs(config)
    with ExitStack() as stack:
        signals = Signals()
        stack.callback(signals.restore)  # at the very end, after the ranks have reported what happened
        with live_line.counting("start  prepare the process"):
            session = stack.enter_context(Session.new(config))
        lock = lock_directory(session.model_dir) if session.rank_info.is_main else None
        if lock:
            stack.callback(lock.release)
        resume = find_resume_state(config, continue_train, ignore_restore_optimizer, accept_new_data, session.rank_info)
        all_listeners: list[Listener] = []
        if session.rank_info.is_main:
            remove_unfinished(session.model_dir)
            all_listeners = [*_default_listeners(config, session.model_dir), *listeners]
            for listener in all_listeners:
                stack.callback(listener.on_end)
        with live_line.counting("start  open the data and build the model"):
            trainer = stack.enter_context(Trainer(session, resume, lock.ensure_held if lock else None))
        if session.rank_info.is_main:  # everything is accepted: a refused config must not describe the old checkpoint
            all_listeners.append(ProfileWriter(session.model_dir, trainer.batch_sampler))
            stack.callback(all_listeners[-1].on_end)
            _write_config(config, session.model_dir)
            repeat_from(session.model_dir, trainer.position.step)
        session.log_summary()
        if trainer.is_complete:
            logger.info("train  %s", trainer.completion_text())
        facts = run_facts(trainer)
        for listener in all_listeners:
            listener.on_start(facts)
        outcome = run_training_loop(trainer, all_listeners, signals)
        if not outcome.signal:
            write_analysis(trainer, outcome.seconds)
        for listener in all_listeners:
            listener.on_complete(outcome)
        return outcome


def _write_config(config: EasyRecConfig, model_dir: AnyPath) -> None:
    """Write the resolved config and the version of this package into the model directory."""
    write_text(model_dir / "pipeline.config", dump_config(config))
    write_text(model_dir / "version", f"{__version__}\n")


def _default_listeners(config: EasyRecConfig, model_dir: AnyPath) -> list[Listener]:
    """Create the listeners of a config; the last one ends first, so that a tracker finds the files of the others."""
    train = config.train_config
    listeners: list[Listener] = []
    if train.HasField("mlflow"):
        listeners.append(MlflowTracker(config, model_dir))
    listeners += [Progress(), Recorder(model_dir), Report(model_dir)]
    if train.use_tensorboard:
        listeners.append(TensorBoard(model_dir))
    if train.prometheus_file:
        listeners.append(PrometheusFile(train.prometheus_file, model_dir))
    return listeners
