"""Evaluation of the best trial on data that no trial has read."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tzrec import env
from tzrec.checkpoint import store
from tzrec.errors import TrainingError
from tzrec.log import logger
from tzrec.tuning.settings import TuneSettings

if TYPE_CHECKING:
    from optuna import Study

_RESULTS = "test_result.txt"
_TESTED = "tested_trials"


def evaluate_best(study: Study, settings: TuneSettings, directory: Path, number: int) -> Mapping[str, float]:
    """Evaluate the best trial on `test_input_path`, once; a later run of the study with the same best reads it.

    Args:
        study: remembers the trials that were tested.
        settings: of the study.
        directory: model directory of the trial.
        number: of the trial.

    Raises:
        TrainingError: the evaluation failed.
    """
    path = settings.config.test_input_path
    tested: dict[str, dict[str, float]] = dict(study.user_attrs.get(_TESTED, {}))
    key = f"{number} on {path}"
    if key in tested:
        return tested[key]
    if tested:
        logger.warning(
            "%s was read before, for %s: the choice between several tested trials is one on the test data",
            *(path, ", ".join(f"trial {name.partition(' ')[0]}" for name in tested)),
        )
    export = settings.space.start.export_config
    checkpoint = store.find(directory)
    if export.exporter_type == "best":
        checkpoint = store.best(directory, export.best_exporter_metric, export.metric_larger_is_better)
    config = directory / "pipeline.config"
    flags = ["--pipeline_config", str(config), "--eval_input_path", path, "--eval_result_filename", _RESULTS]
    flags += ["--checkpoint_path", str(checkpoint.path)]
    command = [sys.executable, "-m", "tzrec.eval", *flags]
    done = subprocess.run(command, capture_output=True, text=True, env=env.child_environment(), check=False)
    if done.returncode:
        raise TrainingError(f"the evaluation of trial {number} on {path} failed:\n{done.stderr.strip()}")
    line = json.loads((directory / _RESULTS).read_text().splitlines()[-1])
    metrics = {name: value for name, value in line.items() if name != "global_step" and value is not None}
    study.set_user_attr(_TESTED, {**tested, key: metrics})
    return metrics
