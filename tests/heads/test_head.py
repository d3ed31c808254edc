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
    return binary(weighting).loss(LOGITS, batch(**weights))["binary_cross_entropy_ctr"]


def test_plain_mean() -> None:
    torch.testing.assert_close(loss(Weighting()), LOSS.mean())


def test_scale_multiplies() -> None:
    torch.testing.assert_close(loss(Weighting(scale=0.25)), 0.25 * LOSS.mean())


def test_sample_weights_are_relative() -> None:
    """Weights 1, 3, 0, 4 over their mean 2, then the mean over four rows."""
    weights = torch.tensor([1.0, 3.0, 0.0, 4.0])
    expected = (0.5 * LOSS[0] + 1.5 * LOSS[1] + 2.0 * LOSS[3]) / 4
    torch.testing.assert_close(loss(Weighting(sample_weight="w"), w=weights), expected)
    torch.testing.assert_close(loss(Weighting(sample_weight="w"), w=weights * 100), expected)


def test_sample_weights_of_zero_mean_no_loss() -> None:
    assert loss(Weighting(sample_weight="w"), w=torch.zeros(4)) == 0


def test_task_space() -> None:
    """Rows 0 and 2 are inside (1 and 2), rows 1 and 3 are not (0 and -1): weights 3, 1, 3, 1 over 2."""
    weighting = Weighting(indicator="space", inside=3.0, outside=1.0)
    expected = (1.5 * (LOSS[0] + LOSS[2]) + 0.5 * (LOSS[1] + LOSS[3])) / 4
    torch.testing.assert_close(loss(weighting), expected)


def test_without_outside_it_is_the_mean_inside() -> None:
    weighting = Weighting(indicator="space", inside=0.7, outside=0.0)
    torch.testing.assert_close(loss(weighting), (LOSS[0] + LOSS[2]) / 2)


def test_everything_together() -> None:
    """Weights 1, 3, 0, 4 times 3, 1, 3, 1 are 3, 3, 0, 4 with mean 2.5."""
    weighting = Weighting(scale=2.0, sample_weight="w", indicator="space", inside=3.0, outside=1.0)
    expected = 2 * (3 * LOSS[0] + 3 * LOSS[1] + 4 * LOSS[3]) / 2.5 / 4
    torch.testing.assert_close(loss(weighting, w=torch.tensor([1.0, 3.0, 0.0, 4.0])), expected)


def test_a_batch_outside_of_the_space_gives_exactly_nothing() -> None:
    logits = LOGITS.clone().requires_grad_()
    outside = Batch(4, labels={"clk": LABEL, "space": torch.zeros(4, dtype=torch.long)})
    value = binary(Weighting(indicator="space", outside=0.0)).loss(logits, outside)["binary_cross_entropy_ctr"]
    value.backward()
    assert value.item() == 0.0
    assert logits.grad.tolist() == [[0.0]] * 4


@pytest.mark.parametrize("weighting", [Weighting(), Weighting(indicator="space")])
def test_rows_that_do_not_count_give_exactly_nothing(weighting: Weighting) -> None:
    logits = LOGITS[:1].clone().requires_grad_()
    repeated = Batch(0, labels={"clk": LABEL[:1], "space": LABEL[:1]})
    value = binary(weighting).loss(logits, repeated)["binary_cross_entropy_ctr"]
    value.backward()
    assert value.item() == 0.0
    assert logits.grad.tolist() == [[0.0]]


