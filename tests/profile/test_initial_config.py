from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.column_stats import column_stats
from tzrec.config.check import check
from tzrec.config.load import ConfigSource
from tzrec.errors import DataError
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.initial_config import (
    add_features,
    add_model,
    add_training,
    base_config,
    hold_out,
    tolerate_bad_rows,
    unreadable_columns,
)
from tzrec.profile.quantities import Kind
from tzrec.profile.rules import Suggestion
from tzrec.protos.data_pb2 import CsvDataset, ParquetDataset
from tzrec.protos.pipeline_pb2 import EasyRecConfig


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


def features(*columns: ColumnStats) -> tuple[list[str], list[str]]:
    """The features as short text, and the notes on columns that are left out."""
    config = base_config("x.parquet", "x.parquet", "model", ["clk"])
    change, notes = add_features(config, columns)
    messages = [getattr(feature, feature.WhichOneof("feature")) for feature in config.feature_configs]
    assert change.value == ([message.feature_name for message in messages] or None)
    texts = [f"{message.DESCRIPTOR.name} {message.feature_name} {message.expression}" for message in messages]
    return texts, notes


def test_add_features_creates_a_feature_per_column() -> None:
    texts, notes = features(
        column("user_id", [1, 2, 1]),
        column("tags", ["a\x1db", None, "c"]),
        column("price", [1.0, 2.5, 1.0]),
        column("whole", [1.0, 2.0, 1.0]),
        column("as text", ["1.5", "2", "1"]),
        column("as-text", ["1", "2", "1"]),
        column("as_text", ["x", "y", "x"]),
    )
    assert texts == [
        "IdFeature user_id user:user_id",
        "IdFeature tags item:tags",
        "RawFeature price item:price",
        "RawFeature whole item:whole",
        "RawFeature as_text item:as text",
        "RawFeature as_text_bucket item:as text",
        "IdFeature as_text_ item:as-text",
        "IdFeature as_text__ item:as_text",
    ]
    assert notes == []


def test_kind_that_the_user_gives_wins_over_the_data() -> None:
    config = base_config("x.parquet", "", "model", ["clk"])
    columns = [column("age", np.arange(100) % 60), column("price", [1.5, 2.5, 1.5]), column("zip", np.arange(100) % 60)]
    _, notes = add_features(config, columns, {"age": Kind.NAME, "price": Kind.SKIPPED, "zip": Kind.EITHER})
    assert [feature.WhichOneof("feature") for feature in config.feature_configs] == [
        "id_feature",
        "id_feature",
        "raw_feature",
    ]
    assert notes == ['column "price" is left out: --as says so']


def test_whole_number_is_noted_with_its_evidence() -> None:
    config = base_config("x.parquet", "", "model", ["clk"])
    _, notes = add_features(config, [column("age", np.arange(100) % 60)])
    assert notes == ['column "age" is a quantity: its name says age; --as age=category reads it otherwise']


@pytest.mark.parametrize(("rows", "size"), [(1, 64), (12_000, 64), (40_000, 256), (10**9, 1024)])
def test_batch_size_makes_two_hundred_steps(rows: int, size: int) -> None:
    config = with_model(column("clk", [0, 1]))
    list(add_training(config, rows))
    assert config.data_config.batch_size == size


def test_training_with_evaluations_stops_early_and_exports_the_best() -> None:
    config = with_model(column("clk", [0, 1]), eval_path="eval")
    list(add_training(config, 1000))
    train = config.train_config
    assert (train.num_epochs, train.save_checkpoints_epochs, train.keep_checkpoint_best) == (20, 1, 1)
    assert (train.early_stopping.metric, train.early_stopping.larger_is_better) == ("auc", True)
    assert (config.export_config.exporter_type, config.export_config.best_exporter_metric) == ("best", "auc")
    assert check(ConfigSource(config)) == []


def test_training_on_errors_stops_when_they_no_longer_fall() -> None:
    config = with_model(column("pay", [0.5, 7.25]), eval_path="eval")
    list(add_training(config, 1000))
    assert config.train_config.early_stopping.metric == "mean_squared_error"
    assert not config.train_config.early_stopping.larger_is_better
    assert not config.export_config.metric_larger_is_better


