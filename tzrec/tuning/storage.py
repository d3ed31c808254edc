"""Storage of a study in Optuna: a file in its directory or a database, samplers and pruners by name."""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tzrec.checkpoint.lock import Lock, LockHeldError
from tzrec.errors import SetupError, UsageError
from tzrec.protos.tune_pb2 import TuneConfig
from tzrec.tuning.settings import TuneSettings
from tzrec.tuning.space import Space, Value

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage

JOURNAL = "study.journal"
IS_START = "is_start"
"""Attribute of the trial of a starting config that is not a point of the space."""
_NAME = "tzrec"
_WAIT_S = 60.0
_STARTUP_SHARE, _MIN_STARTUP, _MAX_STARTUP = 4, 4, 10
"""Random trials before a model of the values is used: a quarter of all, within these limits."""
_MAX_GRID = 10_000


def open_study(settings: TuneSettings, directory: Path) -> tuple[Study, BaseStorage]:
    """Open the study of a directory and its storage, or create it with the starting config as its first trial.

    Raises:
        SetupError: Optuna is not installed.
        UsageError: the storage cannot be opened, or the grid of the space is not finite or too large.
    """
    try:
        import optuna
    except ImportError as error:
        raise SetupError(f"tzrec tune needs Optuna ({error}); run: pip install 'tzrec[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    config = settings.config
    with only_writer(directory):
        storage = _storage(config.storage, directory)
        is_new = _NAME not in [summary.study_name for summary in storage.get_all_studies()]
        try:
            sampler = _sampler(config)
        except ImportError as error:
            raise SetupError(f"sampler \"{config.sampler}\": {error}; run: pip install 'tzrec[tune]'") from None
        study = optuna.create_study(
            storage=storage,
            study_name=_NAME,
            sampler=sampler,
            pruner=_pruner(config),
            direction="maximize" if settings.is_maximized else "minimize",
            load_if_exists=True,
        )
        if is_new:
            _enqueue_first(study, settings)
    return study, storage


@contextmanager
def only_writer(directory: Path) -> Iterator[None]:
    """Let one process at a time write the files of a study, which several processes share.

    Raises:
        LockHeldError: another process does not end writing.
        CheckpointError: this process cannot write to the directory.
    """
    deadline = time.monotonic() + _WAIT_S
    while True:
        try:
            lock = Lock(directory / ".writing")
            break
        except LockHeldError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    try:
        yield
    finally:
        lock.release()


def _storage(url: str, directory: Path) -> BaseStorage:
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    if "://" not in url:
        path = Path(url) if url else directory / JOURNAL
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(path)))
    try:
        return RDBStorage(url)
    except Exception as error:  # of SQLAlchemy, of a driver that is not installed, or of the database
        first = str(error).splitlines()[0]
        raise UsageError(f"storage {url}: the database cannot be opened: {type(error).__name__}: {first}") from error


def _sampler(config: TuneConfig) -> BaseSampler:
    from optuna import samplers

    share = config.num_trials // _STARTUP_SHARE
    num_startup = min(max(share, _MIN_STARTUP), _MAX_STARTUP)
    if config.sampler == "tpe":
        return samplers.TPESampler(seed=config.seed, n_startup_trials=num_startup, multivariate=True)
    if config.sampler == "gp":
        return samplers.GPSampler(seed=config.seed, n_startup_trials=num_startup)
    if config.sampler == "qmc":
        return samplers.QMCSampler(seed=config.seed, scramble=True)
    return samplers.RandomSampler(seed=config.seed)  # of a grid all trials are given


def _pruner(config: TuneConfig) -> BasePruner:
    from optuna import pruners

    from tzrec.tuning.late_pruner import LatePruner

    counts: dict[str, Any] = {
        "n_startup_trials": config.pruner_startup_trials,
        "n_warmup_steps": config.pruner_warmup_evaluations,
    }
    if config.pruner in ("median", "percentile"):
        is_median = config.pruner == "median"
        pruner = pruners.MedianPruner(**counts) if is_median else pruners.PercentilePruner(25.0, **counts)
        return pruner if config.HasField("pruner_warmup_evaluations") else LatePruner(pruner)
    if config.pruner == "successive_halving":
        return pruners.SuccessiveHalvingPruner()
    if config.pruner == "hyperband":
        return pruners.HyperbandPruner()
    return pruners.NopPruner()


def _enqueue_first(study: Study, settings: TuneSettings) -> None:
    """Enqueue the starting config, and all points of a grid."""
    space = settings.space
    start = space.start_values()
    study.enqueue_trial(dict(start or {}), user_attrs={} if start else {IS_START: True})
    if settings.config.sampler == "grid":
        for values in grid(space):
            if values != start:
                study.enqueue_trial(dict(values))


def grid(space: Space) -> Iterator[Mapping[str, Value]]:
    """Yield all points of a space whose ranges have a step.

    Raises:
        UsageError: a range has no step, or there are too many points.
    """
    values_by_name = {parameter.name: parameter.grid() for parameter in space.parameters}
    num_points = 1
    for name, values in values_by_name.items():
        if values is None:
            raise UsageError(f'sampler "grid": the range of "{name}" is not a grid; give it a step, or use choices')
        num_points *= len(values)
    if num_points > _MAX_GRID:
        raise UsageError(f'sampler "grid": {num_points:,} points are too many; use "tpe", or larger steps')
    lists = [values for values in values_by_name.values() if values is not None]
    for point in itertools.product(*lists):
        yield dict(zip(values_by_name, point, strict=True))
