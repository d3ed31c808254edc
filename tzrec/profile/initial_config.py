"""A first config from nothing but data: a feature per column, everything about it left open for `propose`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
from google.protobuf import text_format

from tzrec.config.sequences import feature_members
from tzrec.errors import DataError
from tzrec.profile.column import ColumnStats
from tzrec.profile.suggestions import Suggestion
from tzrec.protos.data_pb2 import BadRowPolicy, DatasetType, FgMode
from tzrec.protos.feature_pb2 import FeatureConfig
from tzrec.protos.pipeline_pb2 import EasyRecConfig

GROUP = "all"
MOST_CLASSES = 50
KEY_ROWS = 1000
KEY_SHARE = 0.9
"""Among at least KEY_ROWS values, a column in which more than this share occur but once names rows, not things."""

_TRAIN = """
num_epochs: 1
sparse_optimizer { adagrad_optimizer { lr: 0.02 } constant_learning_rate {} }
dense_optimizer { adam_optimizer { lr: 0.001 } constant_learning_rate {} }
"""
_ONE_TASK = f"""
multi_tower {{ towers {{ input: "{GROUP}" mlp {{ hidden_units: [256, 128] }} }} final {{ hidden_units: [64] }} }}
"""
_TASKS = """
mmoe { num_expert: 3 expert_mlp { hidden_units: [256, 128] } }
"""


def start_config(train_path: str, eval_path: str, model_dir: str, labels: Sequence[str]) -> EasyRecConfig:
    """A config of nothing but data."""
    config = EasyRecConfig(train_input_path=train_path, eval_input_path=eval_path, model_dir=model_dir)
    data = config.data_config
    ending = train_path.rstrip("*").rsplit(".", 1)[-1].lower()
    data.dataset_type = DatasetType.CsvDataset if ending in ("csv", "tsv", "txt") else DatasetType.ParquetDataset
    if data.dataset_type == DatasetType.CsvDataset:
        data.with_header = True
        data.delimiter = "\t" if ending == "tsv" else ","
    data.fg_mode = FgMode.FG_DAG
    data.batch_size, data.shuffle = 1024, True
    data.label_fields.extend(labels)
    return config


def unreadable(batch: pa.RecordBatch) -> dict[str, str]:
    """Columns that no feature can read, and why, judged by some rows."""
    refused = {}
    for name in batch.schema.names:
        try:
            ColumnStats(name).add(batch.column(name))
        except DataError:
            refused[name] = f"no feature reads {batch.column(name).type}"
    return refused


def add_features(config: EasyRecConfig, columns: Sequence[ColumnStats]) -> tuple[Suggestion, list[str]]:
    """Put a feature for each column that can teach a model something in place of all there are.

    Returns:
        what has changed, and what may surprise: columns that are left out, ids that may be taken for quantities.
    """
    old = _feature_names(config)
    config.ClearField("feature_configs")
    notes, taken = [], set[str]()
    for stats in columns:
        reason = _useless(stats)
        if reason:
            notes.append(f'column "{stats.name}" is left out: {reason}')
            continue
        if _is_quantity(stats) and stats.is_whole:
            notes.append(f'column "{stats.name}" is floating point, so it is taken for a quantity; ids are integers')
        name = re.sub(r"\W", "_", stats.name)
        while name in taken:
            name += "_"
        taken.add(name)
        config.feature_configs.append(_feature(name, stats))
    return Suggestion("feature_configs", old, _feature_names(config), "one for each column"), notes


def _feature_names(config: EasyRecConfig) -> list[str] | None:
    """Names of the features as they stand in the config, None if there are none."""
    return [member.message.feature_name for each in config.feature_configs for member in feature_members(each)] or None


def _useless(stats: ColumnStats) -> str:
    if ":" in stats.name:
        return "a colon in its name cannot stand in an expression; rename it"
    if not stats.values:
        return "it holds nothing"
    if stats.distinct == 1 and not stats.missing:
        return "it has the same value in all rows"
    if _is_quantity(stats):
        least, most = stats.widths
        return f"rows with {least} to {most} numbers have no fixed width" if least < most else ""
    if stats.values >= KEY_ROWS and stats.distinct > KEY_SHARE * stats.values:
        return f"nearly every row has a value of its own, {stats.distinct:,} in {stats.values:,}"
    return ""


def _is_quantity(stats: ColumnStats) -> bool:
    """Whether a column holds numbers that are no ids: those that are not whole."""
    floating = pa.types.is_floating(_inner(stats.kind)) and stats.numbers > 0
    return floating or (stats.is_numeric and not stats.is_whole)


def _inner(kind: pa.DataType) -> pa.DataType:
    return _inner(kind.value_type) if pa.types.is_list(kind) else kind


def _feature(name: str, stats: ColumnStats) -> FeatureConfig:
    expression = f"{'user' if stats.name.lower().startswith('user') else 'item'}:{stats.name}"
    if not _is_quantity(stats):
        return FeatureConfig(id_feature={"feature_name": name, "expression": expression})
    wide = {"value_dim": stats.widths[1]} if stats.widths[1] > 1 else {}
    return FeatureConfig(raw_feature={"feature_name": name, "expression": expression, **wide})


def tolerate(
    config: EasyRecConfig, columns: Sequence[ColumnStats], labels: Sequence[ColumnStats]
) -> Iterator[Suggestion]:
    """Let training go on at rows that it would stop at."""
    data = config.data_config
    spoiled = [each.name for each in columns if _is_quantity(each) and not each.is_numeric]
    unlabelled = [each.name for each in labels if each.missing]
    if data.bad_row_policy == BadRowPolicy.ERROR and (spoiled or unlabelled):
        data.bad_row_policy = BadRowPolicy.DEFAULT
        why = [f"{name} has values that are not finite" for name in spoiled]
        why += [f"rows without {name} are left out" for name in unlabelled]
        yield Suggestion("data_config.bad_row_policy", "ERROR", "DEFAULT", "; ".join(why))


def add_training(config: EasyRecConfig) -> Suggestion:
    """Put in one pass with the usual optimizers."""
    text_format.Parse(_TRAIN, config.train_config)
    return Suggestion("train_config", None, "1 epoch", "Adagrad for tables, Adam for the rest")


def add_model(config: EasyRecConfig, labels: Sequence[ColumnStats]) -> Suggestion:
    """Put in a model with a task for each label, on one group of all features.

    Raises:
        DataError: a label is no number.
    """
    model = config.model_config
    model.feature_groups.add(group_name=GROUP, feature_names=_feature_names(config), group_type="DEEP")
    for stats in labels:
        is_text = config.data_config.dataset_type != DatasetType.CsvDataset and pa.types.is_string(stats.kind)
        if is_text or not stats.is_numeric:
            raise DataError(f'label column "{stats.name}" is {stats.kind}; a label is a number, so write it as one')
    if len(labels) == 1:
        text_format.Merge(_ONE_TASK, model)
        _add_task(model, labels[0])
        return Suggestion("model_config", None, "multi_tower", f"one label, {labels[0].name}")
    text_format.Merge(_TASKS, model)
    for stats in labels:
        tower = model.mmoe.task_towers.add(tower_name=re.sub(r"\W", "_", stats.name), label_name=stats.name)
        tower.mlp.hidden_units.append(64)
        _add_task(tower, stats)
    return Suggestion("model_config", None, "mmoe", f"{len(labels)} labels")


def _add_task(task: Any, label: ColumnStats) -> None:
    """Loss, metric and number of classes: 0 and 1 are classes, and so are whole numbers from 0 to few in integers."""
    classes = int(label.moments.most) + 1
    counts = label.is_whole and label.moments.least >= 0
    if counts and classes <= 2:
        text = "losses { binary_cross_entropy {} } metrics { auc {} }"
    elif counts and classes <= MOST_CLASSES and not pa.types.is_floating(label.kind):
        text = f"num_class: {classes} losses {{ softmax_cross_entropy {{}} }} metrics {{ accuracy {{}} }}"
    else:
        text = "losses { l2_loss {} } metrics { mean_squared_error {} }"
    text_format.Merge(text, task)
