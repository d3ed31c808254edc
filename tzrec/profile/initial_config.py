"""Parts of a first config from data alone: a feature per column, whose sizes `suggest_fields` adds, model, training."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from google.protobuf import text_format

from tzrec.config.checker import Checker
from tzrec.config.eval_split import evaluation_path
from tzrec.config.load import ConfigSource
from tzrec.config.rules.tasks import evaluation_results
from tzrec.config.sequences import feature_members
from tzrec.errors import DataError
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.data_format import set_data_format
from tzrec.profile.label_stats import RARE
from tzrec.profile.quantities import ColumnKind, Kind, kind_of
from tzrec.profile.rules import Suggestion, boundaries
from tzrec.protos.data_pb2 import BadRowPolicy, DatasetType, FgMode
from tzrec.protos.feature_pb2 import FeatureConfig
from tzrec.protos.pipeline_pb2 import EasyRecConfig

GROUP = "all"
_ERROR = "mean_squared_error"
_KIND_TEXT = {Kind.QUANTITY: "a quantity", Kind.NAME: "a category", Kind.EITHER: "both a category and a quantity"}
MAX_CLASSES = 50
MIN_KEY_VALUES = 1000
KEY_SHARE = 0.9
"""A column of at least MIN_KEY_VALUES values of which more than this share are distinct is a key of the rows."""

_TRAIN = """
sparse_optimizer { adagrad_optimizer { lr: 0.02 } constant_learning_rate {} }
dense_optimizer { adam_optimizer { lr: 0.001 } constant_learning_rate {} }
"""
_ONE_TASK = f"""
multi_tower {{ towers {{ input: "{GROUP}" mlp {{ hidden_units: [256, 128] }} }} final {{ hidden_units: [64] }} }}
"""
_SEVERAL_TASKS = """
mmoe { num_expert: 3 expert_mlp { hidden_units: [256, 128] } }
"""


MIN_SPLIT_ROWS = 100
"""Rows from which on a part is held out; of fewer rows it says nothing."""
_SPLIT = 0.1
_MAX_EPOCHS, _PATIENCE = 20, 3
_EPOCH_ROWS = 20_000_000
"""Rows that all epochs read at most."""
_STEPS, _BATCH_SIZES = 200, (64, 1024)
"""Steps of an epoch, where batches of these sizes allow it."""


def base_config(train_path: str, eval_path: str, model_dir: str, labels: Sequence[str]) -> EasyRecConfig:
    """Create a config that names only the data and the labels; `suggest.init` adds features, model and training.

    Args:
        train_path: training data.
        eval_path: evaluation data; "" to hold out a part of the training data.
        model_dir: directory of the model.
        labels: columns to predict.

    Raises:
        DataError: the cells of text are separated by more than one character.
    """
    config = EasyRecConfig(train_input_path=train_path, eval_input_path=eval_path, model_dir=model_dir)
    data = config.data_config
    set_data_format(data, train_path, labels)
    data.fg_mode, data.shuffle = FgMode.FG_DAG, True
    data.label_fields.extend(labels)
    return config


def unreadable_columns(batch: pa.RecordBatch) -> dict[str, str]:
    """Map each column that no feature can read to the reason, by the rows of one batch."""
    reason_by_column = {}
    for name in batch.schema.names:
        try:
            ColumnStats(name).add(batch.column(name))
        except DataError:
            reason_by_column[name] = f"no feature reads {batch.column(name).type}"
    return reason_by_column


def add_features(
    config: EasyRecConfig, columns: Sequence[ColumnStats], kind_by_column: Mapping[str, Kind] | None = None
) -> tuple[Suggestion, list[str]]:
    """Replace all features by those of each column that carries information.

    A name of something is an id. A quantity is two features: the number, and a bucket of equal frequency with an
    embedding, which learns what is not monotonic.

    Args:
        config: to change.
        columns: statistics of the columns.
        kind_by_column: kinds that the user gives.

    Returns:
        the change, and notes on columns that are left out and on the kinds of columns of numbers.
    """
    given = kind_by_column or {}
    old = _feature_names(config)
    config.ClearField("feature_configs")
    notes, names = [], set[str]()
    for stats in columns:
        kind = ColumnKind(given[stats.name]) if stats.name in given else kind_of(stats)
        reason = _exclusion_reason(stats, kind.kind)
        if reason:
            notes.append(f'column "{stats.name}" is left out: {reason}')
            continue
        if kind.evidence:
            other = Kind.NAME if kind.kind == Kind.QUANTITY else Kind.QUANTITY
            override = f"--as {stats.name}={other.value} reads it otherwise"
            notes.append(f'column "{stats.name}" is {_KIND_TEXT[kind.kind]}: {kind.evidence}; {override}')
        config.feature_configs.extend(_features(_new_name(stats.name, names), stats, kind.kind, names))
    return Suggestion(_feature_names(config), "one for each column", "feature_configs", old), notes


def _feature_names(config: EasyRecConfig) -> list[str] | None:
    """Names of the features of a config, None if there are none."""
    members = (member for feature in config.feature_configs for member in feature_members(feature))
    return [member.message.feature_name for member in members] or None


def _new_name(column: str, names: set[str]) -> str:
    """A name for a feature of a column that no other one has; adds it to the names."""
    name = re.sub(r"\W", "_", column)
    while name in names:
        name += "_"
    names.add(name)
    return name


def _exclusion_reason(stats: ColumnStats, kind: Kind) -> str:
    """Reason to create no feature for a column, "" if there is none."""
    if kind == Kind.SKIPPED:
        return "--as says so"
    if ":" in stats.name:
        return "an expression cannot contain the colon of its name; rename it"
    if not stats.values:
        return "it holds no values"
    if stats.distinct == 1 and not stats.missing:
        return "it has the same value in all rows"
    if kind == Kind.QUANTITY:
        least, most = stats.widths
        return f"rows with {least} to {most} numbers have no fixed width" if least < most else ""
    if stats.values >= MIN_KEY_VALUES and stats.distinct > KEY_SHARE * stats.values:
        return f"nearly every row has its own value, {stats.distinct:,} in {stats.values:,}"
    return ""


def _features(name: str, stats: ColumnStats, kind: Kind, names: set[str]) -> Iterator[FeatureConfig]:
    """Yield the features of a column."""
    expression = f"{'user' if stats.name.lower().startswith('user') else 'item'}:{stats.name}"
    if kind in (Kind.NAME, Kind.EITHER):
        yield FeatureConfig(id_feature={"feature_name": name, "expression": expression})
    if kind == Kind.QUANTITY:
        dim = {"value_dim": stats.widths[1]} if stats.widths[1] > 1 else {}
        yield FeatureConfig(raw_feature={"feature_name": name, "expression": expression, **dim})
    edges = boundaries(stats) if kind != Kind.NAME and stats.widths[1] == 1 and stats.numbers else None
    if edges is not None and len(edges.value) > 1:  # type: ignore[arg-type]
        bucket = {"feature_name": _new_name(f"{name}_bucket", names), "expression": expression}
        yield FeatureConfig(raw_feature={**bucket, "boundaries": edges.value})


def tolerate_bad_rows(
    config: EasyRecConfig, columns: Sequence[ColumnStats], labels: Sequence[ColumnStats]
) -> Iterator[Suggestion]:
    """Set bad_row_policy so that rows with invalid values or without labels do not stop training."""
    data = config.data_config
    not_finite = [stats.name for stats in columns if kind_of(stats).kind == Kind.QUANTITY and not stats.is_numeric]
    unlabeled = [stats.name for stats in labels if stats.missing]
    if data.bad_row_policy == BadRowPolicy.ERROR and (not_finite or unlabeled):
        data.bad_row_policy = BadRowPolicy.DEFAULT
        reasons = [f"{name} has values that are not finite" for name in not_finite]
        reasons += [f"rows without {name} are left out" for name in unlabeled]
        yield Suggestion("DEFAULT", "; ".join(reasons), "data_config.bad_row_policy", "ERROR")


def add_training(config: EasyRecConfig, rows: int) -> Iterator[Suggestion]:
    """Set train_config, batches and the best checkpoint, by the number of rows; the model is set already.

    With evaluations, training lasts until they no longer improve, and the best checkpoint is exported.
    """
    train, data = config.train_config, config.data_config
    text_format.Parse(_TRAIN, train)
    yield Suggestion("Adagrad and Adam", "of embedding tables and of dense parameters", "train_config")
    if not data.HasField("batch_size"):
        least, most = _BATCH_SIZES
        data.batch_size = min(max(2 ** round(math.log2(max(rows / _STEPS, 1))), least), most)
        yield Suggestion(data.batch_size, f"about {_STEPS} steps of {rows:,} rows", "data_config.batch_size")
    train.num_epochs = min(max(_EPOCH_ROWS // max(rows, 1), 1), _MAX_EPOCHS)
    metrics = evaluation_results(Checker(ConfigSource(config)))
    if not evaluation_path(config) or train.num_epochs == 1:
        yield Suggestion(train.num_epochs, f"of {rows:,} rows", "train_config.num_epochs")
        return
    train.save_checkpoints_epochs = train.keep_checkpoint_max = train.keep_checkpoint_best = 1
    train.early_stopping.metric = config.export_config.best_exporter_metric = metrics[0]
    train.early_stopping.patience, config.export_config.exporter_type = _PATIENCE, "best"
    if metrics[0].startswith(_ERROR):
        train.early_stopping.larger_is_better = config.export_config.metric_larger_is_better = False
    reason = f"at most; training ends when {metrics[0]} has not improved in {_PATIENCE} epochs, and the best one counts"
    yield Suggestion(train.num_epochs, reason, "train_config.num_epochs")


def hold_out(config: EasyRecConfig, rows: int) -> Iterator[Suggestion]:
    """Hold a part of the training data out, if there is no other evaluation data and enough of it."""
    if evaluation_path(config) or rows < MIN_SPLIT_ROWS:
        return
    config.data_config.eval_split.fraction = _SPLIT
    reason = "of the rows are evaluated and not trained on; for rows with times give column and from"
    yield Suggestion(_SPLIT, reason, "data_config.eval_split.fraction")


def add_model(config: EasyRecConfig, labels: Sequence[ColumnStats]) -> Suggestion:
    """Set model_config to a model with a task for each label, on one group of all features.

    Raises:
        DataError: a label is not a number.
    """
    model = config.model_config
    model.feature_groups.add(group_name=GROUP, feature_names=_feature_names(config), group_type="DEEP")
    for stats in labels:
        is_text = config.data_config.dataset_type != DatasetType.CsvDataset and pa.types.is_string(stats.kind)
        if is_text or not stats.is_numeric:
            raise DataError(f'label column "{stats.name}" is {stats.kind}; a label must be a number')
    if len(labels) == 1:
        text_format.Merge(_ONE_TASK, model)
        _add_task(model, labels[0])
        return Suggestion("multi_tower", f"one label, {labels[0].name}", "model_config")
    text_format.Merge(_SEVERAL_TASKS, model)
    for stats in labels:
        tower = model.mmoe.task_towers.add(tower_name=re.sub(r"\W", "_", stats.name), label_name=stats.name)
        tower.mlp.hidden_units.append(64)
        _add_task(tower, stats)
    return Suggestion("mmoe", f"{len(labels)} labels", "model_config")


def _add_task(task: Any, label: ColumnStats) -> None:
    """Set loss, metric and number of classes: 0 and 1 are classes, and so are integers from 0 to a few.

    The scores of rare positives are close together, so that their area is computed exactly.
    """
    num_classes = int(label.moments.most) + 1
    are_classes = label.is_whole and label.moments.least >= 0
    if are_classes and num_classes <= 2:
        is_rare = num_classes == 2 and label.moments.mean < RARE
        metric = "auc { thresholds: 0 }" if is_rare else "auc {}"
        text = f"losses {{ binary_cross_entropy {{}} }} metrics {{ {metric} }}"
    elif are_classes and num_classes <= MAX_CLASSES and not pa.types.is_floating(label.kind):
        text = f"num_class: {num_classes} losses {{ softmax_cross_entropy {{}} }} metrics {{ accuracy {{}} }}"
    else:
        text = f"losses {{ l2_loss {{}} }} metrics {{ {_ERROR} {{}} }}"
    text_format.Merge(text, task)
