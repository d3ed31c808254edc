"""Parts of a first config that concern the data alone: its format, its labels, its bad rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from tzrec.profile.column_reading import ColumnReading
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.data_format import set_data_format
from tzrec.profile.quantities import Kind
from tzrec.profile.rules import Suggestion
from tzrec.protos.data_pb2 import BadRowPolicy, FgMode
from tzrec.protos.pipeline_pb2 import EasyRecConfig

_MOST = float(np.finfo(np.float32).max)


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


def tolerate_bad_rows(
    config: EasyRecConfig, readings: Sequence[ColumnReading], labels: Sequence[ColumnStats]
) -> Iterator[Suggestion]:
    """Set bad_row_policy so that rows with invalid values or without labels do not stop training."""
    data = config.data_config
    reasons = [reason for reading in readings if (reason := _bad_values(reading))]
    reasons += [f"rows without {stats.name} are left out" for stats in labels if stats.missing]
    if data.bad_row_policy == BadRowPolicy.ERROR and reasons:
        data.bad_row_policy = BadRowPolicy.DEFAULT
        yield Suggestion("DEFAULT", "; ".join(reasons), "data_config.bad_row_policy", "ERROR")


def _is_huge(stats: ColumnStats) -> bool:
    """True for numbers that 32 bits do not hold."""
    return max(abs(stats.moments.least), abs(stats.moments.most)) > _MOST


def _bad_values(reading: ColumnReading) -> str:
    """Reason why a feature of the column may meet a bad value, "" if there is none."""
    stats = reading.stats
    if reading.is_left_out or stats is None:
        return ""
    if reading.kind in (Kind.QUANTITY, Kind.EITHER, Kind.VALUES) and stats.numbers and _is_huge(stats):
        return f"{reading.name} has numbers beyond {_MOST:.3g}"
    if stats.values == stats.numbers:
        return ""
    if reading.kind == Kind.TIME:
        return f"{reading.name} has values that are no times"
    is_text = pa.types.is_string(stats.kind)
    word = "no numbers" if is_text else "not finite"
    return f"{reading.name} has values that are {word}" if reading.kind in (Kind.QUANTITY, Kind.EITHER) else ""
