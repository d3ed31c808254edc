"""Python API: one function for each command of the command line.

A config is a path, an `EasyRecConfig` message or a text: a string with a brace or a newline, protobuf text or JSON. All
functions are silent: to see the lines of a run, add a handler to the logger "tzrec". The examples use a config
`my.config` and its data `log.csv` in the current folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from tzrec import env
from tzrec.config.build import build_config as build
from tzrec.config.check import load_checked
from tzrec.data.existing import Existing
from tzrec.errors import Problem, UsageError
from tzrec.run.arguments import AnyConfig, AnyData, AnyPath, guarded, to_input
from tzrec.run.device import available_device
from tzrec.run.frame_files import FrameFiles, is_frame, train_edits
from tzrec.storage.path import StorePath, to_directory, to_path

if TYPE_CHECKING:
    from tzrec.profile.suggest import SuggestResult
    from tzrec.run.listeners import Listener
    from tzrec.serving.predictor import Predictor
    from tzrec.tuning.tune import TuneResult

__all__ = ["Run", "build_config", "check", "evaluate", "export", "init", "load", "predict", "train", "tune"]

build_config = guarded(build)


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


@guarded
def train(
    config: AnyConfig,
    model_dir: AnyPath | None = None,
    edit: Mapping[str, Any] | None = None,
    continue_train: bool = False,
    accept_new_data: bool = False,
    train: AnyData | None = None,
    eval: AnyData | None = None,
    progress: bool = False,
    listeners: Sequence[Listener] = (),
) -> Run:
    """Train a model in this process and evaluate it.

    Args:
        config: path, text or message.
        model_dir: directory of checkpoints and results; replaces `model_dir` of the config.
        edit: changes to the config, as in `--edit_config_json`: path -> value.
        continue_train: resume from the last checkpoint in `model_dir`.
        accept_new_data: start an epoch over the present files if that checkpoint is inside of an epoch over others.
        train: frame or comma list of globs; replaces `train_input_path` of the config. A run over a frame is resumed
            with an equal frame.
        eval: the same for `eval_input_path`. With a training frame alone, rows of `eval_split` are evaluated, or none.
        progress: draw a progress bar, and print a line for each evaluation.
        listeners: objects with the methods of `tzrec.run.listeners.Listener`, called during the run.

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
        >>> frame = {"user": [0, 1, 2, 3] * 16, "clk": [1, 1, 0, 0] * 16}  # or of pandas, polars or pyarrow
        >>> tzrec.train("my.config", model_dir="framed", train=frame, eval=frame).metrics["auc_ctr"]
        1.0
    """
    with FrameFiles({"train_input_path": "train", "eval_input_path": "eval"}) as files:
        edits = _edits(edit, model_dir=model_dir) | train_edits(files, train, eval)
        checked = load_checked(to_input(config), edits, available_device)
        from tzrec.run.progress_bar import ProgressBar
        from tzrec.run.train import train as train_config  # imports torch

        shown = [*listeners, *([ProgressBar()] if progress else [])]
        outcome = train_config(checked, continue_train, accept_new_data=accept_new_data, listeners=shown)
    return Run(to_path(checked.model_dir), outcome.step, outcome.metrics, outcome.skipped.num_steps)


@guarded
def evaluate(
    config: AnyConfig,
    checkpoint_path: AnyPath | None = None,
    eval_input_path: AnyData | None = None,
    edit: Mapping[str, Any] | None = None,
) -> Mapping[str, float]:
    """Evaluate a checkpoint, and append the result to `eval_result.txt` in the model directory.

    Args:
        config: path, text or message, as `pipeline.config` in a model directory.
        checkpoint_path: a checkpoint, or a model directory for its newest valid checkpoint. Default: `model_dir` of the
            config.
        eval_input_path: frame or comma list of globs; replaces `eval_input_path` of the config.
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
    with FrameFiles() as files:
        edits = _edits(edit) | files.edits(eval_input_path=eval_input_path)
        checked = load_checked(to_input(config), edits, available_device)
        from tzrec.run.evaluate import evaluate as evaluate_config

        return evaluate_config(checked, None if checkpoint_path is None else fspath(checkpoint_path))


