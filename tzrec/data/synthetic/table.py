"""Synthetic data that a config can train on: every column it reads, with labels that depend on the features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv as pacsv

from tzrec.data.label_values import LabelValues
from tzrec.data.reader import reader_class
from tzrec.data.synthetic.columns import SyntheticColumns
from tzrec.data.synthetic.items import ItemCatalog
from tzrec.data.synthetic.labels import make_labels
from tzrec.data.text_schema import declared_fields
from tzrec.protos import data_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig

FILES = 2


def make_table(config: EasyRecConfig, rows: int, seed: int = 1) -> pa.Table:
    """Draw a table with the columns of all features, labels, sample weights and ids of a config."""
    rng = np.random.default_rng(seed)
    features = SyntheticColumns(config, rows, rng)
    catalog = ItemCatalog.of(config)
    if catalog is not None:
        catalog.plant(config, features, rng)
    signal = (features.signal - features.signal.mean()) / (features.signal.std() or 1.0)
    columns = dict(features.arrays)
    labels = make_labels(config, signal, rng)
    if config.data_config.WhichOneof("sampler") == "tdm_sampler":  # its rows are items that users chose
        labels = {name: pa.array(np.ones(rows)).cast(label.type) for name, label in labels.items()}
    values = LabelValues(config.data_config)
    columns |= {name: values.to_column(name, array) for name, array in labels.items() if name not in columns}
    columns |= {name: pa.array(rng.uniform(0.5, 1.5, rows)) for name in config.data_config.sample_weight_fields}
    return pa.table(columns)


def make_data(config: EasyRecConfig, path: str, rows: int, seed: int = 1) -> None:
    """Write files that a config can train on, in the format of its data_config.

    Args:
        config: determines the columns, their types and their encoding.
        path: a directory, or a glob such as `data/train/*.parquet`, whose star becomes `part-0`, `part-1`.
        rows: of all files together.
        seed: equal seeds give equal rows.
    """
    data = config.data_config
    is_csv = data.dataset_type == data_pb2.CsvDataset
    pattern = path if "*" in path else f"{path}/*.{data_extension(data)}"
    Path(pattern).parent.mkdir(parents=True, exist_ok=True)
    table = make_table(config, rows, seed)
    for number in range(FILES):
        first, after = rows * number // FILES, rows * (number + 1) // FILES
        part, name = table.slice(first, after - first), pattern.replace("*", f"part-{number}")
        if is_csv:
            options = pacsv.WriteOptions(include_header=data.with_header, delimiter=data.delimiter)
            pacsv.write_csv(_in_file_order(part, data), name, options)
        else:
            reader_class(data.dataset_type).file_format.write(part, name)


def data_extension(data: data_pb2.DataConfig) -> str:
    """Return the usual end of the names of data files, without the dot."""
    is_csv = data.dataset_type == data_pb2.CsvDataset
    return "csv" if is_csv else str(reader_class(data.dataset_type).file_format.extension)


def _in_file_order(table: pa.Table, data: data_pb2.DataConfig) -> pa.Table:
    """Arrange the columns of a file without header as declared, with null columns for those that no feature reads."""
    if data.with_header:
        return table
    empty = pa.nulls(table.num_rows, pa.string())
    names = list(declared_fields(data))
    return pa.table({name: table[name] if name in table.column_names else empty for name in names})
