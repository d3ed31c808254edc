"""Tune a config: the function behind `tzrec tune` and `tzrec.tune`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tzrec import env
from tzrec.config.load import ConfigInput, dump_config
from tzrec.data.atomic import write_text
from tzrec.errors import TrainingError, UsageError
from tzrec.formatting import format_columns, format_duration
from tzrec.log import logger, side_output
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.protos.tune_pb2 import TuneConfig
from tzrec.run.signals import Signals
from tzrec.storage.url import without_file_scheme
from tzrec.tuning.held_test import evaluate_best
from tzrec.tuning.outputs import write_tuned
from tzrec.tuning.page import write_page
from tzrec.tuning.records import TrialRecord, importances, ranked, read_records, write_csv
from tzrec.tuning.runner import StudyRunner
from tzrec.tuning.settings import TuneSettings
from tzrec.tuning.space import Value
from tzrec.tuning.storage import only_writer, open_study

if TYPE_CHECKING:
    from optuna import Study

TABLE, PAGE, START, SETTINGS = "trials.csv", "tune.html", "start.config", "tune.config"
_LATER = ("num_trials", "max_minutes", "num_parallel", "storage", "num_kept_trials", "test_input_path", "seed")
"""Fields that another run of the same study may change."""
_NUM_PRINTED = 5


@dataclass(frozen=True)
class TuneResult:
    """Result of a study.

    Attributes:
        metric: name of the evaluation result that was improved.
        best_config: file with the best config, or with the starting config if no trial was better.
        best_value: metric of the best trial.
        best_params: its values by name of the parameter; empty for a starting config outside of the space.
        gain: improvement of the metric over the starting config.
        trials: all trials that were started, by number; 0 is the starting config.
        importances: share of each parameter in the differences between trials; empty if there are too few.
        test_metrics: of the best trial on test_input_path, by name; empty without it.
        signal: number of the signal that stopped the study, 0 if none did.
    """

    metric: str
    best_config: Path
    best_value: float
    best_params: Mapping[str, Value]
    gain: float
    trials: Sequence[TrialRecord]
    importances: Mapping[str, float]
    test_metrics: Mapping[str, float]
    signal: int = 0


def tune(given: ConfigInput, config: EasyRecConfig, settings: TuneSettings, model_dir: str = "") -> TuneResult:
    """Search for better values of a config; a study that its directory holds already is resumed.

    Args:
        given: path, text or message of the starting config.
        config: the same, checked, with edits applied.
        settings: of the study.
        model_dir: directory of the study. Default: `tune` in `model_dir` of the config.

    Raises:
        UsageError: the directory holds a study of another config or space.
        TrainingError: the starting config failed, or no trial was complete when the study was stopped.
        SetupError: Optuna is not installed.
    """
    directory = _directory(model_dir or f"{config.model_dir}/tune")
    with only_writer(directory):
        _ensure_same_study(directory, settings)
    study, storage = open_study(settings, directory)
    progress = _Progress(study, settings, directory)
    runner = StudyRunner(study, storage, settings, directory, progress.on_end)
    progress.log_start()
    signals = Signals()
    try:
        with signals:
            runner.run(signals)
    finally:
        signals.restore()
    records = read_records(study)
    progress.write(records)
    best = next(iter(ranked(records, settings.is_maximized)), None)
    if best is None or best.value is None:
        raise TrainingError(f"no trial of {directory} is complete; run the same command again to go on")
    edits = settings.space.edits(best.params) if best.params else {}
    with only_writer(directory):
        path = write_tuned(given, config, edits, directory)
    start = next((record.value for record in records if record.number == 0 and record.is_complete), None)
    result = TuneResult(
        settings.metric,
        path,
        best.value,
        best.params,
        settings.gain(best.value, best.value if start is None else start),
        records,
        importances(study),
        _test(study, runner, settings, best) if not signals.received else {},
        signals.received,
    )
    _log_end(result, settings, Path(given).name if isinstance(given, str) else "the starting config", best)
    logger.info("report  %s   table %s", directory / PAGE, directory / TABLE)
    if signals.received:
        logger.info("stop    run the same command again to go on")
    return result


def _test(study: Study, runner: StudyRunner, settings: TuneSettings, best: TrialRecord) -> Mapping[str, float]:
    if not settings.config.test_input_path:
        return {}
    return evaluate_best(study, settings, runner.directory_of(best.number), best.number)


def _log_end(result: TuneResult, settings: TuneSettings, start_name: str, best: TrialRecord) -> None:
    """Log the best trials, the best config with its gain, and the test."""
    rows = ranked(result.trials, settings.is_maximized)[:_NUM_PRINTED]
    names = [parameter.name for parameter in settings.space.parameters]
    lines = [["trial", settings.metric, *names]]
    for record in rows:
        values = [settings.space.value_text(name, record.params) for name in names]
        lines.append([str(record.number), f"{record.value:.4f}", *values])
    logger.info("best    %s", format_columns(lines, right=range(len(lines[0]))).replace("\n", "\n        "))
    shares = ", ".join(f"{name} {share:.2f}" for name, share in result.importances.items())
    importance = f";  importance: {shares}" if shares else ""
    change = result.gain if settings.is_maximized else 0.0 - result.gain
    rows_text = f"over {start_name} on the evaluation rows"
    logger.info("best    trial %d: %s  %+.4f %s%s", best.number, result.best_config, change, rows_text, importance)
    if result.test_metrics:
        values_text = "  ".join(f"{name} {value:.4f}" for name, value in result.test_metrics.items())
        logger.info("test    trial %d  %s", best.number, values_text)


class _Progress:
    """Lines of a study, its table and its page, written after each trial."""

    def __init__(self, study: Study, settings: TuneSettings, directory: Path) -> None:
        self._study, self._settings, self._directory = study, settings, directory
        self._started_at = time.monotonic()
        self._num_before = len([record for record in read_records(study) if record.state != "running"])

    def log_start(self) -> None:
        config, space = self._settings.config, self._settings.space
        goal = "largest" if self._settings.is_maximized else "smallest"
        logger.info("study   %s   %d of %d trials done", self._directory, self._num_before, config.num_trials)
        logger.info("metric  %s, the %s", self._settings.metric, goal)
        ranges = "\n        ".join(f"{parameter.name}  {parameter.describe()}" for parameter in space.parameters)
        logger.info("space   %s", ranges)

    def on_end(self, number: int) -> None:
        records = read_records(self._study)
        record = next(record for record in records if record.number == number)
        logger.info(self._line(record, records))
        self.write(records)

    def _line(self, record: TrialRecord, records: Sequence[TrialRecord]) -> str:
        """Format `trial 17/40  auc 0.7412  best 0.7431 (trial 9)  pruned 11  eta 12:30     lr 0.0031  dims 12`."""
        settings, num_trials = self._settings, self._settings.config.num_trials
        ended = [item for item in records if item.state != "running"]
        value = "" if record.value is None else f"{record.value:.4f}"
        state = {"complete": "", "pruned": " pruned", "failed": f"failed: {record.error}"}[record.state]
        parts = [f"trial {len(ended)}/{num_trials}", f"{settings.metric} {value}{state}"]
        best = next(iter(ranked(records, settings.is_maximized)), None)
        if best is not None:
            parts.append(f"best {best.value:.4f} (trial {best.number})")
        parts += [
            f"{state} {count}" for state in ("pruned", "failed") if (count := sum(r.state == state for r in records))
        ]
        num_own = len(ended) - self._num_before
        if num_own > 0 and len(ended) < num_trials:
            elapsed = time.monotonic() - self._started_at
            seconds = elapsed / num_own * (num_trials - len(ended))
            if settings.config.HasField("max_minutes"):
                seconds = min(seconds, max(60 * settings.config.max_minutes - elapsed, 0.0))
            parts.append(f"eta {format_duration(seconds)}")
        values = settings.space.describe(record.params) or "the starting config"
        return f"{'  '.join(parts)}     {values}"

    def write(self, records: Sequence[TrialRecord]) -> None:
        """Write the table and the page."""
        settings = self._settings
        with side_output(self._directory / TABLE), only_writer(self._directory):
            write_csv(self._directory / TABLE, records, settings.space, settings.metric)
        with side_output(self._directory / PAGE), only_writer(self._directory):
            write_page(self._directory / PAGE, records, settings, importances(self._study))


def _directory(model_dir: str) -> Path:
    if env.rank_info().world_size > 1:
        raise UsageError("tzrec tune starts its trials itself; run it without torchrun, once on each machine")
    path = without_file_scheme(model_dir)
    if "://" in path:
        raise UsageError(f"--model_dir {path} is in a store; give a directory that all machines of the study share")
    return Path(path)


def _ensure_same_study(directory: Path, settings: TuneSettings) -> None:
    """Write the starting config and the settings into a new directory; compare them with those that it holds.

    Raises:
        UsageError: they are not the same.
    """
    identity = TuneConfig()
    identity.CopyFrom(settings.config)
    for field in _LATER:
        identity.ClearField(field)
    contents = {START: dump_config(settings.space.start), SETTINGS: str(identity)}
    for name, content in contents.items():
        path = directory / name
        if not path.exists():
            directory.mkdir(parents=True, exist_ok=True)
            write_text(path, content)
        elif path.read_text() != content:
            raise UsageError(
                f"{directory} holds a study of another {_WHAT[name]}, see {path}; choose another --model_dir, or "
                "delete it"
            )


_WHAT = {START: "starting config", SETTINGS: "space"}
