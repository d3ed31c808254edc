"""StudyRunner: start the trials of a study as processes, follow their evaluations, and record their results."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tzrec import env
from tzrec.checkpoint.lock import Lock, LockHeldError
from tzrec.checkpoint.store import list_checkpoints
from tzrec.config.check import check
from tzrec.config.edit import apply_edits
from tzrec.config.load import ConfigSource
from tzrec.data.atomic import remove_path
from tzrec.errors import TrainingError
from tzrec.log import logger
from tzrec.run.signals import Signals
from tzrec.tuning.records import ERROR, SECONDS, SURPLUS, VALUE, ranked, read_records
from tzrec.tuning.settings import TuneSettings
from tzrec.tuning.space import copy_config
from tzrec.tuning.storage import IS_START
from tzrec.tuning.trial import LOG, TrialRun, final_value

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.storages import BaseStorage

_POLL_S = 0.2
_KILL_S = 60.0
"""Seconds within which a stopped trial has to save and end."""


@dataclass
class _Running:
    """Trial that runs in a slot of this machine."""

    trial: Trial
    run: TrialRun
    slot: int
    lock: Lock
    reported: set[int]
    stopped_at: float | None = None
    is_pruned: bool = False

    @property
    def is_start(self) -> bool:
        return self.trial.number == 0

    def stop(self) -> None:
        """Ask the process to save and end; one that does not is killed a minute later."""
        if self.stopped_at is None:
            self.stopped_at = time.monotonic()
            self.run.stop()
        elif time.monotonic() - self.stopped_at > _KILL_S:
            self.run.kill()


class StudyRunner:
    """Runs trials until there are enough, time is over, or a signal arrives.

    Args:
        study: of Optuna.
        storage: of the study.
        settings: of the study.
        directory: of the study; trials are directories below it.
        on_end: called after each trial that ended, with its number.
    """

    def __init__(
        self,
        study: Study,
        storage: BaseStorage,
        settings: TuneSettings,
        directory: Path,
        on_end: Callable[[int], None],
    ) -> None:
        self._study, self._storage, self._settings = study, storage, settings
        self._directory, self._on_end = directory, on_end
        self._running: list[_Running] = []
        self._deadline = math.inf
        if settings.config.HasField("max_minutes"):
            self._deadline = time.monotonic() + 60 * settings.config.max_minutes
        self._slots = divide_machine(settings.config.num_parallel)

    def run(self, signals: Signals) -> None:
        """Run trials until the end of the study; on a signal or at the time limit those that run are stopped.

        A stopped trial is resumed by the next process of the study, from its last checkpoint.

        Raises:
            TrainingError: the starting config failed.
        """
        try:
            while True:
                is_over = signals.received > 0 or time.monotonic() > self._deadline
                for running in self._running if is_over else ():
                    running.stop()
                while not is_over and len(self._running) < len(self._slots) and self._start_next():
                    pass
                if not self._running:
                    return
                time.sleep(_POLL_S)
                for running in list(self._running):
                    self._follow(running)
        finally:
            for running in self._running:
                running.run.kill()
                running.lock.release()

    def directory_of(self, number: int) -> Path:
        """Return the model directory of a trial."""
        return self._directory / "trials" / f"{number:03d}"

    def _start_next(self) -> bool:
        """Start a trial that an ended process has left, or the next one; return False if there is none."""
        resumed = self._resume()
        if resumed is not None:
            self._launch(*resumed)
            return True
        if not self._is_open():
            return False
        trial = self._study.ask()
        if sum(record.number < trial.number for record in read_records(self._study)) >= self._num_trials:
            trial.set_user_attr(SURPLUS, True)  # another machine was faster
            self._tell_failed(trial)
            return False
        try:
            lock = self._lock(trial.number)
        except LockHeldError:  # another machine took it for one that an ended process has left
            return True
        self._suggest(trial)
        self._launch(trial, lock)
        return True

    @property
    def _num_trials(self) -> int:
        return self._settings.config.num_trials

    def _is_open(self) -> bool:
        from optuna.trial import TrialState

        if len(read_records(self._study)) >= self._num_trials:
            return False
        is_grid = self._settings.config.sampler == "grid"
        return not is_grid or bool(self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    def _suggest(self, trial: Trial) -> None:
        if not trial.user_attrs.get(IS_START):
            for parameter in self._settings.space.parameters:
                parameter.suggest(trial)

    def _lock(self, number: int) -> Lock:
        return Lock(self._directory / ".running" / f"{number:03d}")

    def _resume(self) -> tuple[Trial, Lock] | None:
        """Take over a trial whose study process has ended: nobody holds its lock."""
        from optuna import Trial
        from optuna.trial import TrialState

        own = {running.trial.number for running in self._running}
        study_id = self._storage.get_study_id_from_name(self._study.study_name)
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if frozen.number in own:
                continue
            try:
                lock = self._lock(frozen.number)
            except LockHeldError:  # it runs
                continue
            trial_id = self._storage.get_trial_id_from_study_id_trial_number(study_id, frozen.number)
            if self._storage.get_trial(trial_id).state != TrialState.RUNNING:  # it has ended meanwhile
                lock.release()
                continue
            trial = Trial(self._study, trial_id)
            self._suggest(trial)  # its process may have ended before
            logger.info("resume trial %d from its last checkpoint", frozen.number)
            return trial, lock
        return None

    def _launch(self, trial: Trial, lock: Lock) -> None:
        """Start the process of a trial; one whose config is not valid fails without a process."""
        space, directory = self._settings.space, self.directory_of(trial.number)
        config = copy_config(space.start)
        apply_edits(config, {} if trial.user_attrs.get(IS_START) else space.edits(trial.params))
        config.model_dir = str(directory)
        problems = check(ConfigSource(config))
        if problems:
            trial.set_user_attr(ERROR, "; ".join(map(str, problems)))
            self._end(trial, lock)
            return
        used = {running.slot for running in self._running}
        slot = next(index for index in range(len(self._slots)) if index not in used)
        run = TrialRun(directory, config, *self._slots[slot])
        reported = set(self._study.get_trials(deepcopy=False)[trial.number].intermediate_values)
        self._running.append(_Running(trial, run, slot, lock, reported))

    def _follow(self, running: _Running) -> None:
        """Report new evaluations of a trial, prune it, and record its end."""
        trial, run, metric = running.trial, running.run, self._settings.metric
        has_ended = run.has_ended()  # before the last evaluations are read
        for step, value in enumerate(run.evaluations(metric), start=1):
            if step not in running.reported and math.isfinite(value):
                running.reported.add(step)
                trial.report(value, step)
        if not has_ended:
            if not running.is_start and running.reported and not running.is_pruned and trial.should_prune():
                running.is_pruned = True
            if running.is_pruned:
                running.stop()
            return
        self._running.remove(running)
        if run.is_stopped and not running.is_pruned:
            logger.info("stop   trial %d saved a checkpoint; the next run of the study resumes it", trial.number)
            running.lock.release()
            return
        error = "" if running.is_pruned and run.is_stopped else run.failure()
        if error and running.is_start:
            running.lock.release()
            text = "the next run of the study tries it again"
            raise TrainingError(f"the starting config failed: {error}; see {run.directory / LOG}; {text}")
        trial.set_user_attr(SECONDS, round(run.seconds, 1))
        value = final_value(run.directory, self._settings.space.start, metric)
        if not error and not math.isfinite(value):
            error = f"{metric} is not defined: the evaluation data may have one class only"
        if error:
            trial.set_user_attr(ERROR, error)
        else:
            trial.set_user_attr(VALUE, value)
        self._end(trial, running.lock, is_pruned=running.is_pruned and run.is_stopped)

    def _end(self, trial: Trial, lock: Lock, is_pruned: bool = False) -> None:
        """Record the end of a trial from its attributes."""
        from optuna.trial import TrialState

        if ERROR in trial.user_attrs or trial.user_attrs.get(IS_START):
            self._tell_failed(trial)
        elif is_pruned:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, trial.user_attrs[VALUE])
        lock.release()
        self._delete_checkpoints()
        self._on_end(trial.number)

    def _tell_failed(self, trial: Trial) -> None:
        from optuna.trial import TrialState

        self._study.tell(trial, state=TrialState.FAIL)

    def _delete_checkpoints(self) -> None:
        """Delete the checkpoints of trials that ended and are not among the best."""
        if not self._settings.config.num_kept_trials:
            return
        records = [record for record in read_records(self._study) if record.state != "running"]
        best = ranked(records, self._settings.is_maximized)[: self._settings.config.num_kept_trials]
        for record in records:
            for path in () if record in best else list_checkpoints(self.directory_of(record.number)):
                assert isinstance(path, Path)
                remove_path(path)


def divide_machine(num_parallel: int) -> list[tuple[Sequence[int], str]]:
    """Divide the cores and GPUs of this machine: the cores and the GPU of each slot; all of them for a single one."""
    if num_parallel == 1:
        return [((), "")]
    cores = sorted(os.sched_getaffinity(0))
    share = max(1, len(cores) // num_parallel)
    gpus = _gpus()
    slots: list[tuple[Sequence[int], str]] = []
    for index in range(num_parallel):
        start = index * share % len(cores)
        slots.append((cores[start : start + share], gpus[index % len(gpus)] if gpus else ""))
    return slots


def _gpus() -> list[str]:
    names = env.visible_gpus()
    if names is not None:
        return names
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]
