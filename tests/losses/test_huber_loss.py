from __future__ import annotations

import torch

from tzrec.losses.huber_loss import HuberLoss

LOGITS = torch.tensor([[1.0], [-2.0], [0.5], [4.0]])
LABEL = torch.tensor([0.5, 1.0, 0.5, 2.0])  # errors 0.5, -3, 0, 2


def test_row_losses_equal_hand_computed_values() -> None:
    assert HuberLoss().row_losses(LOGITS, LABEL).tolist() == [0.125, 2.5, 0.0, 1.5]
    assert HuberLoss(delta=2.0).row_losses(LOGITS, LABEL).tolist() == [0.125, 4.0, 0.0, 2.0]


def test_row_losses_with_mean_and_deviation_count_in_deviations() -> None:
    loss = HuberLoss(mean=1000.0, standard_deviation=200.0)
    assert loss.row_losses(LOGITS, torch.tensor([1100.0, 1200.0, 1100.0, 1400.0])).tolist() == [0.125, 2.5, 0.0, 1.5]
    assert loss.outputs(LOGITS)["y"].tolist() == [1200.0, 600.0, 1100.0, 1800.0]


def test_gradient_is_bounded_by_delta() -> None:
    logits = LOGITS.clone().requires_grad_()
    HuberLoss().row_losses(logits, LABEL).sum().backward()
    assert logits.grad[:, 0].tolist() == [0.5, -1.0, 0.0, 1.0]


def test_integer_labels_are_accepted() -> None:
    assert HuberLoss().row_losses(LOGITS, torch.tensor([1, -2, 0, 2])).tolist() == [0.0, 0.0, 0.125, 1.5]


def test_outputs_and_name_are_as_documented() -> None:
    assert HuberLoss().outputs(LOGITS)["y"].tolist() == [1.0, -2.0, 0.5, 4.0]
    assert HuberLoss().name == "huber_loss"
