"""Model and training of a first config, by the labels and the number of rows."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
from google.protobuf import text_format

from tzrec.config.checker import Checker
from tzrec.config.eval_split import evaluation_path
from tzrec.config.load import ConfigSource
from tzrec.config.rules.tasks import evaluation_results
from tzrec.errors import DataError
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.label_stats import RARE
from tzrec.profile.rules import FEW_ROWS, Suggestion
from tzrec.profile.written_lists import group_of_features
from tzrec.protos.data_pb2 import DatasetType
from tzrec.protos.pipeline_pb2 import EasyRecConfig

GROUP = "all"
_ERROR = "mean_squared_error"
MAX_CLASSES = 50
_TRAIN = """
sparse_optimizer { adagrad_optimizer { lr: 0.02 } constant_learning_rate {} }
dense_optimizer { adam_optimizer { lr: 0.001 } constant_learning_rate {} ema { decay: 0.98 } }
"""
_ONE_TASK = f"""
multi_tower {{ towers {{ input: "{GROUP}" mlp {{ hidden_units: [256, 128] }} }} final {{ hidden_units: [64] }} }}
"""
_SEVERAL_TASKS = """
mmoe { num_expert: 3 expert_mlp { hidden_units: [256, 128] } }
"""
_DROPOUT = 0.1
"""Dropout of the model of one task, for few rows."""

_EXACT_ROWS = 20_000_000
"""Rows up to which a held-out part keeps all of its scores for an exact area: 2 million, of 24 MB."""
MIN_SPLIT_ROWS = 100
"""Rows from which on a part is held out; of fewer rows it says nothing."""
_SPLIT = 0.1
_AREA, _LOG_LOSS = "auc", "binary_cross_entropy"
_MAX_EPOCHS, _PATIENCE = 20, 3
_MAX_STEPS = 4000
"""Steps that a run of many short epochs may take."""
_EVALUATIONS, _EVALUATION_STEPS = 4, 50
"""Evaluations of an epoch, and least steps between two: a table with an id learns rows by heart within an epoch."""
_PATIENCE_STEPS, _PATIENCE_ROWS = (400, 1000), 10
"""Least and most steps without an improvement, and the rows for each where there are rows for more than the least."""
_EPOCH_ROWS = 20_000_000
"""Rows that all epochs read at most."""
_WINDOW_ROWS = 1 << 19
"""Rows that are shuffled together at most, which are in memory."""
_STEPS, _BATCH_SIZES = 200, (64, 1024)
"""Steps of an epoch, where batches of these sizes allow it."""


def add_training(config: EasyRecConfig, rows: int, sorted_by: str = "") -> Iterator[Suggestion]:
    """Set train_config, batches and the best checkpoint, by the number of rows; the model is set already.

    With evaluations, training lasts until they no longer improve, and the best checkpoint is exported.

    Args:
        config: to change.
        rows: number of rows.
        sorted_by: label that the rows are sorted by, "" if they are not.
    """
    train, data = config.train_config, config.data_config
    text_format.Parse(_TRAIN, train)
    yield Suggestion("Adagrad and Adam", "of embedding tables and of dense parameters", "train_config")
    if not data.HasField("batch_size"):
        least, most = _BATCH_SIZES
        data.batch_size = min(max(2 ** round(math.log2(max(rows / _STEPS, 1))), least), most)
        yield Suggestion(data.batch_size, f"about {_STEPS} steps of {rows:,} rows", "data_config.batch_size")
    if sorted_by and rows > data.batch_size * data.shuffle_buffer_size:
        data.shuffle_buffer_size = math.ceil(min(rows, _WINDOW_ROWS) / data.batch_size)
        window = "all of them" if rows <= _WINDOW_ROWS else f"{_WINDOW_ROWS:,} of them; better shuffle the files"
        reason = f"the rows are sorted by {sorted_by}, so that batches would have one value: shuffles {window}"
        yield Suggestion(data.shuffle_buffer_size, reason, "data_config.shuffle_buffer_size")
    steps = max(round(rows * (1 - _SPLIT) / data.batch_size), 1)
    most_epochs = max(_MAX_EPOCHS, math.ceil(_MAX_STEPS / steps))
    train.num_epochs = min(max(_EPOCH_ROWS // max(rows, 1), 1), most_epochs)
    if not evaluation_path(config) or train.num_epochs == 1:
        yield Suggestion(train.num_epochs, f"of {rows:,} rows", "train_config.num_epochs")
        return
    watched = _watched_result(evaluation_results(Checker(ConfigSource(config))), rows)
    train.save_checkpoints_steps = max(_EVALUATION_STEPS, math.ceil(steps / _EVALUATIONS))
    train.keep_checkpoint_max = train.keep_checkpoint_best = 1
    train.early_stopping.metric = config.export_config.best_exporter_metric = watched
    fewest, longest = _PATIENCE_STEPS
    wait = min(max(rows // _PATIENCE_ROWS, fewest), longest)
    patience = max(_PATIENCE, math.ceil(wait / train.save_checkpoints_steps))
    train.early_stopping.patience, config.export_config.exporter_type = patience, "best"
    if watched.startswith((_ERROR, _LOG_LOSS)):
        train.early_stopping.larger_is_better = config.export_config.metric_larger_is_better = False
    waited = f"{patience * train.save_checkpoints_steps:,} steps"
    reason = f"at most; training ends when {watched} has not improved in {waited}, and the best one counts"
    if watched.startswith(_LOG_LOSS):
        reason += "; of few rows a loss says more than an area"
    yield Suggestion(train.num_epochs, reason, "train_config.num_epochs")


def _watched_result(results: Sequence[str], rows: int) -> str:
    """Choose the result of evaluations that ends training: the metric of the first label, of few rows a log loss.

    An area over some hundred rows jumps by more than training gains; a loss counts by how much each row is wrong.
    """
    metric = results[0]
    loss = metric.replace(_AREA, _LOG_LOSS, 1)
    return loss if rows <= FEW_ROWS and metric.startswith(_AREA) and loss in results else metric


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
    model.feature_groups.append(group_of_features(config, GROUP))
    for stats in labels:
        if not stats.values:
            raise DataError(f'label column "{stats.name}" holds no number in any row')
        is_text = config.data_config.dataset_type != DatasetType.CsvDataset and pa.types.is_string(stats.kind)
        if is_text or not stats.is_numeric:
            raise DataError(f'label column "{stats.name}" is {stats.kind}; a label must be a number')
    num_listed = {entry.label: len(entry.values) for entry in config.data_config.label_values}
    if len(labels) == 1:
        text_format.Merge(_ONE_TASK, model)
        _add_task(model, labels[0], num_listed.get(labels[0].name, 0))
        reason = f"one label, {labels[0].name}"
        if labels[0].rows <= FEW_ROWS:
            for mlp in (model.multi_tower.towers[0].mlp, model.multi_tower.final):
                mlp.dropout_ratio.append(_DROPOUT)
            reason += f"; with dropout, for {labels[0].rows:,} rows"
        return Suggestion("multi_tower", reason, "model_config")
    text_format.Merge(_SEVERAL_TASKS, model)
    for stats in labels:
        tower = model.mmoe.task_towers.add(tower_name=re.sub(r"\W", "_", stats.name), label_name=stats.name)
        tower.mlp.hidden_units.append(64)
        _add_task(tower, stats, num_listed.get(stats.name, 0))
    return Suggestion("mmoe", f"{len(labels)} labels", "model_config")


def _scale(label: ColumnStats) -> str:
    """Mean and standard deviation of a label that is a quantity; "" of a constant."""
    mean, deviation = label.moments.mean, label.moments.deviation
    return f"mean: {mean:.6g} standard_deviation: {deviation:.6g}" if deviation else ""


def _add_task(task: Any, label: ColumnStats, num_listed: int) -> None:
    """Set loss, metric and number of classes: 0 and 1 are classes, and so are integers from 0 to a few.

    The area is computed exactly, but of many rows: bins would tie close scores, and early stopping compares areas that
    differ little. The scores of rare positives are close together, so that theirs is exact for any number of rows.

    Args:
        task: to change.
        label: statistics of its numbers.
        num_listed: values that the config lists for it, 0 if it has none.
    """
    num_classes = max(int(label.moments.most) + 1, num_listed)
    are_classes = label.is_whole and label.moments.least >= 0
    if are_classes and num_classes <= 2:
        is_exact = label.rows <= _EXACT_ROWS or label.moments.mean < RARE
        metric = "auc { thresholds: 0 }" if is_exact else "auc {}"
        text = f"losses {{ binary_cross_entropy {{}} }} metrics {{ {metric} }}"
    elif are_classes and num_classes <= MAX_CLASSES and not pa.types.is_floating(label.kind):
        text = f"num_class: {num_classes} losses {{ softmax_cross_entropy {{}} }} metrics {{ accuracy {{}} }}"
    else:
        text = f"losses {{ l2_loss {{ {_scale(label)} }} }} metrics {{ {_ERROR} {{}} }}"
    text_format.Merge(text, task)
