from __future__ import annotations

import math

import torch
from sklearn.metrics import log_loss

from tzrec.losses.binary_cross_entropy import BinaryCrossEntropy

LOGITS = torch.tensor([[0.0], [math.log(3)], [-math.log(4)]])  # p = 0.5, 0.75, 0.2
LABEL = torch.tensor([1, 0, 1])


def test_row_losses_equal_hand_computed_values() -> None:
    result = BinaryCrossEntropy().row_losses(LOGITS, LABEL)
    torch.testing.assert_close(result, torch.tensor([math.log(2), math.log(4), math.log(5)]))


def test_label_smoothing_changes_the_target() -> None:
    """s = 0.2: labels 1, 0, 1 become 0.9, 0.1, 0.9."""
    result = BinaryCrossEntropy(label_smoothing=0.2).row_losses(LOGITS, LABEL)
    expected = [
        math.log(2),
        -0.1 * math.log(0.75) - 0.9 * math.log(0.25),
        -0.9 * math.log(0.2) - 0.1 * math.log(0.8),
    ]
    torch.testing.assert_close(result, torch.tensor(expected))


def test_mean_loss_equals_sklearn() -> None:
    torch.manual_seed(0)
    logits, label = torch.randn(500, 1, dtype=torch.float64), torch.randint(2, (500,)).float()
    result = BinaryCrossEntropy().row_losses(logits, label).mean().item()
    assert abs(result - log_loss(label.numpy(), torch.sigmoid(logits[:, 0]).numpy())) < 1e-12


def test_large_logits_stay_finite() -> None:
    result = BinaryCrossEntropy().row_losses(torch.tensor([[200.0], [-200.0]]), torch.tensor([0, 1]))
    assert result.tolist() == [200.0, 200.0]


def test_outputs_have_their_names_and_values() -> None:
    outputs = BinaryCrossEntropy().outputs(LOGITS)
    assert sorted(outputs) == ["logits", "probs"]
    assert torch.equal(outputs["logits"], LOGITS[:, 0])
    torch.testing.assert_close(outputs["probs"], torch.tensor([0.5, 0.75, 0.2]))


def test_name_is_that_of_the_file() -> None:
    assert BinaryCrossEntropy().name == "binary_cross_entropy"
