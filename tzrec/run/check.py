"""Check a config and its data: the function behind `tzrec check` and `tzrec.check`.

Nothing is started. torch is imported only for the class of a custom model, pyarrow and numba only where there is data.
"""

from __future__ import annotations

import glob
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tzrec.config.check import inspect
from tzrec.config.checker import Checker
from tzrec.config.load import TEXT_NAME, ConfigInput, ConfigSource, load_source
from tzrec.config.rules.table_bytes import check_table_bytes
from tzrec.config.rules.tasks import task_names
from tzrec.errors import ConfigError, Problem
from tzrec.run.inputs import DATA_PATHS, data_parts, missing_paths


@dataclass(frozen=True)
class CheckResult:
    """Result of a check.

    Attributes:
        problems: of the config, or of how it matches its data; empty if there are none.
        summary: one line about the config.
        notes: lines about the data.
        warnings: what is most likely a mistake: fields without effect, features that nothing reads, labels with one
            value, files that are not there, and tables that need more memory than this machine has.
    """

    problems: Sequence[Problem]
    summary: str
    notes: Sequence[str]
    warnings: Sequence[Problem] = ()

    def to_json(self) -> dict[str, Any]:
        """Its form for other programs; a problem without a place in a text has the line 0."""
        return {
            "problems": [_to_json(problem) for problem in self.problems],
            "warnings": [_to_json(problem) for problem in self.warnings],
            "notes": [note.strip() for note in self.notes],
        }


def _to_json(problem: Problem) -> dict[str, Any]:
    file, line, column = [*problem.location.rsplit(":", 2), "0", "0"][:3]
    return {"file": file, "line": int(line), "column": int(column), "field": problem.field, "message": problem.message}


def check(
    given: ConfigInput, edits: Mapping[str, Any] | None = None, data_path: str | None = None, device: str | None = None
) -> CheckResult:
    """Find all problems of a config and its memory, then of a custom model, then of the files of the data.

    Args:
        given: path of a text or JSON file, or a text, or a message.
        edits: changes to the config: path -> value.
        data_path: comma list of globs. Default: `train_input_path` and `eval_input_path` where all of it is local.
        device: "cpu" or "cuda", the device to run on. Default: the device of this machine.

    Raises:
        ConfigError: the file cannot be read, or an edit names no field.
    """
    source = load_source(given, dict(edits or {}))
    device = device or default_device()
    checker = inspect(source, device)
    problems: Sequence[Problem] = checker.problems
    notes: Sequence[str] = ()
    if not problems:
        memory = Checker(source, device)
        check_table_bytes(memory)
        checker.warnings += memory.problems  # the run may be elsewhere
    if not problems and source.config.model_config.HasField("custom"):
        problems = _check_custom_model(source)
    missing = _warn_of_missing(checker, is_replaced=data_path is not None)
    paths = [data_path] if data_path else _local_data(checker, missing)
    if not problems and paths and checker.missing_files:
        notes = [f'data   not read: "{checker.missing_files[0]}" is missing, without which features cannot be encoded']
    elif not problems and paths:
        from tzrec.run.data_check import check_data

        report = check_data(source, paths)
        problems, notes = report.problems, report.notes
        checker.warnings += report.warnings
    return CheckResult(problems, _summary(source, device), notes, checker.warnings)


def default_device() -> str:
    """Detect a GPU without importing torch."""
    return "cuda" if glob.glob("/dev/nvidia[0-9]*") else "cpu"


def _check_custom_model(source: ConfigSource) -> list[Problem]:
    """Import the class of a custom model."""
    from tzrec.models.custom import load_custom_class

    try:
        load_custom_class(source.config.model_config.custom)
    except ConfigError as error:
        return Checker(source).located(error.problems)
    return []


def _warn_of_missing(checker: Checker, is_replaced: bool) -> set[str]:
    """Warn of paths that do not exist; returns their fields. Those of data do not matter if other data is read."""
    missing = dict(missing_paths(checker))
    for name, message in missing.items():
        if not (is_replaced and name in DATA_PATHS):
            checker.warning(name, f"{message}: training fails until there is one")
    return {*missing}


def _local_data(checker: Checker, missing: Collection[str]) -> list[str]:
    """Return the paths of training and evaluation data that can be read here, and warn of those that are elsewhere."""
    paths = []
    for name in DATA_PATHS:
        local, remote = data_parts(checker, name)
        if remote and name not in missing:
            checker.warning(
                name, f'"{remote[0]}" is not on this machine and was not read; pass it as --data to read it'
            )
        elif local and name not in missing:
            paths.append(",".join(local))
    return paths


def _summary(source: ConfigSource, device: str) -> str:
    config = source.config
    names = task_names(config)
    tasks = f" ({', '.join(names)})" if names else ""
    model = f"{config.model_config.WhichOneof('model')}{tasks}"
    return f"{source.path or TEXT_NAME}: no problems; {model}, {len(config.feature_configs)} features, on {device}"
