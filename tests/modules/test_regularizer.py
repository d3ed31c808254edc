from __future__ import annotations

import pytest
import torch

from tzrec.modules.regularizer import Regularizer


def test_embedding_penalties_of_two_rows() -> None:
    """Two rows with vectors (1, -2) and (0, 3), (2) and (-1): squares 14 + 5, absolute values 6 + 3."""
    vectors = [torch.tensor([[1.0, -2.0], [0.0, 3.0]]), torch.tensor([[2.0], [-1.0]])]
    penalties = Regularizer(l2_reg_embedding=0.1, l1_reg_embedding=10.0).embeddings(vectors, 2)
    assert {name: penalty.item() for name, penalty in penalties.items()} == pytest.approx(
        {"l2_reg_embedding": 0.1 * 19 / 2, "l1_reg_embedding": 10 * 9 / 2}
    )


def test_weight_penalties_exclude_biases() -> None:
    linear = torch.nn.Linear(2, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, -2.0], [3.0, 0.0]]))
        linear.bias.fill_(100.0)
    penalties = Regularizer(l2_reg_dnn=0.5, l1_reg_dnn=0.25).weights(linear.parameters())
    assert {name: penalty.item() for name, penalty in penalties.items()} == {"l2_reg_dnn": 7.0, "l1_reg_dnn": 1.5}
    penalties["l2_reg_dnn"].backward()
    torch.testing.assert_close(linear.weight.grad, 2 * 0.5 * linear.weight)
    assert linear.bias.grad is None


def test_penalties_with_zero_factor_are_left_out() -> None:
    only = Regularizer(l1_reg_dnn=1.0)
    assert list(only.embeddings([torch.ones(2, 2)], 2)) == []
    assert list(only.weights([torch.ones(2, 2)])) == ["l1_reg_dnn"]