@guarded
def export(
    config: AnyConfig,
    export_dir: AnyPath,
    checkpoint_path: AnyPath | None = None,
    assets: Sequence[AnyPath] = (),
    edit: Mapping[str, Any] | None = None,
    sample_input_path: AnyData | None = None,
) -> Path | StorePath:
    """Compile a checkpoint into a package for serving. Needs a C++ compiler.

    Args:
        config: path, text or message, as `pipeline.config` in a model directory.
        export_dir: directory of the package; new or empty.
        checkpoint_path: a checkpoint or a model directory. Default: selected by `export_config`.
        assets: further files to copy into the package.
        edit: changes to the config: path -> value.
        sample_input_path: frame or comma list of globs: rows for the self-test and the sample request. Default: the
            training data if it is there, else synthetic rows.

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
    directory = to_directory("export_dir", export_dir)
    with FrameFiles() as files:
        sample = files.edits(sample_input_path=sample_input_path)
        sample_path = sample.pop("sample_input_path", "")
        checked = load_checked(to_input(config), _edits(edit) | sample)
        from tzrec.run.export import export as export_config

        checkpoint = None if checkpoint_path is None else fspath(checkpoint_path)
        export_config(checked, directory, checkpoint, [Path(asset) for asset in assets], sample_input_path=sample_path)
    return directory


@overload
def predict(
    input_path: AnyPath,
    output_path: AnyPath,
    package: AnyPath | None = None,
    config: AnyConfig | None = None,
    checkpoint_path: AnyPath | None = None,
    reserved_columns: Sequence[str] = (),
    edit: Mapping[str, Any] | None = None,
    existing: Existing = "refuse",
) -> int: ...


@overload
def predict(
    input_path: AnyData,
    output_path: None = None,
    package: AnyPath | None = None,
    config: AnyConfig | None = None,
    checkpoint_path: AnyPath | None = None,
    reserved_columns: Sequence[str] = (),
    edit: Mapping[str, Any] | None = None,
) -> Any: ...


@guarded
def predict(
    input_path: AnyData,
    output_path: AnyPath | None = None,
    package: AnyPath | None = None,
    config: AnyConfig | None = None,
    checkpoint_path: AnyPath | None = None,
    reserved_columns: Sequence[str] = (),
    edit: Mapping[str, Any] | None = None,
    existing: Existing = "refuse",
) -> Any:
    """Score files, or a frame, with a package or with a checkpoint; `load` keeps the model for further frames.

    Args:
        input_path: comma list of globs, or a frame. Labels are not needed.
        output_path: directory for the scores of files.
        package: directory of a package.
        config: instead of a package: path, text or message, as `pipeline.config` in a model directory.
        checkpoint_path: with a config: a checkpoint or a model directory. Default: selected by `export_config`.
        reserved_columns: input columns to copy to the output.
        edit: changes to the config: path -> value.
        existing: what becomes of scores in the output directory: "refuse" to start, "overwrite" them when the new ones
            are complete, or "append" those of the input files that are not scored in it yet.

    Returns:
        Of files the number of rows written; of a frame one with its rows in their order: the outputs of the model, then
        the reserved columns. It is of pandas, with the same index, or of polars, if the frame is; else a pyarrow.Table.

    Raises:
        UsageError: not exactly one of `package` and `config` is given, the output directory of files is missing or
            holds something else, or a frame has one.
        PackageError, CheckpointError: there is no model, or it is damaged.
        DataError: the data cannot be read.

    Example:
        >>> tzrec.predict("log.csv", "scores", package="package", reserved_columns=["user"])
        64
        >>> tzrec.predict({"user": [0, 3]}, config="model/pipeline.config").column_names
        ['logits_ctr', 'probs_ctr']
    """
    if (package is None) == (config is None):
        raise UsageError("pass either a package or a config")
    if is_frame(input_path) != (output_path is None):
        raise UsageError("predict: scores of files are written to output_path; those of a frame are returned, without")
    if package is not None:
        env.set_openmp_spin()
        from tzrec.serving.predictor import package_config

        checked = package_config(package, edit)
    else:
        assert config is not None
        checked = load_checked(to_input(config), dict(edit or {}))
    checkpoint = None if checkpoint_path is None else fspath(checkpoint_path)
    if output_path is None:
        from tzrec.run.load import score

        return score(checked, input_path, None if package is None else fspath(package), checkpoint, reserved_columns)
    from tzrec.run.predict import PredictOptions
    from tzrec.run.predict import predict as predict_files

    return predict_files(
        checked,
        fspath(input_path),
        fspath(output_path),
        None if package is None else fspath(package),
        checkpoint,
        PredictOptions(reserved_columns=tuple(reserved_columns), existing=existing),
    )


@guarded
def check(
    config: AnyConfig, edit: Mapping[str, Any] | None = None, data: AnyData | None = None, device: str | None = None
) -> list[Problem]:
    """Find all problems of a config, and of the first batch of its data. Starts nothing.

    Args:
        config: path, text or message.
        edit: changes to the config: path -> value.
        data: frame or comma list of globs. Default: `train_input_path` of the config if it is local.
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

    with FrameFiles({"train_input_path": "data"}) as files:
        edits, path = dict(edit or {}), None if data is None or is_frame(data) else fspath(data)
        if is_frame(data):
            edits |= files.edits(train_input_path=data)
            path = edits["train_input_path"]
        return list(check_config(to_input(config), edits, path, device).problems)


