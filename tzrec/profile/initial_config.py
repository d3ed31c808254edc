"""Parts of a first config from data alone: a feature per column, whose sizes `suggest_fields` adds, model, training."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
from google.protobuf import text_format

from tzrec.config.sequences import feature_members
from tzrec.errors import DataError
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.data_format import set_data_format
from tzrec.profile.label_stats import RARE
from tzrec.profile.rules import Suggestion
from tzrec.protos.data_pb2 import BadRowPolicy, DatasetType, FgMode
from tzrec.protos.feature_pb2 import FeatureConfig
from tzrec.protos.pipeline_pb2 import EasyRecConfig

GROUP = "all"
MAX_CLASSES = 50
MIN_KEY_VALUES = 1000
KEY_SHARE = 0.9
"""A column of at least MIN_KEY_VALUES values of which more than this share are distinct is a key of the rows."""

_TRAIN = """
num_epochs: 1
sparse_optimizer { adagrad_optimizer { lr: 0.02 } constant_learning_rate {} }
dense_optimizer { adam_optimizer { lr: 0.001 } constant_learning_rate {} }
"""
_ONE_TASK = f"""
multi_tower {{ towers {{ input: "{GROUP}" mlp {{ hidden_units: [256, 128] }} }} final {{ hidden_units: [64] }} }}
"""
_SEVERAL_TASKS = """
mmoe { num_expert: 3 expert_mlp { hidden_units: [256, 128] } }
"""


def base_config(train_path: str, eval_path: str, model_dir: str, labels: Sequence[str]) -> EasyRecConfig:
    """Create a config that names only the data and the labels; `suggest.init` adds features, model and training.

    Raises:
        DataError: the cells of text are separated by more than one character.
    """
    config = EasyRecConfig(train_input_path=train_path, eval_input_path=eval_path, model_dir=model_dir)
    data = config.data_config
    set_data_format(data, train_path, labels)
    data.fg_mode = FgMode.FG_DAG
    data.batch_size, data.shuffle = 1024, True
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


def add_features(config: EasyRecConfig, columns: Sequence[ColumnStats]) -> tuple[Suggestion, list[str]]:
    """Replace all features by one for each column that carries information.

    Returns:
        the change, and notes on columns that are left out and on numbers that might be ids.
    """
    old = _feature_names(config)
    config.ClearField("feature_configs")
    notes, names = [], set[str]()
    for stats in columns:
        reason = _exclusion_reason(stats)
        if reason:
            notes.append(f'column "{stats.name}" is left out: {reason}')
            continue
        if _is_quantity(stats) and stats.is_whole:
            notes.append(f'column "{stats.name}" is floating point and therefore a quantity; ids are integers')
        name = re.sub(r"\W", "_", stats.name)
        while name in names:
            name += "_"
        names.add(name)
        config.feature_configs.append(_feature(name, stats))
    return Suggestion(_feature_names(config), "one for each column", "feature_configs", old), notes


def _feature_names(config: EasyRecConfig) -> list[str] | None:
    """Names of the features of a config, None if there are none."""
    members = (member for feature in config.feature_configs for member in feature_members(feature))
    return [member.message.feature_name for member in members] or None


def _exclusion_reason(stats: ColumnStats) -> str:
    """Reason to create no feature for a column, "" if there is none."""
    if ":" in stats.name:
        return "an expression cannot contain the colon of its name; rename it"
    if not stats.values:
        return "it holds no values"
    if stats.distinct == 1 and not stats.missing:
        return "it has the same value in all rows"
    if _is_quantity(stats):
        least, most = stats.widths
        return f"rows with {least} to {most} numbers have no fixed width" if least < most else ""
    if stats.values >= MIN_KEY_VALUES and stats.distinct > KEY_SHARE * stats.values:
        return f"nearly every row has its own value, {stats.distinct:,} in {stats.values:,}"
    return ""


def _is_quantity(stats: ColumnStats) -> bool:
    """True if a column holds numbers that are not whole, and therefore no ids."""
    floating = pa.types.is_floating(_inner(stats.kind)) and stats.numbers > 0
    return floating or (stats.is_numeric and not stats.is_whole)


def _inner(kind: pa.DataType) -> pa.DataType:
    return _inner(kind.value_type) if pa.types.is_list(kind) else kind


def _feature(name: str, stats: ColumnStats) -> FeatureConfig:
    expression = f"{'user' if stats.name.lower().startswith('user') else 'item'}:{stats.name}"
    if not _is_quantity(stats):
        return FeatureConfig(id_feature={"feature_name": name, "expression": expression})
    dim = {"value_dim": stats.widths[1]} if stats.widths[1] > 1 else {}
    return FeatureConfig(raw_feature={"feature_name": name, "expression": expression, **dim})


def tolerate_bad_rows(
    config: EasyRecConfig, columns: Sequence[ColumnStats], labels: Sequence[ColumnStats]
) -> Iterator[Suggestion]:
    """Set bad_row_policy so that rows with invalid values or without labels do not stop training."""
    data = config.data_config
    not_finite = [stats.name for stats in columns if _is_quantity(stats) and not stats.is_numeric]
    unlabeled = [stats.name for stats in labels if stats.missing]
    if data.bad_row_policy == BadRowPolicy.ERROR and (not_finite or unlabeled):
        data.bad_row_policy = BadRowPolicy.DEFAULT
        reasons = [f"{name} has values that are not finite" for name in not_finite]
        reasons += [f"rows without {name} are left out" for name in unlabeled]
        yield Suggestion("DEFAULT", "; ".join(reasons), "data_config.bad_row_policy", "ERROR")


def add_training(config: EasyRecConfig) -> Suggestion:
    """Set train_config to one epoch with the usual optimizers."""
    text_format.Parse(_TRAIN, config.train_config)
    return Suggestion("1 epoch", "Adagrad for embedding tables, Adam for dense parameters", "train_config")


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
        text = "losses { l2_loss {} } metrics { mean_squared_error {} }"
    text_format.Merge(text, task)
