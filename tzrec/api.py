"""Python API: one function for each command of the command line.

A config is a path, an `EasyRecConfig` message or a text: a string with a brace or a newline, protobuf text or JSON. All
functions are silent: to see the lines of a run, add a handler to the logger "tzrec". The examples use a config
`my.config` and its data `log.csv` in the current folder.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, get_args

from tzrec import env
from tzrec.config.check import load_checked
from tzrec.config.load import ConfigInput, ConfigText
from tzrec.data.existing import Existing
from tzrec.errors import Problem, TzrecError, UsageError, explain, is_encodable, shorten_middle
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run.device import available_device
from tzrec.storage.path import StorePath, to_directory, to_path

if TYPE_CHECKING:
    from tzrec.profile.suggest import SuggestResult
    from tzrec.serving.predictor import Predictor
    from tzrec.tuning.tune import TuneResult

__all__ = ["Run", "check", "evaluate", "export", "init", "load", "predict", "train", "tune"]

AnyPath = str | PathLike[str]
AnyConfig = str | PathLike[str] | EasyRecConfig
"""Config of a function: its path, its text or its message."""
_P = ParamSpec("_P")
_R = TypeVar("_R")


def _guarded(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate a function of the API: a wrong argument is a UsageError, and so is a file that the system refuses."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        arguments = signature.bind(*args, **kwargs).arguments
        for name, value in arguments.items():
            kind, is_valid = _KINDS[signature.parameters[name].annotation.removesuffix(" | None")]
            is_optional = signature.parameters[name].default is None
            if not is_valid(value) and not (is_optional and value is None):
                raise UsageError(f"{function.__name__}: {name} must be {kind}; received {shorten_middle(repr(value))}")
        try:
            return function(*args, **kwargs)
        except TzrecError:
            raise
        except Exception as error:
            explained = explain(error, {name: value for name, value in arguments.items() if _names_file(value)})
            if explained is None:
                raise
            raise explained from error

    return wrapped


def _is_path(value: object) -> bool:
    path = value.__fspath__() if isinstance(value, PathLike) else value
    return isinstance(path, str) and is_encodable(path)


def _is_text(value: object) -> bool:
    """True for the text of a config: it has a section or several lines, and is not the name of a file."""
    return isinstance(value, str) and ("{" in value or "\n" in value) and not os.path.exists(value)


def _names_file(value: object) -> bool:
    return not isinstance(value, EasyRecConfig) and not _is_text(value)


def _is_list(value: object, is_item: Callable[[object], bool]) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and all(map(is_item, value))


_KINDS: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "AnyPath": ("a path in UTF-8 without NUL characters", _is_path),
    "AnyConfig": (
        "a path in UTF-8 without NUL characters, a text or an EasyRecConfig message",
        lambda value: isinstance(value, EasyRecConfig) or _is_path(value),
    ),
    "Sequence[AnyPath]": ("a list of paths", lambda value: _is_list(value, _is_path)),
    "Existing": (
        "one of refuse, overwrite and append",
        lambda value: isinstance(value, str) and value in get_args(Existing),
    ),
    "Sequence[str]": ("a list of strings", lambda value: _is_list(value, lambda item: isinstance(item, str))),
    "Mapping[str, Any]": (
        "a mapping of field paths to values",
        lambda value: isinstance(value, Mapping) and all(isinstance(key, str) for key in value),
    ),
    "int": ("a whole number from 1 up", lambda value: type(value) is int and value > 0),
    "bool": ("True or False", lambda value: isinstance(value, bool)),
    "str": ("a string", lambda value: isinstance(value, str)),
}
"""Annotation of a parameter -> its description, and the test of a value."""


@dataclass(frozen=True)
class Run:
    """Result of a training run.

    Attributes:
        model_dir: directory of its checkpoints and results.
        step: number of the last step.
        metrics: of the last evaluation by name; empty without evaluation.
        skipped_steps: number of steps that were not applied, with `nonfinite_loss: SKIP_STEP`.
    """

    model_dir: Path | StorePath
    step: int
    metrics: Mapping[str, float]
    skipped_steps: int = 0


@_guarded
def train(
    config: AnyConfig,
    model_dir: AnyPath | None = None,
    edit: Mapping[str, Any] | None = None,
    continue_train: bool = False,
    accept_new_data: bool = False,
) -> Run:
    """Train a model in this process and evaluate it.

    Args:
        config: path, text or message.
        model_dir: directory of checkpoints and results; replaces `model_dir` of the config.
        edit: changes to the config, as in `--edit_config_json`: path -> value.
        continue_train: resume from the last checkpoint in `model_dir`.
        accept_new_data: start an epoch over the present files if that checkpoint is inside of an epoch over others.

    Raises:
        ConfigError: lists all problems of the config.
        CheckpointError: `model_dir` already holds a checkpoint, or one that is damaged or does not match the config.
        DataError: the data cannot be read.
        TrainingError: a loss was not finite.

    Example:
        >>> run = tzrec.train("my.config", model_dir="out", edit={"train_config.num_epochs": 5})
        >>> run.step
        39
        >>> sorted(run.metrics)
        ['auc_ctr', 'binary_cross_entropy_ctr']
    """
    checked = load_checked(_given(config), _edits(edit, model_dir=model_dir), available_device)
    from tzrec.run.train import train as train_config  # imports torch

    outcome = train_config(checked, continue_train, accept_new_data=accept_new_data)
    return Run(to_path(checked.model_dir), outcome.step, outcome.metrics, outcome.skipped.num_steps)


@_guarded
def evaluate(
    config: AnyConfig,
    checkpoint_path: AnyPath | None = None,
    eval_input_path: AnyPath | None = None,
    edit: Mapping[str, Any] | None = None,
) -> Mapping[str, float]:
    """Evaluate a checkpoint, and append the result to `eval_result.txt` in the model directory.

    Args:
        config: path, text or message, as `pipeline.config` in a model directory.
        checkpoint_path: a checkpoint, or a model directory for its newest valid checkpoint. Default: `model_dir` of the
            config.
        eval_input_path: comma list of globs; replaces `eval_input_path` of the config.
        edit: changes to the config: path -> value.

    Returns:
        Metrics and losses by name.

    Raises:
        ConfigError: lists all problems of the config.
        CheckpointError: there is no checkpoint, or it is damaged or of another model.
        DataError: the data cannot be read.

    Example:
        >>> metrics = tzrec.evaluate("model/pipeline.config", eval_input_path="log.csv")
        >>> metrics["auc_ctr"]
        1.0
    """
    checked = load_checked(_given(config), _edits(edit, eval_input_path=eval_input_path), available_device)
    from tzrec.run.evaluate import evaluate as evaluate_config

    return evaluate_config(checked, None if checkpoint_path is None else fspath(checkpoint_path))


@_guarded
def export(
    config: AnyConfig,
    export_dir: AnyPath,
    checkpoint_path: AnyPath | None = None,
    assets: Sequence[AnyPath] = (),
    edit: Mapping[str, Any] | None = None,
    sample_input_path: AnyPath | None = None,
) -> Path | StorePath:
    """Compile a checkpoint into a package for serving. Needs a C++ compiler.

    Args:
        config: path, text or message, as `pipeline.config` in a model directory.
        export_dir: directory of the package; new or empty.
        checkpoint_path: a checkpoint or a model directory. Default: selected by `export_config`.
        assets: further files to copy into the package.
        edit: changes to the config: path -> value.
        sample_input_path: comma list of globs: rows for the self-test and the sample request. Default: the training
            data if it is there, else synthetic rows.

    Returns:
        The directory of the package, for `load` and `predict`.

    Raises:
        ConfigError: lists all problems of the config.
        UsageError: the directory is not empty.
        CheckpointError: there is no checkpoint, or it is damaged or of another model.
        SetupError: there is no C++ compiler.
        PackageError: an asset is missing, or the package does not reproduce the outputs of the checkpoint.
        DataError: the rows of `sample_input_path` cannot be read.

    Example:
        >>> tzrec.export("model/pipeline.config", "export").name
        'export'
    """
    checked = load_checked(_given(config), dict(edit or {}))
    from tzrec.run.export import export as export_config

    directory = to_directory("export_dir", export_dir)
    export_config(
        checked,
        directory,
        None if checkpoint_path is None else fspath(checkpoint_path),
        [Path(asset) for asset in assets],
        sample_input_path="" if sample_input_path is None else fspath(sample_input_path),
    )
    return directory


@_guarded
def predict(
    input_path: AnyPath,
    output_path: AnyPath,
    package: AnyPath | None = None,
    config: AnyConfig | None = None,
    checkpoint_path: AnyPath | None = None,
    reserved_columns: Sequence[str] = (),
    edit: Mapping[str, Any] | None = None,
    existing: Existing = "refuse",
) -> int:
    """Score files with a package or with a checkpoint; `load` scores tables in memory.

    Args:
        input_path: comma list of globs. Labels are not needed.
        output_path: directory for the scores.
        package: directory of a package.
        config: instead of a package: path, text or message, as `pipeline.config` in a model directory.
        checkpoint_path: with a config: a checkpoint or a model directory. Default: selected by `export_config`.
        reserved_columns: input columns to copy to the output.
        edit: changes to the config: path -> value.
        existing: what becomes of scores in the output directory: "refuse" to start, "overwrite" them when the new ones
            are complete, or "append" those of the input files that are not scored in it yet.

    Returns:
        Number of rows written.

    Raises:
        UsageError: not exactly one of `package` and `config` is given, or the output directory holds something else.
        PackageError, CheckpointError: there is no model, or it is damaged.
        DataError: the data cannot be read.

    Example:
        >>> tzrec.predict("log.csv", "scores", package="package", reserved_columns=["user"])
        64
    """
    if (package is None) == (config is None):
        raise UsageError("pass either a package or a config")
    if package is not None:
        env.set_openmp_spin()
        from tzrec.serving.predictor import package_config

        checked = package_config(package, edit)
    else:
        assert config is not None
        checked = load_checked(_given(config), dict(edit or {}))
    from tzrec.run.predict import PredictOptions
    from tzrec.run.predict import predict as predict_files

    return predict_files(
        checked,
        fspath(input_path),
        fspath(output_path),
        None if package is None else fspath(package),
        None if checkpoint_path is None else fspath(checkpoint_path),
        PredictOptions(reserved_columns=tuple(reserved_columns), existing=existing),
    )


@_guarded
def check(
    config: AnyConfig, edit: Mapping[str, Any] | None = None, data: AnyPath | None = None, device: str | None = None
) -> list[Problem]:
    """Find all problems of a config, and of the first batch of its data. Starts nothing.

    Args:
        config: path, text or message.
        edit: changes to the config: path -> value.
        data: comma list of globs. Default: `train_input_path` of the config if it is local.
        device: "cpu" or "cuda". Default: the device of this machine.

    Returns:
        The problems; empty for a valid config.

    Raises:
        ConfigError: the file cannot be read, or an edit names no field.

    Example:
        >>> tzrec.check("my.config")
        []
        >>> [problem.field for problem in tzrec.check("my.config", edit={"data_config.batch_size": 0})]
        ['data_config.batch_size']
    """
    from tzrec.run.check import check as check_config

    return list(check_config(_given(config), edit, None if data is None else fspath(data), device).problems)


@_guarded
def init(
    train_input_path: AnyPath,
    label_fields: Sequence[str],
    output_config: AnyPath,
    eval_input_path: AnyPath | None = None,
    model_dir: AnyPath | None = None,
    features: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
) -> SuggestResult:
    """Scan the data once and write a first config, with a feature for each column and a model.

    Args:
        train_input_path: comma list of globs.
        label_fields: columns to predict.
        output_config: file to write; an existing one is replaced.
        eval_input_path: evaluation data. Default: a tenth of the training rows, held out.
        model_dir: `model_dir` of the config. Default: `experiments/<name of the config>`.
        features: create features for these columns only.
        kinds: kinds of columns that the data shows wrongly: "number", "category", "both" or "skip".

    Returns:
        The config, and for each column what it is taken as, why, and its statistics.

    Raises:
        ConfigError: there is no label.
        DataError: the data cannot be read, or a label is not a number.

    Example:
        >>> result = tzrec.init("log.csv", ["clk"], "first.config")
        >>> [feature.WhichOneof("feature") for feature in result.config.feature_configs]
        ['id_feature']
        >>> tzrec.check("first.config")
        []
    """
    from tzrec.config.load import dump_compact
    from tzrec.data.atomic import write_text
    from tzrec.profile.init import init as init_config
    from tzrec.profile.initial_config import base_config
    from tzrec.profile.quantities import to_kinds

    train_path = fspath(train_input_path)
    eval_path = "" if eval_input_path is None else fspath(eval_input_path)
    directory = f"experiments/{Path(output_config).stem}" if model_dir is None else fspath(model_dir)
    result = init_config(base_config(train_path, eval_path, directory, label_fields), features, to_kinds(kinds or {}))
    write_text(fspath(output_config), dump_compact(result.config))
    return result


@_guarded
def load(path: AnyPath) -> Predictor:
    """Open an exported package, to score tables in memory.

    Args:
        path: directory of the package.

    Raises:
        PackageError: it is missing, damaged or too new.

    Example:
        >>> import pyarrow as pa
        >>> predictor = tzrec.load("package")
        >>> predictor.predict(pa.table({"user": ["0", "3"]})).column_names
        ['logits_ctr', 'probs_ctr']
    """
    env.set_openmp_spin()
    from tzrec.serving.predictor import load as load_package

    return load_package(fspath(path))


@_guarded
def tune(
    config: AnyConfig,
    space: AnyPath | None = None,
    num_trials: int | None = None,
    model_dir: AnyPath | None = None,
    edit: Mapping[str, Any] | None = None,
) -> TuneResult:
    """Search for better values of a config: train it with other ones, each time in a process, and keep the best.

    The values are chosen by the evaluations during training, on `eval_input_path` or the rows of `eval_split`. Ctrl-C
    stops the trials; the same call resumes them.

    Args:
        config: path, text or message.
        space: path of the config of the study, a `TuneConfig`: fields to vary, metric, sampler, ... Default: the usual
            fields of the config.
        num_trials: number of trials, those of earlier calls included. Default: that of the study, 20.
        model_dir: directory of the study. Default: `tune` in `model_dir` of the config.
        edit: changes to the config: path -> value.

    Returns:
        The best config and its gain over the given one, and all trials.

    Raises:
        ConfigError: lists all problems of the config, or of the config of the study.
        UsageError: the directory holds a study of another config or space.
        TrainingError: training with the given config failed, or no trial is complete.
        SetupError: Optuna is not installed, the extra `tune`.

    Example:
        >>> result = tzrec.tune("my.config", num_trials=1)
        >>> result.best_config.name, result.gain
        ('tuned.config', 0.0)
    """
    given = _given(config)
    checked = load_checked(given, dict(edit or {}), available_device)
    from tzrec.tuning.settings import load_settings
    from tzrec.tuning.tune import tune as tune_config

    settings = load_settings(checked, "" if space is None else fspath(space), num_trials=num_trials)
    return tune_config(given, checked, settings, "" if model_dir is None else fspath(model_dir))


def _given(config: AnyConfig) -> ConfigInput:
    if isinstance(config, EasyRecConfig):
        return config
    return ConfigText(config) if isinstance(config, str) and _is_text(config) else fspath(config)


def _edits(edit: Mapping[str, Any] | None, **path_by_field: AnyPath | None) -> dict[str, Any]:
    """Combine the edits of a caller with the arguments that replace fields of the config."""
    return dict(edit or {}) | {name: fspath(path) for name, path in path_by_field.items() if path is not None}
