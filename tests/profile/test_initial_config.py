from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tzrec.errors import DataError
from tzrec.profile.column import ColumnStats
from tzrec.profile.initial_config import add_features, add_model, start_config, tolerate, unreadable
from tzrec.profile.suggestions import Suggestion
from tzrec.protos.data_pb2 import CsvDataset, ParquetDataset


def column(name: str, values: Any) -> ColumnStats:
    found = ColumnStats(name)
    found.add(pa.array(values))
    return found


@pytest.mark.parametrize(
    ("path", "kind", "delimiter"),
    [
        ("data/*.parquet", ParquetDataset, ","),
        ("data/part-*", ParquetDataset, ","),
        ("a.csv", CsvDataset, ","),
        ("data/*.tsv", CsvDataset, "\t"),
    ],
)
def test_the_name_of_the_files_says_how_they_are_read(path: str, kind: int, delimiter: str) -> None:
    config = start_config(path, "eval", "model", ["clk"])
    data = config.data_config
    assert (data.dataset_type, data.delimiter, data.with_header) == (kind, delimiter, kind == CsvDataset)
    assert (config.train_input_path, config.eval_input_path, config.model_dir) == (path, "eval", "model")
    assert list(data.label_fields) == ["clk"]


def features(*columns: ColumnStats) -> tuple[list[str], list[str]]:
    """The features as short text, and what is said of columns that are left out."""
    config = start_config("x.parquet", "x.parquet", "model", ["clk"])
    change, notes = add_features(config, columns)
    messages = [getattr(each, each.WhichOneof("feature")) for each in config.feature_configs]
    assert change.new == ([each.feature_name for each in messages] or None)
    return [f"{each.DESCRIPTOR.name} {each.feature_name} {each.expression}" for each in messages], notes


def test_a_feature_per_column() -> None:
    found, notes = features(
        column("user_id", [1, 2, 1]),
        column("tags", ["a\x1db", None, "c"]),
        column("price", [1.0, 2.5, 1.0]),
        column("whole", [1.0, 2.0, 1.0]),
        column("as text", ["1.5", "2", "1"]),
        column("as-text", ["1", "2", "1"]),
        column("as_text", ["x", "y", "x"]),
    )
    assert found == [
        "IdFeature user_id user:user_id",
        "IdFeature tags item:tags",
        "RawFeature price item:price",
        "RawFeature whole item:whole",
        "RawFeature as_text item:as text",
        "IdFeature as_text_ item:as-text",
        "IdFeature as_text__ item:as_text",
    ]
    assert notes == ['column "whole" is floating point, so it is taken for a quantity; ids are integers']


def test_vectors() -> None:
    config = start_config("x.parquet", "x.parquet", "model", ["clk"])
    add_features(config, [column("v", [[1.0, 2.5], [3.0, 4.0]]), column("w", [[1.0, 2.5], [3.0]])])
    (only,) = config.feature_configs
    assert (only.raw_feature.feature_name, only.raw_feature.value_dim) == ("v", 2)


def test_what_teaches_nothing_is_left_out() -> None:
    found, notes = features(
        column("a:b", [1, 2]),
        column("none", pa.array([None, None], pa.string())),
        column("same", [7, 7]),
        column("sometimes", [7, None]),
        column("key", np.arange(2000)),
        column("lists", [[1.0, 2.5], [3.0]]),
    )
    assert found == ["IdFeature sometimes item:sometimes"]
    assert [note.partition(" is left out: ")[0] for note in notes] == [
        'column "a:b"',
        'column "none"',
        'column "same"',
        'column "key"',
        'column "lists"',
    ]
    assert notes[3].endswith("nearly every row has a value of its own, 2,000 in 2,000")
    assert notes[4].endswith("rows with 1 to 2 numbers have no fixed width")


def test_types_that_no_feature_reads() -> None:
    batch = pa.record_batch({"a": pa.array([{"x": 1}]), "b": pa.array([1]), "c": pa.array([b"x"])})
    assert unreadable(batch) == {"a": "no feature reads struct<x: int64>", "c": "no feature reads binary"}


def model_of(*labels: ColumnStats) -> Any:
    config = start_config("x.parquet", "x.parquet", "model", [each.name for each in labels])
    add_features(config, [column("price", [1.0, 2.5])])
    add_model(config, labels)
    return config.model_config


@pytest.mark.parametrize(
    ("values", "loss", "metric", "classes"),
    [
        ([0, 1, 1], "binary_cross_entropy", "auc", 1),
        ([0.0, 1.0], "binary_cross_entropy", "auc", 1),
        ([0.0, 2.0], "l2_loss", "mean_squared_error", 1),
        ([0, 2, 1], "softmax_cross_entropy", "accuracy", 3),
        ([1, 2], "softmax_cross_entropy", "accuracy", 3),
        ([0, 50], "l2_loss", "mean_squared_error", 1),
        ([-1, 1], "l2_loss", "mean_squared_error", 1),
        ([0.5, 3.0], "l2_loss", "mean_squared_error", 1),
    ],
)
def test_a_label_decides_about_its_loss(values: list[float], loss: str, metric: str, classes: int) -> None:
    model = model_of(column("clk", values))
    assert model.WhichOneof("model") == "multi_tower"
    assert (model.losses[0].WhichOneof("loss"), model.metrics[0].WhichOneof("metric")) == (loss, metric)
    assert model.num_class == classes


def test_several_labels_are_several_tasks() -> None:
    model = model_of(column("clk", [0, 1]), column("pay-ment", [0.5, 3.0]))
    towers = model.mmoe.task_towers
    assert [(each.tower_name, each.label_name) for each in towers] == [("clk", "clk"), ("pay_ment", "pay-ment")]
    assert [each.losses[0].WhichOneof("loss") for each in towers] == ["binary_cross_entropy", "l2_loss"]


def test_text_is_no_label() -> None:
    with pytest.raises(DataError, match='label column "clk" is string; a label is a number'):
        model_of(column("clk", ["0", "1"]))


def test_rows_that_training_would_stop_at() -> None:
    config = start_config("x.parquet", "x.parquet", "model", ["clk"])
    columns = [column("price", [1.0, float("nan")])]
    labels = [column("clk", [1, None])]
    assert list(tolerate(config, [], [])) == []
    why = "price has values that are not finite; rows without clk are left out"
    assert list(tolerate(config, columns, labels)) == [
        Suggestion("data_config.bad_row_policy", "ERROR", "DEFAULT", why)
    ]
    assert list(tolerate(config, columns, labels)) == []  # said once, set once