@guarded
def init(
    train_input_path: AnyData,
    label_fields: Sequence[str],
    output_config: AnyPath | None = None,
    eval_input_path: AnyPath | None = None,
    model_dir: AnyPath | None = None,
    features: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    merge_label_variants: bool = False,
) -> SuggestResult:
    """Scan the data once and write a first config, with a feature for each column and a model.

    Args:
        train_input_path: comma list of globs, or a frame, for which the config names no paths: `train` takes it again.
        label_fields: columns to predict.
        output_config: file to write; an existing one is replaced. Default: none, see the result.
        eval_input_path: evaluation data. Default: a tenth of the training rows, held out.
        model_dir: `model_dir` of the config. Default: `experiments/<name of the config>`, `first` without.
        features: create features for these columns only.
        kinds: kinds of columns that the data shows wrongly: "number", "category", "both", "values", "sequence",
            "weights", "time" or "skip".
        merge_label_variants: count texts of a label that differ only in case or in spaces around them as one value.

    Returns:
        The config, and for each column what it is taken as, why, and its statistics.

    Raises:
        ConfigError: there is no label.
        DataError: the data cannot be read, or a label is neither a number nor one of a few texts.

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

    name = "first" if output_config is None else Path(output_config).stem
    directory = f"experiments/{name}" if model_dir is None else fspath(model_dir)
    with FrameFiles() as files:
        paths = files.edits(train_input_path=train_input_path)
        eval_path = "" if eval_input_path is None else fspath(eval_input_path)
        config = base_config(paths["train_input_path"], eval_path, directory, label_fields)
        result = init_config(config, features, to_kinds(kinds or {}), is_merged=merge_label_variants)
    if is_frame(train_input_path):
        result.config.ClearField("train_input_path")
    if output_config is not None:
        write_text(fspath(output_config), dump_compact(result.config))
    return result


@guarded
def load(path: AnyPath) -> Predictor:
    """Open a package, a checkpoint or a model directory, to score tables in memory.

    Args:
        path: directory of the package or the checkpoint; or a model directory, for the checkpoint that `export_config`
            of its `pipeline.config` selects.

    Raises:
        PackageError: a package that is missing, damaged or too new.
        CheckpointError: there is no checkpoint, it is damaged or of another model.
        UsageError: the model of the checkpoint is one whose parts are exported.

    Example:
        >>> import pyarrow as pa
        >>> predictor = tzrec.load("package")
        >>> predictor.predict(pa.table({"user": ["0", "3"]})).column_names
        ['logits_ctr', 'probs_ctr']
        >>> tzrec.load("model").predict({"user": [0, 3]}).num_rows
        2
    """
    env.set_openmp_spin()
    from tzrec.run.load import load as load_model

    return load_model(fspath(path))


@guarded
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
    given = to_input(config)
    checked = load_checked(given, dict(edit or {}), available_device)
    from tzrec.tuning.settings import load_settings
    from tzrec.tuning.tune import tune as tune_config

    settings = load_settings(checked, "" if space is None else fspath(space), num_trials=num_trials)
    return tune_config(given, checked, settings, "" if model_dir is None else fspath(model_dir))


def _edits(edit: Mapping[str, Any] | None, **path_by_field: AnyPath | None) -> dict[str, Any]:
    """Combine the edits of a caller with the arguments that replace fields of the config."""
    return dict(edit or {}) | {name: fspath(path) for name, path in path_by_field.items() if path is not None}
