from __future__ import annotations

import pytest
import torch

from tzrec.data.batch import Batch
from tzrec.errors import DataError
from tzrec.heads.domain_head import DomainHead
from tzrec.heads.eval_metrics import EvalMetrics
from tzrec.heads.heads import Heads
from tzrec.losses.softmax_cross_entropy import SoftmaxCrossEntropy
from tzrec.metrics.accuracy import Accuracy

METRICS = {"accuracy": lambda: Accuracy(2)}
HEAD = DomainHead(
    "kind", "k", 2, {"softmax_cross_entropy": SoftmaxCrossEntropy()}, METRICS, domain_name="scene", num_domains=2
)


def test_losses_and_metrics_read_the_domain_of_each_row() -> None:
    """Classes of both domains, for rows in domains 1, 0, 1."""
    heads = Heads([HEAD])
    logits = {"kind": torch.tensor([[9.0, 0, 0, 2], [0, 1, 9, 0], [9, 0, 3, 0]])}
    batch = Batch(3, labels={"k": torch.tensor([1, 1, 1]), "scene": torch.tensor([1, 0, 1])})
    own = torch.tensor([[0.0, 2], [0, 1], [3, 0]])
    expected = -torch.log_softmax(own, 1)[:, 1].mean()
    torch.testing.assert_close(heads.compute_losses(logits, batch)["softmax_cross_entropy_kind"], expected)
    metrics = EvalMetrics(heads)
    metrics.update(logits, {}, batch)
    assert metrics.compute()["accuracy_kind"] == pytest.approx(2 / 3)
    predictions = heads.predict(logits)
    assert sorted(predictions) == [f"{key}_kind_{d}" for key in ("logits", "probs1", "probs") for d in (0, 1)]
    assert predictions["logits_kind_1"].tolist() == [[0, 2], [9, 0], [3, 0]]


@pytest.mark.parametrize("domain", [2, -1])
def test_domain_out_of_range_is_a_data_error(domain: int) -> None:
    batch = Batch(1, labels={"k": torch.tensor([1]), "scene": torch.tensor([domain])})
    with pytest.raises(DataError, match=f'"scene" holds domains from {domain} to {domain}; with task_domain_num 2'):
        HEAD.compute_losses(torch.zeros(1, 4), batch)
