from __future__ import annotations

import torch

from tzrec.data.batch import Batch
from tzrec.heads.derived_head import DerivedHead
from tzrec.heads.eval_metrics import EvalMetrics
from tzrec.heads.head import Head
from tzrec.heads.heads import Heads
from tzrec.losses.binary_cross_entropy import BinaryCrossEntropy

LOGITS = torch.tensor([[0.0], [2.0], [-1.0]])
LOSSES = {"binary_cross_entropy": BinaryCrossEntropy()}
HEADS = Heads([Head("ctr", "clk", 1, LOSSES), DerivedHead("cvr", "clk", 1, {}, source_losses=LOSSES)])


def test_derived_head_is_predicted_and_has_no_losses() -> None:
    batch = Batch(3, labels={"clk": torch.tensor([1, 0, 1])})
    logits = {"ctr": LOGITS, "cvr": -LOGITS}
    assert list(HEADS.compute_losses(logits, batch)) == ["binary_cross_entropy_ctr"]
    predictions = HEADS.predict(logits)
    assert list(predictions) == ["logits_ctr", "probs_ctr", "logits_cvr", "probs_cvr"]
    torch.testing.assert_close(predictions["probs_cvr"], 1 - predictions["probs_ctr"])
    metrics = EvalMetrics(HEADS)
    metrics.update(logits, {}, batch)
    assert list(metrics.compute()) == ["binary_cross_entropy_ctr"]


def test_derived_head_has_no_tower() -> None:
    assert list(HEADS.towers(4).state_dict()) == ["tower_ctr.linear.weight", "tower_ctr.linear.bias"]
