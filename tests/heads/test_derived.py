from __future__ import annotations

import pytest
import torch

from tzrec.data.batch import Batch
from tzrec.errors import DataError
from tzrec.heads.build import Tasks
from tzrec.heads.eval_metrics import EvalMetrics
from tzrec.heads.head import Head
from tzrec.losses.binary_cross_entropy import BinaryCrossEntropy
from tzrec.losses.softmax_cross_entropy import SoftmaxCrossEntropy
from tzrec.metrics.accuracy import Accuracy

LOGITS = torch.tensor([[0.0], [2.0], [-1.0]])


def tasks() -> Tasks:
    return Tasks({"ctr": Head("ctr", "clk", 1, {"binary_cross_entropy": BinaryCrossEntropy()})})


def test_what_is_shown_has_outputs_and_no_losses() -> None:
    made = tasks()
    made.show("cvr", like="ctr")
    batch = Batch(3, labels={"clk": torch.tensor([1, 0, 1])})
    logits = {"ctr": LOGITS, "cvr": -LOGITS}
    assert list(made.losses(logits, batch)) == ["binary_cross_entropy_ctr"]
    predictions = made.predict(logits)
    assert list(predictions) == ["logits_ctr", "probs_ctr", "logits_cvr", "probs_cvr"]
    torch.testing.assert_close(predictions["probs_cvr"], 1 - predictions["probs_ctr"])
    scores = EvalMetrics(made)
    scores.update(logits, batch)
    assert list(scores.compute()) == ["binary_cross_entropy_ctr"]


def test_a_penalty_is_the_mean_over_rows_that_count_and_is_not_predicted() -> None:
    made = tasks()
    made.penalise("too_long", 0.5)
    logits = {"ctr": LOGITS, "too_long": torch.tensor([[1.0], [5.0], [100.0]])}
    batch = Batch(2, labels={"clk": torch.tensor([1, 0, 1])})
    losses = made.losses(logits, batch)
    assert list(losses) == ["binary_cross_entropy_ctr", "too_long"]
    assert losses["too_long"].item() == 0.5 * (1 + 5) / 2
    assert list(made.predict(logits)) == ["logits_ctr", "probs_ctr"]
    scores = EvalMetrics(made)
    scores.update(logits, batch)
    assert scores.compute()["too_long"] == 1.5


def split() -> Tasks:
    metrics = {"accuracy": lambda: Accuracy(2)}
    made = Tasks({"kind": Head("kind", "k", 2, {"softmax_cross_entropy": SoftmaxCrossEntropy()}, metrics)})
    made.split("scene", 2)
    return made


def test_domains_by_hand() -> None:
    """Classes of both domains, for rows in domains 1, 0, 1."""
    made = split()
    logits = {"kind": torch.tensor([[9.0, 0, 0, 2], [0, 1, 9, 0], [9, 0, 3, 0]])}
    batch = Batch(3, labels={"k": torch.tensor([1, 1, 1]), "scene": torch.tensor([1, 0, 1])})
    own = torch.tensor([[0.0, 2], [0, 1], [3, 0]])
    expected = -torch.log_softmax(own, 1)[:, 1].mean()
    torch.testing.assert_close(made.losses(logits, batch)["softmax_cross_entropy_kind"], expected)
    scores = EvalMetrics(made)
    scores.update(logits, batch)
    assert scores.compute()["accuracy_kind"] == pytest.approx(2 / 3)
    predictions = made.predict(logits)
    assert sorted(predictions) == [f"{key}_kind_{d}" for key in ("logits", "probs1", "probs") for d in (0, 1)]
    assert predictions["logits_kind_1"].tolist() == [[0, 2], [9, 0], [3, 0]]


@pytest.mark.parametrize("domain", [2, -1])
def test_a_domain_that_does_not_exist(domain: int) -> None:
    batch = Batch(1, labels={"k": torch.tensor([1]), "scene": torch.tensor([domain])})
    with pytest.raises(DataError, match=f'"scene" holds domains from {domain} to {domain}; with task_domain_num 2'):
        split().losses({"kind": torch.zeros(1, 4)}, batch)
