"""Metrics of training batches over windows of steps."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from google.protobuf import text_format

from tzrec.config.heads import declare_heads
from tzrec.data.batch import Batch
from tzrec.heads.build import build_heads
from tzrec.heads.heads import Heads
from tzrec.heads.train_metrics import States, TrainMetrics
from tzrec.metrics.auc import AUC
from tzrec.protos.pipeline_pb2 import EasyRecConfig

AUC_OF_2 = "auc { thresholds: 5 } decay_rate: 0.75 decay_step: 2"


def build(losses: str, *metrics: str) -> Heads:
    tower = f'tower_name: "ctr" label_name: "clk" losses {{ {losses} }} '
    tower += " ".join(f"train_metrics {{ {metric} }}" for metric in metrics)
    config = EasyRecConfig()
    text_format.Parse(f"model_config {{ mmoe {{ task_towers {{ {tower} }} }} }}", config)
    return build_heads(declare_heads(config))


def one_rank(states: States) -> Sequence[States]:
    return [states]


def step(metrics: TrainMetrics, logits: list[float], label: list[float], rows: int | None = None) -> dict[str, float]:
    """Update with the rows of one step and return the values."""
    count = len(label) if rows is None else rows
    metrics.update({"ctr": torch.tensor(logits)[:, None]}, Batch(count, labels={"clk": torch.tensor(label)}), one_rank)
    return metrics.values()


def test_values_decay_over_windows() -> None:
    """Windows of two steps with errors {1, 3}, {2}, then {4, 4}, {4}, then {8}, {8, 8}: 2, then 3, then 5.5."""
    metrics = TrainMetrics(build("l2_loss {}", "mean_absolute_error {} decay_rate: 0.5 decay_step: 2"))
    assert step(metrics, [1.0, 3.0], [0.0, 0.0]) == {}
    assert step(metrics, [2.0], [0.0]) == {"mean_absolute_error_ctr": 2.0}
    assert step(metrics, [4.0, 4.0], [0.0, 0.0]) == {"mean_absolute_error_ctr": 2.0}
    assert step(metrics, [4.0], [0.0]) == {"mean_absolute_error_ctr": 3.0}
    step(metrics, [8.0], [0.0])
    assert step(metrics, [8.0, 8.0], [0.0, 0.0]) == {"mean_absolute_error_ctr": 5.5}


def test_auc_is_computed_from_decayed_histograms() -> None:
    """Not the mean of the areas: the second window has 3 rows to the 2 of the first."""
    metrics = TrainMetrics(build("binary_cross_entropy {}", AUC_OF_2))
    windows = [([2.0, -2.0], [1, 0]), ([0.3, 2.0, -2.0], [0, 0, 1])]
    values, mixed = [], None
    for logits, label in windows:
        assert metrics.values() == ({"auc_ctr": values[-1]} if values else {})
        step(metrics, logits[:1], label[:1])
        values.append(step(metrics, logits[1:], label[1:])["auc_ctr"])
        metric = AUC(1, 5)
        metric.update({"probs": torch.sigmoid(torch.tensor(logits))}, torch.tensor(label))
        new = metric.state()["counts"]
        mixed = new if mixed is None else 0.75 * mixed + 0.25 * new
    metric.merge([{"counts": mixed}])
    assert values == pytest.approx([1.0, metric.compute()])
    # 0.75 of the ordered pair of the first window, 0.75 * 0.25 of its positive over both later negatives, and so on
    positives, negatives = {"high": 0.75, "low": 0.25}, {"low": 0.75, "middle": 0.25, "high": 0.25}
    won = positives["high"] * (0.75 + 0.25 + 0.125) + positives["low"] * 0.375
    assert values[1] == pytest.approx(won / (sum(positives.values()) * sum(negatives.values())))


def test_metrics_have_windows_of_their_own_lengths() -> None:
    one, three = "mean_absolute_error {} decay_step: 1", "mean_squared_error {} decay_step: 3"
    metrics = TrainMetrics(build("l2_loss {}", one, three))
    assert [len(step(metrics, [1.0], [0.0])) for _ in range(4)] == [1, 1, 2, 2]


def test_ranks_end_a_window_with_the_same_value() -> None:
    """One rank sees errors 1 and 3, another one row of 5, a third a row that does not count."""
    config = "l2_loss {}", "mean_absolute_error {} decay_step: 1"
    ranks = [TrainMetrics(build(*config)) for _ in range(3)]
    sent: list[States] = []

    def post(states: States) -> Sequence[States]:
        sent.append({name: {**state} for name, state in states.items()})
        return [states]

    batches = [([1.0, 3.0], 2), ([5.0], 1), ([9.0], 0)]
    inputs = [
        ({"ctr": torch.tensor(values)[:, None]}, Batch(rows, labels={"clk": torch.zeros(len(values))}))
        for values, rows in batches
    ]
    for metrics, (logits, batch) in zip(ranks, inputs, strict=True):
        metrics.update(logits, batch, post)
    merged_ranks = [TrainMetrics(build(*config)) for _ in range(3)]
    for metrics, (logits, batch) in zip(merged_ranks, inputs, strict=True):
        metrics.update(logits, batch, lambda states: sent)
        assert metrics.values() == {"mean_absolute_error_ctr": 3.0}


def test_window_without_a_value_is_ignored() -> None:
    metrics = TrainMetrics(build("l2_loss {}", "mean_absolute_error {} decay_step: 1"))
    step(metrics, [2.0], [0.0])
    assert step(metrics, [7.0], [0.0], rows=0) == {"mean_absolute_error_ctr": 2.0}


def test_train_metric_without_decay_fields_has_defaults() -> None:
    (maker,) = build("softmax_cross_entropy {} } num_class: 4 metrics { accuracy {}", "recall_at_k { top_k: 3 }")[
        "ctr"
    ].train_metric_factories.items()
    assert (maker[0], maker[1].decay_rate, maker[1].decay_step) == ("recall@3", 0.9, 100)


def test_update_keeps_no_graph() -> None:
    metrics = TrainMetrics(build("l2_loss {}", "mean_absolute_error {} decay_step: 1"))
    gathered: list[States] = []

    def exchange(states: States) -> Sequence[States]:
        gathered.append(states)
        return [states]

    logits = {"ctr": torch.zeros(1, 1, requires_grad=True)}
    metrics.update(logits, Batch(1, labels={"clk": torch.tensor([1.0])}), exchange)
    assert not gathered[0]["mean_absolute_error_ctr"]["total"].requires_grad
