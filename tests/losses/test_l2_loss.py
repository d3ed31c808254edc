from __future__ import annotations

import torch

from tzrec.losses.l2_loss import L2Loss

LOGITS = torch.tensor([[1.0], [-2.0], [0.5]])


def test_row_losses_equal_hand_computed_values() -> None:
    assert L2Loss().row_losses(LOGITS, torch.tensor([0.5, 1.0, 0.5])).tolist() == [0.25, 9.0, 0.0]


def test_row_losses_with_mean_and_deviation_count_in_deviations() -> None:
    loss = L2Loss(mean=1000.0, standard_deviation=200.0)
    assert loss.row_losses(LOGITS, torch.tensor([1000, 600, 1200])).tolist() == [1.0, 0.0, 0.25]
    assert loss.outputs(LOGITS)["y"].tolist() == [1200.0, 600.0, 1100.0]


def test_outputs_have_their_names_and_values() -> None:
    outputs = L2Loss().outputs(LOGITS)
    assert list(outputs) == ["y"]
    assert outputs["y"].tolist() == [1.0, -2.0, 0.5]


def test_name_is_that_of_the_file() -> None:
    assert L2Loss().name == "l2_loss"