def test_training_on_many_rows_or_without_evaluations_has_no_early_stopping() -> None:
    config = with_model(column("clk", [0, 1]), eval_path="eval")
    (*_, epochs) = add_training(config, 30_000_000)
    assert (epochs.value, config.train_config.HasField("early_stopping")) == (1, False)
    config = with_model(column("clk", [0, 1]))
    list(add_training(config, 50))
    assert not config.train_config.HasField("early_stopping")


@pytest.mark.parametrize(("path", "rows", "fraction"), [("", 100, 0.1), ("", 99, 0), ("eval", 1000, 0)])
def test_rows_are_held_out_where_nothing_else_is_evaluated(path: str, rows: int, fraction: float) -> None:
    config = base_config("x.parquet", path, "model", ["clk"])
    assert len(list(hold_out(config, rows))) == (fraction > 0)
    assert config.data_config.eval_split.fraction == fraction


def with_model(label: ColumnStats, eval_path: str = "") -> EasyRecConfig:
    config = base_config("x.parquet", eval_path, "model", [label.name])
    add_features(config, [column("price", [1.0, 2.5])])
    add_model(config, [label])
    return config


def test_add_features_sets_the_dimension_of_vectors() -> None:
    config = base_config("x.parquet", "x.parquet", "model", ["clk"])
    add_features(config, [column("v", [[1.0, 2.5], [3.0, 4.0]]), column("w", [[1.0, 2.5], [3.0]])])
    (feature,) = config.feature_configs
    assert (feature.raw_feature.feature_name, feature.raw_feature.value_dim) == ("v", 2)


def test_add_features_leaves_out_columns_without_information() -> None:
    texts, notes = features(
        column("a:b", [1, 2]),
        column("none", pa.array([None, None], pa.string())),
        column("same", [7, 7]),
        column("sometimes", [7, None]),
        column("key", np.arange(2000)),
        column("lists", [[1.0, 2.5], [3.0]]),
    )
    assert texts == ["IdFeature sometimes item:sometimes"]
    assert [note.partition(" is left out: ")[0] for note in notes] == [
        'column "a:b"',
        'column "none"',
        'column "same"',
        'column "key"',
        'column "lists"',
    ]
    assert notes[3].endswith("nearly every row has its own value, 2,000 in 2,000")
    assert notes[4].endswith("rows with 1 to 2 numbers have no fixed width")


def test_unreadable_columns_are_those_no_feature_reads() -> None:
    batch = pa.record_batch({"a": pa.array([{"x": 1}]), "b": pa.array([1]), "c": pa.array([b"x"])})
    assert unreadable_columns(batch) == {"a": "no feature reads struct<x: int64>", "c": "no feature reads binary"}


def model_of(*labels: ColumnStats) -> Any:
    config = base_config("x.parquet", "x.parquet", "model", [label.name for label in labels])
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
def test_label_values_decide_the_loss(values: list[float], loss: str, metric: str, classes: int) -> None:
    model = model_of(column("clk", values))
    assert model.WhichOneof("model") == "multi_tower"
    assert (model.losses[0].WhichOneof("loss"), model.metrics[0].WhichOneof("metric")) == (loss, metric)
    assert model.num_class == classes


def test_several_labels_become_several_tasks() -> None:
    model = model_of(column("clk", [0, 1]), column("pay-ment", [0.5, 3.0]))
    towers = model.mmoe.task_towers
    assert [(tower.tower_name, tower.label_name) for tower in towers] == [("clk", "clk"), ("pay_ment", "pay-ment")]
    assert [tower.losses[0].WhichOneof("loss") for tower in towers] == ["binary_cross_entropy", "l2_loss"]


def test_text_label_is_rejected() -> None:
    with pytest.raises(DataError, match='label column "clk" is string; a label must be a number'):
        model_of(column("clk", ["0", "1"]))


def test_tolerate_bad_rows_sets_the_policy_once() -> None:
    config = base_config("x.parquet", "x.parquet", "model", ["clk"])
    columns = [column("price", [1.0, float("nan")])]
    labels = [column("clk", [1, None])]
    assert list(tolerate_bad_rows(config, [], [])) == []
    reason = "price has values that are not finite; rows without clk are left out"
    assert list(tolerate_bad_rows(config, columns, labels)) == [
        Suggestion("DEFAULT", reason, "data_config.bad_row_policy", "ERROR")
    ]
    assert list(tolerate_bad_rows(config, columns, labels)) == []
