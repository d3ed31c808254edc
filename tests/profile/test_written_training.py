from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures.column_stats import column_stats
from tzrec.config.check import check
from tzrec.config.load import ConfigSource
from tzrec.errors import DataError
from tzrec.profile.column_reading import read_column
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.initial_config import base_config
from tzrec.profile.written_features import write_features
from tzrec.profile.written_training import add_model, add_training, hold_out
from tzrec.protos.pipeline_pb2 import EasyRecConfig


def column(name: str, values: Any) -> ColumnStats:
    return column_stats(values, name=name)


@pytest.mark.parametrize(("rows", "size"), [(1, 64), (12_000, 64), (40_000, 256), (10**9, 1024)])
def test_batch_size_makes_two_hundred_steps(rows: int, size: int) -> None:
    config = with_model(column("clk", [0, 1]))
    list(add_training(config, rows))
    assert config.data_config.batch_size == size


def test_training_with_evaluations_stops_early_and_exports_the_best() -> None:
    config = with_model(column("clk", [0, 1]), eval_path="eval")
    list(add_training(config, 40_000))
    train = config.train_config
    assert (train.num_epochs, train.save_checkpoints_steps, train.keep_checkpoint_best) == (29, 50, 1)
    assert train.early_stopping.patience == 20
    assert train.dense_optimizer.ema.decay == pytest.approx(0.98)
    assert check(ConfigSource(config)) == []


@pytest.mark.parametrize(
    ("values", "rows", "watched", "is_larger_better"),
    [
        ([0, 1], 50_000, "binary_cross_entropy", False),
        ([0, 1], 50_001, "auc", True),
        ([0, 2, 1], 50_000, "accuracy", True),
        ([0.5, 7.25], 50_000, "mean_squared_error", False),
    ],
)
def test_training_on_few_rows_is_ended_by_the_log_loss(
    values: list[float], rows: int, watched: str, is_larger_better: bool
) -> None:
    config = with_model(column("clk", values), eval_path="eval")
    *_, epochs = add_training(config, rows)
    stopping, export = config.train_config.early_stopping, config.export_config
    assert (stopping.metric, stopping.larger_is_better) == (watched, is_larger_better)
    assert (export.exporter_type, export.best_exporter_metric) == ("best", watched)
    assert export.metric_larger_is_better == is_larger_better
    assert f"ends when {watched} has not improved in " in epochs.reason
    assert ("of few rows a loss says more" in epochs.reason) == watched.endswith("entropy")
    assert check(ConfigSource(config)) == []


def test_training_on_few_rows_of_several_labels_is_ended_by_the_loss_of_the_first() -> None:
    for names, watched in ((("clk", "pay"), "binary_cross_entropy_clk"), (("pay", "clk"), "mean_squared_error_pay")):
        values = {"clk": [0, 1], "pay": [0.5, 3.0]}
        labels = [column(name, values[name]) for name in names]
        config = base_config("x.parquet", "eval", "model", names)
        write_features(config, [read_column(column("price", [1.0, 2.5]))])
        add_model(config, labels)
        list(add_training(config, 1000))
        assert config.train_config.early_stopping.metric == watched


@pytest.mark.parametrize(
    ("values", "rows", "thresholds"),
    [([0, 1], 20_000_000, 0), ([0, 1], 20_000_001, 200), ([0] * 99 + [1], 20_000_001, 0)],
)
def test_area_is_exact_but_of_many_rows_with_positives_that_are_not_rare(
    values: list[int], rows: int, thresholds: int
) -> None:
    label = column("clk", values)
    label.rows = rows
    config = with_model(label)
    assert config.model_config.metrics[0].auc.thresholds == thresholds


def test_training_on_few_rows_has_as_many_steps_between_evaluations() -> None:
    config = with_model(column("clk", [0, 1]), eval_path="eval")
    list(add_training(config, 1000))  # 14 steps in an epoch
    train = config.train_config
    assert (train.num_epochs, train.save_checkpoints_steps, train.early_stopping.patience) == (286, 50, 8)


@pytest.mark.parametrize(
    ("rows", "steps", "patience"), [(5000, 50, 10), (8000, 50, 16), (12_000, 50, 20), (1_000_000, 220, 5)]
)
def test_training_on_more_rows_waits_longer(rows: int, steps: int, patience: int) -> None:
    """Training ends after 500, 800, 1,000 and 1,100 steps without an improvement; a million rows are 879 steps."""
    config = with_model(column("clk", [0, 1]), eval_path="eval")
    list(add_training(config, rows))
    train = config.train_config
    assert (train.save_checkpoints_steps, train.early_stopping.patience) == (steps, patience)


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
    write_features(config, [read_column(column("price", [1.0, 2.5]))])
    add_model(config, [label])
    return config


def model_of(*labels: ColumnStats) -> Any:
    config = base_config("x.parquet", "x.parquet", "model", [label.name for label in labels])
    write_features(config, [read_column(column("price", [1.0, 2.5]))])
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


@pytest.mark.parametrize(("rows", "ratios"), [(50_000, [0.1]), (50_001, [])])
def test_model_of_few_rows_has_dropout(rows: int, ratios: list[float]) -> None:
    model = model_of(column("clk", [0, 1] + [0] * (rows - 2))).multi_tower
    for mlp in (model.towers[0].mlp, model.final):
        assert list(mlp.dropout_ratio) == pytest.approx(ratios)


def test_several_labels_become_several_tasks() -> None:
    model = model_of(column("clk", [0, 1]), column("pay-ment", [0.5, 3.0]))
    towers = model.mmoe.task_towers
    assert [(tower.tower_name, tower.label_name) for tower in towers] == [("clk", "clk"), ("pay_ment", "pay-ment")]
    assert [tower.losses[0].WhichOneof("loss") for tower in towers] == ["binary_cross_entropy", "l2_loss"]


def test_text_label_is_rejected() -> None:
    with pytest.raises(DataError, match='label column "clk" is string; a label must be a number'):
        model_of(column("clk", ["0", "1"]))


def test_rows_sorted_by_a_label_are_shuffled_together() -> None:
    for rows, window in ((6400, 100), (2000, 32), (10_000_000, 512)):
        config = EasyRecConfig()
        suggestions = list(add_training(config, rows, "clk"))
        assert config.data_config.shuffle_buffer_size == window
        reasons = [item.reason for item in suggestions if item.path == "data_config.shuffle_buffer_size"]
        assert len(reasons) == (window != 32)
        assert all(reason.startswith("the rows are sorted by clk") for reason in reasons)
