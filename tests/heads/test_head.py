from __future__ import annotations

import math

import pytest
import torch

from tzrec.data.batch import Batch
from tzrec.errors import DataError
from tzrec.heads.head import Head, Weighting, local_mean
from tzrec.losses.binary_cross_entropy import BinaryCrossEntropy
from tzrec.losses.l2_loss import L2Loss
from tzrec.losses.softmax_cross_entropy import SoftmaxCrossEntropy
from tzrec.metrics.auc import AUC

LOGITS = torch.tensor([[0.0], [math.log(3)], [-math.log(4)], [0.0]])
LABEL = torch.tensor([1, 0, 1, 0])
LOSS = torch.tensor([2.0, 4.0, 5.0, 2.0]).log()  # of each row


def binary(weighting: Weighting) -> Head:
    return Head("ctr", "clk", 1, {"binary_cross_entropy": BinaryCrossEntropy()}, weighting=weighting)


def batch(rows: int = 4, **weights: torch.Tensor) -> Batch:
    labels = {"clk": LABEL, "space": torch.tensor([1, 0, 2, -1])}
    return Batch(rows, labels=labels, weights=weights)


def loss(weighting: Weighting, **weights: torch.Tensor) -> torch.Tensor:
    return binary(weighting).compute_losses(LOGITS, batch(**weights))["binary_cross_entropy_ctr"]


def test_loss_without_weights_is_the_mean() -> None:
    torch.testing.assert_close(loss(Weighting()), LOSS.mean())


def test_scale_multiplies_the_loss() -> None:
    torch.testing.assert_close(loss(Weighting(scale=0.25)), 0.25 * LOSS.mean())


def test_sample_weights_are_relative() -> None:
    """Weights 1, 3, 0, 4 divided by their mean 2, then the mean over four rows."""
    weights = torch.tensor([1.0, 3.0, 0.0, 4.0])
    expected = (0.5 * LOSS[0] + 1.5 * LOSS[1] + 2.0 * LOSS[3]) / 4
    torch.testing.assert_close(loss(Weighting(sample_weight_name="w"), w=weights), expected)
    torch.testing.assert_close(loss(Weighting(sample_weight_name="w"), w=weights * 100), expected)


def test_sample_weights_of_zero_give_a_loss_of_zero() -> None:
    assert loss(Weighting(sample_weight_name="w"), w=torch.zeros(4)) == 0


def test_task_space_weights_are_relative() -> None:
    """Rows 0 and 2 are inside (1 and 2), rows 1 and 3 are not (0 and -1): weights 3, 1, 3, 1 over 2."""
    weighting = Weighting(indicator_name="space", in_space_weight=3.0, out_space_weight=1.0)
    expected = (1.5 * (LOSS[0] + LOSS[2]) + 0.5 * (LOSS[1] + LOSS[3])) / 4
    torch.testing.assert_close(loss(weighting), expected)


def test_out_space_weight_of_zero_gives_the_mean_in_the_space() -> None:
    weighting = Weighting(indicator_name="space", in_space_weight=0.7, out_space_weight=0.0)
    torch.testing.assert_close(loss(weighting), (LOSS[0] + LOSS[2]) / 2)


def test_all_weights_multiply() -> None:
    """Weights 1, 3, 0, 4 times 3, 1, 3, 1 are 3, 3, 0, 4 with mean 2.5."""
    weighting = Weighting(
        scale=2.0, sample_weight_name="w", indicator_name="space", in_space_weight=3.0, out_space_weight=1.0
    )
    expected = 2 * (3 * LOSS[0] + 3 * LOSS[1] + 4 * LOSS[3]) / 2.5 / 4
    torch.testing.assert_close(loss(weighting, w=torch.tensor([1.0, 3.0, 0.0, 4.0])), expected)


def test_batch_outside_of_the_space_has_zero_loss_and_gradient() -> None:
    logits = LOGITS.clone().requires_grad_()
    outside = Batch(4, labels={"clk": LABEL, "space": torch.zeros(4, dtype=torch.long)})
    value = binary(Weighting(indicator_name="space", out_space_weight=0.0)).compute_losses(logits, outside)[
        "binary_cross_entropy_ctr"
    ]
    value.backward()
    assert value.item() == 0.0
    assert logits.grad.tolist() == [[0.0]] * 4


@pytest.mark.parametrize("weighting", [Weighting(), Weighting(indicator_name="space")])
def test_batch_without_rows_that_count_has_zero_loss_and_gradient(weighting: Weighting) -> None:
    logits = LOGITS[:1].clone().requires_grad_()
    repeated = Batch(0, labels={"clk": LABEL[:1], "space": LABEL[:1]})
    value = binary(weighting).compute_losses(logits, repeated)["binary_cross_entropy_ctr"]
    value.backward()
    assert value.item() == 0.0
    assert logits.grad.tolist() == [[0.0]]


