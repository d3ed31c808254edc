from __future__ import annotations

import math

import torch

from tzrec.losses.binary_cross_entropy import BinaryCrossEntropy
from tzrec.losses.binary_focal_loss import BinaryFocalLoss

LOGITS = torch.tensor([[0.0], [math.log(3)], [-math.log(4)]])  # p = 0.5, 0.75, 0.2
LABEL = torch.tensor([1, 0, 1])


def test_row_losses_equal_hand_computed_values() -> None:
    """gamma 2, alpha 0.25: weights 0.25 * 0.5^2, 0.75 * 0.75^2, 0.25 * 0.8^2."""
    result = BinaryFocalLoss(gamma=2.0, alpha=0.25).row_losses(LOGITS, LABEL)
    expected = [0.25 * 0.25 * math.log(2), 0.75 * 0.5625 * math.log(4), 0.25 * 0.64 * math.log(5)]
    torch.testing.assert_close(result, torch.tensor(expected))


def test_default_fields_equal_a_naive_loop() -> None:
    torch.manual_seed(0)
    logits, label = torch.randn(200, 1, dtype=torch.float64), torch.randint(2, (200,))
    for logit, y, loss in zip(logits[:, 0].tolist(), label.tolist(), BinaryFocalLoss().row_losses(logits, label)):
        p = 1 / (1 + math.exp(-logit))
        own = p if y else 1 - p
        assert abs(loss.item() + 0.5 * (1 - own) ** 2 * math.log(own)) < 1e-12


def test_gamma_zero_is_half_the_log_loss() -> None:
    result = BinaryFocalLoss(gamma=0.0).row_losses(LOGITS, LABEL)
    torch.testing.assert_close(result, BinaryCrossEntropy().row_losses(LOGITS, LABEL) / 2)


def test_focal_weight_has_no_gradient() -> None:
    """d/dlogit is w (p - y) alone."""
    logits = LOGITS.clone().requires_grad_()
    BinaryFocalLoss(gamma=2.0, alpha=0.25).row_losses(logits, LABEL).sum().backward()
    expected = torch.tensor([0.0625 * -0.5, 0.421875 * 0.75, 0.16 * -0.8])
    torch.testing.assert_close(logits.grad[:, 0], expected)


def test_large_logits_stay_finite() -> None:
    result = BinaryFocalLoss().row_losses(torch.tensor([[200.0], [-200.0], [200.0]]), torch.tensor([0, 1, 1]))
    torch.testing.assert_close(result, torch.tensor([100.0, 100.0, 0.0]))


def test_outputs_and_name_are_as_documented() -> None:
    outputs = BinaryFocalLoss().outputs(LOGITS)
    assert torch.equal(outputs["logits"], LOGITS[:, 0])
    torch.testing.assert_close(outputs["probs"], torch.tensor([0.5, 0.75, 0.2]))
    assert BinaryFocalLoss().name == "binary_focal_loss"
