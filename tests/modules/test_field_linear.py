from __future__ import annotations

import torch

from tzrec.modules.field_linear import FieldLinear


def test_field_linear_maps_each_field_separately() -> None:
    module = FieldLinear(fields=2, in_dim=2, dim=3)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[[1.0, 0, 0], [0, 1, 0]], [[1, 1, 1], [0, 0, 10]]]))
    x = torch.tensor([[1.0, 2, 3, 4], [0, 0, 0, -1]])
    assert module(x).tolist() == [[1, 2, 0, 3, 3, 43], [0, 0, 0, 0, 0, -10]]


def test_field_linear_weight_gradients_are_input_sums() -> None:
    """The gradient of a weight is its input, summed over rows."""
    module, x = FieldLinear(fields=2, in_dim=1, dim=2), torch.tensor([[1.0, 5.0], [2.0, -1.0]])
    module(x).sum().backward()
    assert module.weight.grad.tolist() == [[[3, 3]], [[4, 4]]]
