"""Parts of a first config that concern the data alone: its format, its labels, its bad rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from tzrec.errors import DataError
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.data_format import set_data_format
from tzrec.profile.quantities import Kind, kind_of
from tzrec.profile.rules import Suggestion
from tzrec.protos.data_pb2 import BadRowPolicy, FgMode
from tzrec.protos.pipeline_pb2 import EasyRecConfig


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
