"""Losses over the rows of a session, as a head computes them."""

from __future__ import annotations

import math

import torch
from torchrec import KeyedJaggedTensor

from tzrec.data.batch import BASE, Batch
from tzrec.heads.head import Head, Weighting
from tzrec.losses.bpr_loss import BPRLoss

LOGITS = torch.tensor([[3.0], [1.0], [9.0], [2.0], [5.0]]).log()


def batch(rows: int) -> Batch:
    """Positives 3 and 9 of users 5 and 6, negatives 1 and 2 of 5 and 6, and a negative 5 of user 5."""
    users = KeyedJaggedTensor(["user"], torch.tensor([5, 5, 6, 6, 5]), lengths=torch.ones(5, dtype=torch.int32))
    label = torch.tensor([1, 0, 1, 0, 0])
    return Batch(rows, sparse={BASE: users}, labels={"clk": label}, weights={"w": torch.tensor([2.0, 0, 1, 1, 0])})


def test_rows_that_do_not_count_form_no_pairs() -> None:
    head = Head("ctr", "clk", 1, {"bpr_loss": BPRLoss("user")})
    pairs = [math.log(4 / 3), math.log(11 / 9)]
    expected = torch.tensor(sum(2 * pair for pair in pairs) / 4)
    torch.testing.assert_close(head.compute_losses(LOGITS, batch(4))["bpr_loss_ctr"], expected)


def test_pairs_are_weighted_by_sample_weights() -> None:
    """Weights 2, 0, 1, 1 with mean 1, over four rows."""
    head = Head("", "clk", 1, {"bpr_loss": BPRLoss("user")}, weighting=Weighting(sample_weight_name="w"))
    expected = torch.tensor((2 * math.log(4 / 3) + 2 * math.log(11 / 9)) / 4)
    torch.testing.assert_close(head.compute_losses(LOGITS, batch(4))["bpr_loss"], expected)


def test_loss_without_rows_is_zero() -> None:
    head = Head("", "clk", 1, {"bpr_loss": BPRLoss("user")})
    assert head.compute_losses(LOGITS, batch(0))["bpr_loss"].item() == 0.0
