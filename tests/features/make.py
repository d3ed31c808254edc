"""Features from config text, and what they make of a column."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from google.protobuf import text_format

from tzrec.features.bad_rows import BadRows
from tzrec.features.column import Column
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.protos import data_pb2, feature_pb2


def data_config(mode: str = "FG_DAG", text: str = "") -> data_pb2.DataConfig:
    return text_format.Parse(f"dataset_type: ParquetDataset fg_mode: {mode} {text}", data_pb2.DataConfig())


def encoder(*features: str, mode: str = "FG_DAG") -> FeatureEncoder:
    """An encoder of features given as `id_feature { ... }` text."""
    configs = [text_format.Parse(text, feature_pb2.FeatureConfig()) for text in features]
    return FeatureEncoder.from_config(configs, data_config(mode))


def id_feature(text: str) -> str:
    return f'id_feature {{ feature_name: "f" expression: "user:c" embedding_dim: 4 {text} }}'


def raw_feature(text: str) -> str:
    return f'raw_feature {{ feature_name: "f" expression: "user:c" {text} }}'


def encode(feature: str, values: Any, mode: str = "FG_DAG") -> tuple[Column, BadRows]:
    """Encode one column with the feature "f"; values are an Arrow array or what makes one."""
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    name = "f" if mode == "FG_NONE" else "c"
    columns, bad = encoder(feature, mode=mode).encode(pa.table({name: array}))
    return columns["f"], bad


def rows(column: Column) -> list[list[int]]:
    """The ids of a sparse column, row by row."""
    values = column.values.tolist()
    if column.lengths is None:
        return [[value] for value in values]
    ends = column.lengths.cumsum().tolist()
    return [values[end - length : end] for end, length in zip(ends, column.lengths.tolist(), strict=True)]


def reports(bad: BadRows) -> list[tuple[str, str, list[int], list[Any]]]:
    return [(column, reason, where.tolist(), list(values)) for column, reason, where, values in bad.reports]


def steps(column: Column) -> list[list[Any]]:
    """What a sequence column holds: per row and step its ids, or its numbers."""
    assert column.sequence_lengths is not None
    flat = rows(column) if column.is_sparse else column.values.tolist()
    ends = column.sequence_lengths.cumsum().tolist()
    return [flat[end - count : end] for end, count in zip(ends, column.sequence_lengths.tolist(), strict=True)]
