from __future__ import annotations

import pytest
import torch

from tests.fixtures.match_models import parse
from tzrec.config.heads import DeclaredHeads, candidate_head
from tzrec.data.batch import Batch
from tzrec.heads.build import build_heads
from tzrec.heads.eval_metrics import EvalMetrics
from tzrec.heads.heads import Heads
from tzrec.heads.train_metrics import TrainMetrics
from tzrec.modules.candidates import ABSENT

DSSM = 'dssm {{ user_tower {{ input: "u" }} item_tower {{ input: "i" }} output_dim: 4 in_batch_negative: {} }} {}'
IN_BATCH = torch.tensor([[0.04, 0.06, 0.08], [0.06, 0.09, 0.12]])
SAMPLED = torch.tensor([[0.04, 0.08], [0.09, 0.12]])


def heads(in_batch: bool, more: str = "metrics { recall_at_k { top_k: 2 } }", weights: str = "") -> Heads:
    config = parse(DSSM.format(str(in_batch).lower(), more))
    config.data_config.sample_weight_fields.extend([weights] if weights else [])
    return build_heads(DeclaredHeads([candidate_head(config)]))


def evaluate(logits: torch.Tensor, in_batch: bool) -> dict[str, float]:
    metrics = EvalMetrics(heads(in_batch))
    metrics.update({"": logits}, {}, Batch(len(logits)))
    return metrics.compute()


def test_values_in_batch_are_those_of_the_test_vector() -> None:
    result = evaluate(IN_BATCH, in_batch=True)
    assert result["softmax_cross_entropy"] == pytest.approx(1.1088, abs=5e-5)
    assert result["recall@2"] == 0.5


def test_values_of_sampled_items_are_those_of_the_test_vector() -> None:
    result = evaluate(SAMPLED, in_batch=False)
    assert result["softmax_cross_entropy"] == pytest.approx(0.71080, abs=5e-6)
    assert result["recall@2"] == 1.0


def test_recall_is_that_of_the_test_vector() -> None:
    logits = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]])
    assert evaluate(logits, in_batch=False)["recall@2"] == 0.5


def test_recall_of_two_ranks_is_that_of_all_rows() -> None:
    first, second, both = (EvalMetrics(heads(False)) for _ in range(3))
    logits = torch.randn(30, 6)
    first.update({"": logits[:10]}, {}, Batch(10))
    second.update({"": logits[10:]}, {}, Batch(20))
    both.update({"": logits}, {}, Batch(30))
    first.merge([first.state(), second.state()])
    assert first.compute() == pytest.approx(both.compute())


def test_label_smoothing_is_shared_by_candidates_that_exist() -> None:
    config = parse(DSSM.format("false", ""))
    config.model_config.losses[0].softmax_cross_entropy.label_smoothing = 0.3
    built = build_heads(DeclaredHeads([candidate_head(config)]))
    logits = torch.tensor([[1.0, 1.0, 2.0, 0.0]]).log()  # probabilities 1/4, 1/4, 1/2 of three candidates
    logits[0, 3] = ABSENT
    (loss,) = built.compute_losses({"": logits}, Batch(1)).values()
    p = torch.tensor([0.25, 0.25, 0.5])
    assert loss.item() == pytest.approx(-0.8 * p[0].log().item() - 0.1 * p[1].log().item() - 0.1 * p[2].log().item())


def test_rows_are_weighted_by_samples() -> None:
    batch = Batch(2, weights={"w": torch.tensor([3.0, 1.0])})
    (loss,) = heads(False, weights="w").compute_losses({"": SAMPLED}, batch).values()
    rows = torch.nn.functional.cross_entropy(SAMPLED, torch.zeros(2, dtype=torch.int64), reduction="none")
    torch.testing.assert_close(loss, (3 * rows[0] + rows[1]) / 4)
    batch = Batch(2, weights={"w": torch.zeros(2)})
    (loss,) = heads(False, weights="w").compute_losses({"": SAMPLED}, batch).values()
    assert loss.item() == 0.0


def test_batch_that_does_not_count_has_no_loss() -> None:
    (loss,) = heads(True).compute_losses({"": torch.randn(1, 1, requires_grad=True)}, Batch(0)).values()
    assert loss.item() == 0.0
    loss.backward()


def test_training_recall_decays_over_windows() -> None:
    text = "train_metrics { recall_at_k { top_k: 1 } decay_rate: 0.9 decay_step: 1 }"
    metrics = TrainMetrics(heads(False, text))
    right, wrong = torch.tensor([[2.0, 1.0]]), torch.tensor([[1.0, 2.0]])
    for logits in (right, wrong):
        metrics.update({"": logits}, Batch(1), lambda states: [states])
    assert metrics.values() == {"recall@1": pytest.approx(0.9)}
