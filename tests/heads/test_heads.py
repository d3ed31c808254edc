from __future__ import annotations

import math

import pytest
import torch

from tzrec.config.heads import AuxiliaryLoss
from tzrec.data.batch import Batch
from tzrec.heads.eval_metrics import EvalMetrics
from tzrec.heads.head import Head, Weighting
from tzrec.heads.heads import Heads
from tzrec.losses.binary_cross_entropy import BinaryCrossEntropy

LOGITS = torch.tensor([[0.0], [2.0], [-1.0]])
VALUES = torch.tensor([1.0, 5.0, 100.0])
BATCH = Batch(2, labels={"clk": torch.tensor([1, 0, 1])}, weights={"w": torch.tensor([3.0, 1.0, 9.0])})
CTR = Head("ctr", "clk", 1, {"binary_cross_entropy": BinaryCrossEntropy()})


def auxiliary_loss(loss: AuxiliaryLoss, head: Head = CTR) -> torch.Tensor:
    (value,) = Heads([head], [loss]).compute_auxiliary_losses({loss.name: VALUES, "other": VALUES}, BATCH).values()
    return value


def test_heads_are_a_mapping_in_order() -> None:
    heads = Heads([CTR, Head("cvr", "pay", 1, {}, is_training_only=True)])
    assert (list(heads), len(heads), heads["ctr"]) == (["ctr", "cvr"], 2, CTR)
    assert list(heads.served) == ["ctr"]


def test_auxiliary_loss_is_the_mean_over_rows_that_count() -> None:
    assert auxiliary_loss(AuxiliaryLoss("too_long", 0.5)).item() == 0.5 * (1 + 5) / 2


def test_auxiliary_loss_is_weighted_like_the_first_head() -> None:
    """Weights 3 and 1 have mean 2."""
    head = Head("ctr", "clk", 1, {}, weighting=Weighting(sample_weight_name="w"))
    assert auxiliary_loss(AuxiliaryLoss("x", is_sample_weighted=True), head).item() == (1.5 * 1 + 0.5 * 5) / 2
    assert auxiliary_loss(AuxiliaryLoss("x"), head).item() == (1 + 5) / 2


def test_auxiliary_loss_root_of_sum() -> None:
    assert auxiliary_loss(AuxiliaryLoss("x", reduction="root_of_sum")).item() == pytest.approx(math.sqrt(6))


def test_auxiliary_loss_root_of_sum_has_a_gradient_at_zero() -> None:
    zeros = torch.zeros(3, requires_grad=True)
    loss = Heads([CTR], [AuxiliaryLoss("x", reduction="root_of_sum")]).compute_auxiliary_losses({"x": zeros}, BATCH)
    loss["x"].backward()
    assert zeros.grad is not None and zeros.grad.tolist() == [0, 0, 0]


def test_auxiliary_loss_is_evaluated_and_not_predicted() -> None:
    heads = Heads([CTR], [AuxiliaryLoss("too_long", 0.5), AuxiliaryLoss("hint", is_training_only=True)])
    assert list(heads.predict({"ctr": LOGITS})) == ["logits_ctr", "probs_ctr"]
    metrics = EvalMetrics(heads)
    metrics.update({"ctr": LOGITS}, {"too_long": VALUES}, BATCH)
    assert metrics.compute()["too_long"] == 1.5
    assert list(metrics.compute()) == ["binary_cross_entropy_ctr", "too_long"]
