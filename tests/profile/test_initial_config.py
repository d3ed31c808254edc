from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures.column_stats import column_stats
from tzrec.profile.column_reading import read_column
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.initial_config import base_config, tolerate_bad_rows
from tzrec.profile.rules import Suggestion
from tzrec.protos.data_pb2 import CsvDataset, ParquetDataset


def column(name: str, values: Any) -> ColumnStats:
    return column_stats(values, name=name)


@pytest.mark.parametrize(
    ("path", "kind", "delimiter"),
    [
        ("data/*.parquet", ParquetDataset, ","),
        ("data/part-*", ParquetDataset, ","),
        ("a.csv", CsvDataset, ","),
        ("data/*.tsv", CsvDataset, "\t"),
    ],
)
def test_base_config_chooses_the_dataset_type_by_file_name(path: str, kind: int, delimiter: str) -> None:
    config = base_config(path, "eval", "model", ["clk"])
    data = config.data_config
    assert (data.dataset_type, data.delimiter, data.with_header) == (kind, delimiter, kind == CsvDataset)
    assert (config.train_input_path, config.eval_input_path, config.model_dir) == (path, "eval", "model")
    assert list(data.label_fields) == ["clk"]


def test_tolerate_bad_rows_sets_the_policy_once() -> None:
    config = base_config("x.parquet", "x.parquet", "model", ["clk"])
    columns = [read_column(column("price", [1.0, float("nan"), 2.0]))]
    labels = [column("clk", [1, None])]
    assert list(tolerate_bad_rows(config, [], [])) == []
    reason = "price has values that are not finite; rows without clk are left out"
    assert list(tolerate_bad_rows(config, columns, labels)) == [
        Suggestion("DEFAULT", reason, "data_config.bad_row_policy", "ERROR")
    ]
    assert list(tolerate_bad_rows(config, columns, labels)) == []
