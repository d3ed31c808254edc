"""What a stranger's Python calls: `tzrec.train(...)` and `tzrec.load(...)`.

Both are quiet: a program that wants to see the lines of a run gives the logger "tzrec" a handler.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import torch

from tzrec.config.check import load_checked
from tzrec.run.job import run_training
from tzrec.serving.predictor import load

__all__ = ["Run", "load", "train"]


@dataclass(frozen=True)
class Run:
    """A training that has ended.

    Attributes:
        model_dir: where its checkpoints and results are.
        step: the last step.
        metrics: of the last evaluation, by name; empty where nothing was evaluated.
    """

    model_dir: Path
    step: int
    metrics: Mapping[str, float]


def train(
    config: str | PathLike[str],
    model_dir: str | PathLike[str] | None = None,
    edit: Mapping[str, Any] | None = None,
    continue_train: bool = False,
) -> Run:
    """Train a model in this process and evaluate it.

    Args:
        config: path of a config.
        model_dir: where checkpoints and results go, instead of what the config says.
        edit: changes to the config, as `--edit_config_json`: path -> value.
        continue_train: go on from the last checkpoint in model_dir.

    Raises:
        ConfigError: with all problems at once.
        CheckpointError: model_dir holds a checkpoint already, or one that is damaged or does not fit.
        DataError: the data cannot be read.
        TrainingError: a loss was not finite.
    """
    edits = dict(edit or {}) | ({"model_dir": fspath(model_dir)} if model_dir is not None else {})
    checked = load_checked(fspath(config), edits, "cuda" if torch.cuda.is_available() else "cpu")
    outcome = run_training(checked, continue_train)
    return Run(Path(checked.model_dir), outcome.step, outcome.metrics)
