from __future__ import annotations

import math

import pytest
import torch

from tzrec.losses.bpr_loss import BPRLoss


def naive(score: list[float], label: list[int], session: list[int]) -> list[float]:
    """Compute the definition row by row."""
    rows, result = range(len(score)), []
    for i in rows:
        rivals = [j for j in rows if session[j] == session[i] >= 0 and (label[j] > 0) != (label[i] > 0)]
        sign = 1 if label[i] > 0 else -1
        losses = [math.log1p(math.exp(-sign * (score[i] - score[j]))) for j in rivals]
        result.append(sum(losses) / len(losses) if losses else 0.0)
    return result


def test_row_losses_equal_hand_computed_values() -> None:
    """Positive log 3 over negatives 0 and log 9: log(1 + 1/3) and log(1 + 3)."""
    logits, label = torch.tensor([[3.0], [1.0], [9.0]]).log(), torch.tensor([1, 0, 0])
    pairs = [math.log(4 / 3), math.log(4)]
    torch.testing.assert_close(BPRLoss().row_losses(logits, label), torch.tensor([sum(pairs) / 2, *pairs]))


def test_mean_over_rows_equals_the_mean_over_pairs() -> None:
    torch.manual_seed(0)
    logits, label = torch.randn(100, 1, dtype=torch.float64), (torch.rand(100) < 0.2).long()
    difference = logits[label == 1] - logits[label == 0].T  # (positives, negatives)
    expected = torch.log1p(torch.exp(-difference)).mean()
    torch.testing.assert_close(BPRLoss().row_losses(logits, label).mean(), expected)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_row_losses_in_sessions_equal_the_definition(share: float) -> None:
    """Sessions of any size, some with one kind of label, rows without a session."""
    torch.manual_seed(0)
    logits, session = torch.randn(150, 1, dtype=torch.float64), torch.randint(-1, 30, (150,))
    label = (torch.rand(150) < share).long()
    expected = naive(logits[:, 0].tolist(), label.tolist(), session.tolist())
    result = BPRLoss("user").session_row_losses(logits, label, session)
    torch.testing.assert_close(result, torch.tensor(expected, dtype=torch.float64))


def test_gradient_equals_finite_differences() -> None:
    torch.manual_seed(0)
    logits = torch.randn(10, 1, dtype=torch.float64, requires_grad=True)
    label, session = torch.randint(2, (10,)), torch.tensor([0, 0, 0, 0, 1, 1, 2, -1, 0, 1])
    assert torch.autograd.gradcheck(lambda x: BPRLoss("user").session_row_losses(x, label, session), logits)


def test_row_losses_of_no_rows_are_empty() -> None:
    assert BPRLoss().row_losses(torch.zeros(0, 1), torch.zeros(0)).shape == (0,)


def test_outputs_and_name_are_as_documented() -> None:
    outputs = BPRLoss().outputs(torch.tensor([[0.0], [math.log(3)]]))
    torch.testing.assert_close(outputs["probs"], torch.tensor([0.5, 0.75]))
    assert BPRLoss().name == "bpr_loss"
