from __future__ import annotations

import math

import pytest
import torch
from torchrec import KeyedJaggedTensor

from tzrec.data.batch import BASE, Batch
from tzrec.losses.jrc_loss import JRCLoss


def naive(logits: torch.Tensor, label: torch.Tensor, session: torch.Tensor, alpha: float) -> list[float]:
    """Compute the definition row by row."""
    result = []
    for i, (f, y, s) in enumerate(zip(logits.tolist(), label.tolist(), session.tolist(), strict=True)):
        entropy = -math.log(math.exp(f[y]) / (math.exp(f[0]) + math.exp(f[1])))
        rivals = [j for j in range(len(label)) if session[j] == s and s >= 0 and label[j] != y and j != i]
        among = math.exp(f[y]) + sum(math.exp(logits[j, y].item()) for j in rivals)
        result.append(alpha * entropy - (1 - alpha) * math.log(math.exp(f[y]) / among))
    return result


def test_row_losses_equal_hand_computed_values() -> None:
    """Session 5: log 2 of the positive against log 1 and log 3: -log(2 / 6). Session 9 has one row."""
    logits = torch.tensor([[1.0, 2.0], [1.0, 1.0], [4.0, 3.0], [1.0, 1.0]]).log()
    label, session = torch.tensor([1, 0, 0, 1]), torch.tensor([5, 5, 5, 9])
    result = JRCLoss("user", alpha=0.0).session_row_losses(logits, label, session)
    torch.testing.assert_close(result, -torch.tensor([2 / 6, 1 / 2, 4 / 5, 1.0]).log())


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_row_losses_equal_the_definition(alpha: float, share: float) -> None:
    """Sessions of any size, some with one kind of label, rows without a session."""
    torch.manual_seed(0)
    logits = 3 * torch.randn(120, 2, dtype=torch.float64)
    label, session = (torch.rand(120) < share).long(), torch.randint(-1, 30, (120,))
    result = JRCLoss("user", alpha).session_row_losses(logits, label, session)
    torch.testing.assert_close(result, torch.tensor(naive(logits, label, session, alpha), dtype=torch.float64))


def test_gradient_equals_finite_differences() -> None:
    torch.manual_seed(0)
    logits = torch.randn(12, 2, dtype=torch.float64, requires_grad=True)
    label, session = torch.randint(2, (12,)), torch.tensor([0, 0, 0, 0, 1, 1, 1, 2, 3, 3, -1, -1])
    assert torch.autograd.gradcheck(lambda x: JRCLoss("user", 0.3).session_row_losses(x, label, session), logits)


def test_large_logits_stay_finite() -> None:
    logits = torch.tensor([[-300.0, 300.0], [-300.0, 300.0], [300.0, -300.0]], requires_grad=True)
    label, session = torch.tensor([1, 0, 0]), torch.tensor([1, 1, 1])
    result = JRCLoss("user", 0.0).session_row_losses(logits, label, session)
    torch.testing.assert_close(result, torch.tensor([math.log(2), math.log(2), 0.0]))
    result.sum().backward()
    assert logits.grad.isfinite().all()


def test_sessions_are_read_from_the_batch() -> None:
    """The first id of each row is its session; rows without ids and rows that do not count are not compared."""
    ids = KeyedJaggedTensor(
        keys=["item", "user"],
        values=torch.tensor([8, 8, 8, 8, 1, 2, 1, 7, 1]),
        lengths=torch.tensor([1, 1, 1, 1, 2, 1, 0, 2]),
    )  # users [1, 2], [1], [], [7, 1]
    batch = Batch(3, sparse={BASE: ids})
    logits, label = torch.tensor([[0.0, 1.0], [2.0, -1.0], [0.5, 0.0]]), torch.tensor([1, 0, 0])
    expected = naive(logits, label, torch.tensor([1, 1, -1]), 0.5)
    torch.testing.assert_close(JRCLoss("user").batch_row_losses(logits, label, batch), torch.tensor(expected))


def test_row_losses_of_no_rows_are_empty() -> None:
    assert JRCLoss("user").row_losses(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64)).shape == (0,)


def test_outputs_and_name_are_as_documented() -> None:
    outputs = JRCLoss("user").outputs(torch.tensor([[3.0, 1.0]]).log())
    torch.testing.assert_close(outputs["probs1"], torch.tensor([0.25]))
    assert JRCLoss("user").name == "jrc_loss"
