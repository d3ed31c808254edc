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


def step(scores: TrainMetrics, logits: list[float], label: list[float], rows: int | None = None) -> dict[str, float]:
    """One step with these rows, and what is shown after it."""
    count = len(label) if rows is None else rows
    scores.update({"ctr": torch.tensor(logits)[:, None]}, Batch(count, labels={"clk": torch.tensor(label)}), one_rank)
    return scores.values()


def test_values_are_averaged_over_windows() -> None:
    """Windows of two steps with errors {1, 3}, {2}, then {4, 4}, {4}, then {8}, {8, 8}: 2, then 3, then 5.5."""
    scores = TrainMetrics(build("l2_loss {}", "mean_absolute_error {} decay_rate: 0.5 decay_step: 2"))
    assert step(scores, [1.0, 3.0], [0.0, 0.0]) == {}
    assert step(scores, [2.0], [0.0]) == {"mean_absolute_error_ctr": 2.0}
    assert step(scores, [4.0, 4.0], [0.0, 0.0]) == {"mean_absolute_error_ctr": 2.0}
    assert step(scores, [4.0], [0.0]) == {"mean_absolute_error_ctr": 3.0}
    step(scores, [8.0], [0.0])
    assert step(scores, [8.0, 8.0], [0.0, 0.0]) == {"mean_absolute_error_ctr": 5.5}


def test_auc_is_that_of_mixed_histograms() -> None:
    """Not the mean of the areas: the second window has 3 rows to the 2 of the first."""
    scores = TrainMetrics(build("binary_cross_entropy {}", AUC_OF_2))
    windows = [([2.0, -2.0], [1, 0]), ([0.3, 2.0, -2.0], [0, 0, 1])]
    shown, mixed = [], None
    for logits, label in windows:
        assert scores.values() == ({"auc_ctr": shown[-1]} if shown else {})
        step(scores, logits[:1], label[:1])
        shown.append(step(scores, logits[1:], label[1:])["auc_ctr"])
        metric = AUC(1, 5)
        metric.update({"probs": torch.sigmoid(torch.tensor(logits))}, torch.tensor(label))
        new = metric.state()["counts"]
        mixed = new if mixed is None else 0.75 * mixed + 0.25 * new
    metric.merge([{"counts": mixed}])
    assert shown == pytest.approx([1.0, metric.compute()])
    # pairs: 0.75 of the first window's right one; 0.75 * 0.25 of its positive over both later negatives, and so on
    positives, negatives = {"high": 0.75, "low": 0.25}, {"low": 0.75, "middle": 0.25, "high": 0.25}
    won = positives["high"] * (0.75 + 0.25 + 0.125) + positives["low"] * 0.375
    assert shown[1] == pytest.approx(won / (sum(positives.values()) * sum(negatives.values())))


def test_windows_of_their_own_length() -> None:
    one, three = "mean_absolute_error {} decay_step: 1", "mean_squared_error {} decay_step: 3"
    scores = TrainMetrics(build("l2_loss {}", one, three))
    assert [len(step(scores, [1.0], [0.0])) for _ in range(4)] == [1, 1, 2, 2]


def test_ranks_close_a_window_together() -> None:
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
    for scores, (logits, batch) in zip(ranks, inputs, strict=True):
        scores.update(logits, batch, post)
    merged_ranks = [TrainMetrics(build(*config)) for _ in range(3)]
    for scores, (logits, batch) in zip(merged_ranks, inputs, strict=True):
        scores.update(logits, batch, lambda states: sent)
        assert scores.values() == {"mean_absolute_error_ctr": 3.0}


def test_a_window_without_a_value_changes_nothing() -> None:
    scores = TrainMetrics(build("l2_loss {}", "mean_absolute_error {} decay_step: 1"))
    step(scores, [2.0], [0.0])
    assert step(scores, [7.0], [0.0], rows=0) == {"mean_absolute_error_ctr": 2.0}


def test_defaults() -> None:
    (maker,) = build("l2_loss {}", "recall_at_k { top_k: 3 }")["ctr"].train_metric_factories.items()
    assert (maker[0], maker[1].decay_rate, maker[1].decay_step) == ("recall@3", 0.9, 100)


def test_keeps_no_graph() -> None:
    scores = TrainMetrics(build("l2_loss {}", "mean_absolute_error {} decay_step: 1"))
    seen: list[States] = []

    def exchange(states: States) -> Sequence[States]:
        seen.append(states)
        return [states]

    logits = {"ctr": torch.zeros(1, 1, requires_grad=True)}
    scores.update(logits, Batch(1, labels={"clk": torch.tensor([1.0])}), exchange)
    assert not seen[0]["mean_absolute_error_ctr"]["total"].requires_grad
