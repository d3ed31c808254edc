"""Check a config and its data: the function behind `tzrec check` and `tzrec.check`.

Nothing is started. torch is imported only for the class of a custom model, pyarrow and numba only where there is data.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tzrec.config.check import inspect
from tzrec.config.checker import Checker
from tzrec.config.comma_list import split_commas
from tzrec.config.load import ConfigSource, load_source
from tzrec.config.rules.tasks import task_names
from tzrec.errors import ConfigError, Problem


@dataclass(frozen=True)
class CheckResult:
    """Result of a check.

    Attributes:
        problems: of the config, or of how it matches its data; empty if there are none.
        summary: one line about the config.
        notes: lines about the data.
        warnings: fields of the config that have no effect.
    """

    problems: Sequence[Problem]
    summary: str
    notes: Sequence[str]
    warnings: Sequence[Problem] = ()


def check(
    config_path: str, edits: Mapping[str, Any] | None = None, data_path: str | None = None, device: str | None = None
) -> CheckResult:
    """Find all problems of a config, then of a custom model, then of the first batch of the data.

    Args:
        config_path: text or JSON file.
        edits: changes to the config: path -> value.
        data_path: comma list of globs. Default: `train_input_path` if all of it is local.
        device: "cpu" or "cuda", the device to run on. Default: the device of this machine.

    Raises:
        ConfigError: the file cannot be read, or an edit names no field.
    """
    source = load_source(config_path, dict(edits or {}))
    device = device or default_device()
    checker = inspect(source, device)
    problems: Sequence[Problem] = checker.problems
    notes: Sequence[str] = ()
    data_path = data_path or _existing_paths(source.config.train_input_path)
    if not problems and source.config.model_config.HasField("custom"):
        problems = _check_custom_model(source)
    if not problems and data_path:
        from tzrec.run.data_check import check_data

        problems, notes = check_data(source, data_path)
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


def _existing_paths(path: str) -> str:
    """Return a comma list of globs if each of them matches a local file, otherwise ""."""
    is_local = all(
        any(os.path.isfile(name) for name in glob.iglob(part, recursive=True)) for part in split_commas(path)
    )
    return path if is_local else ""


def _summary(source: ConfigSource, device: str) -> str:
    config = source.config
    names = task_names(config)
    tasks = f" ({', '.join(names)})" if names else ""
    model = f"{config.model_config.WhichOneof('model')}{tasks}"
    return f"{source.path}: no problems; {model}, {len(config.feature_configs)} features, on {device}"