def test_losses_of_two_ranks_with_a_shared_mean_equal_one_rank() -> None:
    """Each rank normalises by the mean over both; the mean of their losses is that of all rows at once."""
    weights = torch.tensor([1.0, 3.0, 0.0, 4.0])
    head = binary(Weighting(sample_weight_name="w", indicator_name="space", in_space_weight=3.0, out_space_weight=0.5))
    expected = head.compute_losses(LOGITS, batch(w=weights))["binary_cross_entropy_ctr"]
    all_rows = head.weighting.row_weights(batch(w=weights), lambda weights: torch.ones(()))  # divided by nothing
    parts, local = [], []
    for rows in (slice(0, 2), slice(2, 4)):
        space = torch.tensor([1, 0, 2, -1])[rows]
        part = Batch(2, labels={"clk": LABEL[rows], "space": space}, weights={"w": weights[rows]})
        parts.append(
            head.compute_losses(LOGITS[rows], part, lambda weights: all_rows.mean())["binary_cross_entropy_ctr"]
        )
        local.append(head.compute_losses(LOGITS[rows], part)["binary_cross_entropy_ctr"])
    torch.testing.assert_close(torch.stack(parts).mean(), expected)
    assert abs(torch.stack(local).mean() - expected) > 0.01


def test_local_mean_of_no_rows_is_zero() -> None:
    assert local_mean(torch.zeros(0)).item() == 0.0
    assert local_mean(torch.tensor([1.0, 4.0])).item() == 2.5


def test_gradient_of_a_weighted_loss_equals_its_formula() -> None:
    """d loss_i / d logit_i = p_i - y_i, times the weight over the mean, over the number of rows."""
    weights = torch.tensor([1.0, 3.0, 0.0, 4.0])
    logits = LOGITS.clone().requires_grad_()
    binary(Weighting(sample_weight_name="w")).compute_losses(logits, batch(w=weights))[
        "binary_cross_entropy_ctr"
    ].backward()
    expected = (torch.tensor([0.5, 0.75, 0.2, 0.5]) - LABEL) * weights / 2 / 4
    torch.testing.assert_close(logits.grad[:, 0], expected)


def test_names_have_the_suffix_of_the_task() -> None:
    head = Head(
        "ctr", "clk", 1, {"binary_cross_entropy": BinaryCrossEntropy(), "l2_loss": L2Loss()}, {"auc": lambda: AUC(1)}
    )
    assert sorted(head.predict(LOGITS)) == ["logits_ctr", "probs_ctr", "y_ctr"]
    assert sorted(head.compute_losses(LOGITS, batch())) == ["binary_cross_entropy_ctr", "l2_loss_ctr"]
    assert list(head.build_metrics()) == ["auc_ctr"]


def test_names_of_a_head_without_a_name_have_no_suffix() -> None:
    head = Head("", "clk", 1, {"binary_cross_entropy": BinaryCrossEntropy()}, {"auc": lambda: AUC(1)})
    assert sorted(head.predict(LOGITS)) == ["logits", "probs"]
    assert list(head.compute_losses(LOGITS, batch())) == ["binary_cross_entropy"]
    assert list(head.build_metrics()) == ["auc"]


def test_predictions_are_logits_and_probabilities() -> None:
    predictions = binary(Weighting()).predict(LOGITS)
    assert torch.equal(predictions["logits_ctr"], LOGITS[:, 0])
    torch.testing.assert_close(predictions["probs_ctr"], torch.tensor([0.5, 0.75, 0.2, 0.5]))


def test_build_metrics_returns_new_metrics() -> None:
    head = Head("ctr", "clk", 1, {"binary_cross_entropy": BinaryCrossEntropy()}, {"auc": lambda: AUC(1)})
    first = head.build_metrics()["auc_ctr"]
    first.update({"probs": torch.tensor([0.9, 0.1])}, torch.tensor([0, 1]))
    assert first.compute() == 0.0
    assert math.isnan(head.build_metrics()["auc_ctr"].compute())


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (torch.tensor([0, 3]), "holds classes from 0 to 3; with num_class 3 they are 0 to 2"),
        (torch.tensor([-1, 1]), "holds classes from -1 to 1; with num_class 3 they are 0 to 2"),
        (torch.tensor([0.0, 1.0]), "holds torch.float32 values; softmax_cross_entropy needs integer class numbers"),
    ],
)
def test_labels_out_of_range_are_a_data_error(label: torch.Tensor, message: str) -> None:
    head = Head("kind", "kind_id", 3, {"softmax_cross_entropy": SoftmaxCrossEntropy()})
    with pytest.raises(DataError, match=f'label column "kind_id" {message}'):
        head.compute_losses(torch.zeros(2, 3), Batch(2, labels={"kind_id": label}))
