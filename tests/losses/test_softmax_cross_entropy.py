from __future__ import annotations

import math

import torch
from sklearn.metrics import log_loss

from tzrec.losses.softmax_cross_entropy import SoftmaxCrossEntropy

LOGITS = torch.tensor([[1.0, 1.0, 2.0], [5.0, 3.0, 2.0]]).log()  # probabilities 1/4 1/4 1/2 and 1/2 3/10 1/5
LABEL = torch.tensor([2, 1])


def test_row_losses_equal_hand_computed_values() -> None:
    result = SoftmaxCrossEntropy().row_losses(LOGITS, LABEL)
    torch.testing.assert_close(result, -torch.tensor([0.5, 0.3]).log())


def test_label_smoothing_changes_the_target() -> None:
    """s = 0.3 over 3 classes: 0.8 on the label, 0.1 on each of the others."""
    result = SoftmaxCrossEntropy(label_smoothing=0.3).row_losses(LOGITS, LABEL)
    expected = [
        -0.8 * math.log(0.5) - 0.1 * math.log(0.25) - 0.1 * math.log(0.25),
        -0.8 * math.log(0.3) - 0.1 * math.log(0.5) - 0.1 * math.log(0.2),
    ]
    torch.testing.assert_close(result, torch.tensor(expected))


def test_mean_loss_equals_sklearn() -> None:
    torch.manual_seed(0)
    logits, label = torch.randn(500, 4, dtype=torch.float64), torch.randint(4, (500,))
    result = SoftmaxCrossEntropy().row_losses(logits, label).mean().item()
    assert abs(result - log_loss(label.numpy(), torch.softmax(logits, 1).numpy())) < 1e-12


def test_outputs_have_their_names_and_values() -> None:
    outputs = SoftmaxCrossEntropy().outputs(LOGITS)
    assert sorted(outputs) == ["logits", "probs"]
    assert torch.equal(outputs["logits"], LOGITS)
    torch.testing.assert_close(outputs["probs"], torch.tensor([[0.25, 0.25, 0.5], [0.5, 0.3, 0.2]]))


def test_probs1_exists_for_two_classes_only() -> None:
    outputs = SoftmaxCrossEntropy().outputs(torch.tensor([[3.0, 1.0], [1.0, 4.0]]).log())
    torch.testing.assert_close(outputs["probs1"], torch.tensor([0.25, 0.8]))


def test_name_is_that_of_the_file() -> None:
    assert SoftmaxCrossEntropy().name == "softmax_cross_entropy"