def test_two_ranks_that_ask_for_the_mean_equal_one() -> None:
    """Each rank normalises by the mean over both; the mean of their losses is that of all rows at once."""
    weights = torch.tensor([1.0, 3.0, 0.0, 4.0])
    head = binary(Weighting(sample_weight="w", indicator="space", inside=3.0, outside=0.5))
    whole = head.loss(LOGITS, batch(w=weights))["binary_cross_entropy_ctr"]
    all_rows = head.weighting.per_row(batch(w=weights), lambda each: torch.ones(()))  # divided by nothing
    parts, alone = [], []
    for rows in (slice(0, 2), slice(2, 4)):
        space = torch.tensor([1, 0, 2, -1])[rows]
        part = Batch(2, labels={"clk": LABEL[rows], "space": space}, weights={"w": weights[rows]})
        parts.append(head.loss(LOGITS[rows], part, lambda each: all_rows.mean())["binary_cross_entropy_ctr"])
        alone.append(head.loss(LOGITS[rows], part)["binary_cross_entropy_ctr"])
    torch.testing.assert_close(torch.stack(parts).mean(), whole)
    assert abs(torch.stack(alone).mean() - whole) > 0.01


def test_local_mean_of_nothing() -> None:
    assert local_mean(torch.zeros(0)).item() == 0.0
    assert local_mean(torch.tensor([1.0, 4.0])).item() == 2.5


def test_gradient_of_the_weighted_loss() -> None:
    """d loss_i / d logit_i = p_i - y_i, times the weight over the mean, over the number of rows."""
    weights = torch.tensor([1.0, 3.0, 0.0, 4.0])
    logits = LOGITS.clone().requires_grad_()
    binary(Weighting(sample_weight="w")).loss(logits, batch(w=weights))["binary_cross_entropy_ctr"].backward()
    expected = (torch.tensor([0.5, 0.75, 0.2, 0.5]) - LABEL) * weights / 2 / 4
    torch.testing.assert_close(logits.grad[:, 0], expected)


def test_names() -> None:
    head = Head(
        "ctr", "clk", 1, {"binary_cross_entropy": BinaryCrossEntropy(), "l2_loss": L2Loss()}, {"auc": lambda: AUC(1)}
    )
    assert sorted(head.predict(LOGITS)) == ["logits_ctr", "probs_ctr", "y_ctr"]
    assert sorted(head.loss(LOGITS, batch())) == ["binary_cross_entropy_ctr", "l2_loss_ctr"]
    assert list(head.metrics()) == ["auc_ctr"]


def test_names_of_an_only_task() -> None:
    head = Head("", "clk", 1, {"binary_cross_entropy": BinaryCrossEntropy()}, {"auc": lambda: AUC(1)})
    assert sorted(head.predict(LOGITS)) == ["logits", "probs"]
    assert list(head.loss(LOGITS, batch())) == ["binary_cross_entropy"]
    assert list(head.metrics()) == ["auc"]


def test_predictions_by_hand() -> None:
    predictions = binary(Weighting()).predict(LOGITS)
    assert torch.equal(predictions["logits_ctr"], LOGITS[:, 0])
    torch.testing.assert_close(predictions["probs_ctr"], torch.tensor([0.5, 0.75, 0.2, 0.5]))


def test_metrics_start_empty_each_time() -> None:
    head = Head("ctr", "clk", 1, {"binary_cross_entropy": BinaryCrossEntropy()}, {"auc": lambda: AUC(1)})
    first = head.metrics()["auc_ctr"]
    first.update({"probs": torch.tensor([0.9, 0.1])}, torch.tensor([0, 1]))
    assert first.compute() == 0.0
    assert math.isnan(head.metrics()["auc_ctr"].compute())


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (torch.tensor([0, 3]), "holds classes from 0 to 3; with num_class 3 they are 0 to 2"),
        (torch.tensor([-1, 1]), "holds classes from -1 to 1; with num_class 3 they are 0 to 2"),
        (torch.tensor([0.0, 1.0]), "holds torch.float32 values; softmax_cross_entropy needs integer class numbers"),
    ],
)
def test_labels_that_are_no_classes(label: torch.Tensor, message: str) -> None:
    head = Head("kind", "kind_id", 3, {"softmax_cross_entropy": SoftmaxCrossEntropy()})
    with pytest.raises(DataError, match=f'label column "kind_id" {message}'):
        head.loss(torch.zeros(2, 3), Batch(2, labels={"kind_id": label}))
