from __future__ import annotations

import math

import pytest
import torch
from torchrec import KeyedJaggedTensor

from tzrec.data.batch import BASE, Batch
from tzrec.heads.eval_metrics import EvalMetrics
from tzrec.heads.head import Head, Weighting
from tzrec.heads.heads import Heads
from tzrec.losses.binary_cross_entropy import BinaryCrossEntropy
from tzrec.losses.l2_loss import L2Loss
from tzrec.metrics.auc import AUC
from tzrec.metrics.grouped_auc import GroupedAUC
from tzrec.metrics.mean_absolute_error import MeanAbsoluteError

HEADS = Heads(
    [
        Head("ctr", "clk", 1, {"binary_cross_entropy": BinaryCrossEntropy()}, {"auc": lambda: AUC(1, 0)}),
        Head("ltv", "pay", 1, {"l2_loss": L2Loss()}, {"mean_absolute_error": lambda: MeanAbsoluteError(1)}),
    ]
)


def update(
    metrics: EvalMetrics, ctr: list[float], clk: list[int], ltv: list[float], pay: list[float], rows: int
) -> None:
    batch = Batch(rows, labels={"clk": torch.tensor(clk), "pay": torch.tensor(pay)})
    metrics.update({"ctr": torch.tensor(ctr)[:, None], "ltv": torch.tensor(ltv)[:, None]}, {}, batch)


def filled(metrics: EvalMetrics) -> EvalMetrics:
    update(metrics, [0.0, 1.0, 2.0], [0, 1, 0], [1.0, 1.0, 1.0], [0.0, 1.0, 3.0], 3)
    update(metrics, [3.0], [1], [2.0], [-1.0], 1)
    return metrics


def test_metrics_and_losses_are_means_over_rows() -> None:
    """Means are over rows: squared errors 1, 0, 4 and 9, absolute ones 1, 0, 2 and 3; logits 3 and 1 over 0 and 2."""
    result = filled(EvalMetrics(HEADS)).compute()
    assert list(result) == ["auc_ctr", "binary_cross_entropy_ctr", "l2_loss_ltv", "mean_absolute_error_ltv"]
    assert result["auc_ctr"] == 0.75
    assert result["l2_loss_ltv"] == pytest.approx(14 / 4)
    assert result["mean_absolute_error_ltv"] == 6 / 4
    rows = [math.log(2), math.log1p(math.exp(-1)), math.log1p(math.exp(2)), math.log1p(math.exp(-3))]
    assert result["binary_cross_entropy_ctr"] == pytest.approx(sum(rows) / 4)


def test_rows_that_do_not_count_are_ignored() -> None:
    metrics = filled(EvalMetrics(HEADS))
    before = metrics.compute()
    update(metrics, [9.0], [0], [100.0], [0.0], 0)
    assert metrics.compute() == before


def test_merge_of_ranks_equals_all_rows() -> None:
    """Two ranks with a batch each, one with nothing."""
    ranks = [EvalMetrics(HEADS) for _ in range(3)]
    update(ranks[0], [0.0, 1.0, 2.0], [0, 1, 0], [1.0, 1.0, 1.0], [0.0, 1.0, 3.0], 3)
    update(ranks[1], [3.0], [1], [2.0], [-1.0], 1)
    states = [rank.state() for rank in ranks]
    for rank in ranks:
        rank.merge(states)
        assert rank.compute() == filled(EvalMetrics(HEADS)).compute()


def test_reset_removes_all_counts() -> None:
    metrics = filled(EvalMetrics(HEADS))
    metrics.reset()
    assert all(math.isnan(value) for value in metrics.compute().values())
    assert filled(metrics).compute() == filled(EvalMetrics(HEADS)).compute()


def test_update_keeps_no_graph() -> None:
    metrics = EvalMetrics(HEADS)
    logits = {"ctr": torch.zeros(1, 1, requires_grad=True), "ltv": torch.zeros(1, 1, requires_grad=True)}
    metrics.update(logits, {}, Batch(1, labels={"clk": torch.tensor([1]), "pay": torch.tensor([1.0])}))
    assert not any(value.requires_grad for state in metrics.state().values() for value in state.values())


def test_grouped_metric_reads_the_groups_of_the_batch() -> None:
    """Users 5, 5, 6 and, in a row that does not count, 5 again: one group of two rows that are in order."""
    factories = {"grouped_auc": lambda: GroupedAUC(1, "user")}
    heads = Heads([Head("", "clk", 1, {"binary_cross_entropy": BinaryCrossEntropy()}, factories)])
    users = KeyedJaggedTensor(["user"], torch.tensor([5, 5, 6, 5]), lengths=torch.ones(4, dtype=torch.int32))
    batch = Batch(3, sparse={BASE: users}, labels={"clk": torch.tensor([1, 0, 0, 0])})
    metrics = EvalMetrics(heads)
    metrics.update({"": torch.tensor([[1.0], [0.0], [2.0], [3.0]])}, {}, batch)
    assert metrics.compute()["grouped_auc"] == 1.0


def test_metrics_in_the_task_space_count_its_rows_alone() -> None:
    """Logits of the clicked rows are 1, 3 and 2 with labels 0, 1 and 0; those of the others would change the area."""
    weighting = Weighting(indicator_name="clk", out_space_weight=0)
    head = Head(
        "cvr",
        "buy",
        1,
        {"binary_cross_entropy": BinaryCrossEntropy()},
        {"auc": lambda: AUC(1, 0), "grouped_auc": lambda: GroupedAUC(1, "user")},
        weighting,
        has_task_space_metrics=True,
    )
    ids = KeyedJaggedTensor(["user"], torch.tensor([7, 7, 7, 8, 8]), lengths=torch.ones(5, dtype=torch.int32))
    labels = {"clk": torch.tensor([1, 1, 1, 0, 0]), "buy": torch.tensor([0, 1, 0, 1, 0])}
    metrics = EvalMetrics(Heads([head]))
    metrics.update(
        {"cvr": torch.tensor([[1.0], [3.0], [2.0], [0.0], [9.0]])}, {}, Batch(5, sparse={BASE: ids}, labels=labels)
    )
    assert metrics.compute()["auc_cvr"] == 1.0
    assert metrics.compute()["grouped_auc_cvr"] == 1.0
    outside = {"clk": torch.tensor([0]), "buy": torch.tensor([0])}
    ids = KeyedJaggedTensor(["user"], torch.tensor([7]), lengths=torch.ones(1, dtype=torch.int32))
    metrics.update({"cvr": torch.tensor([[5.0]])}, {}, Batch(1, sparse={BASE: ids}, labels=outside))
    assert metrics.compute()["auc_cvr"] == 1.0
