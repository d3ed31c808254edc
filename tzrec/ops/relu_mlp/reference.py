"""A stack of linear layers with ReLU in plain torch."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional


def relu_mlp(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    """`x -> relu(x W0' + b0) -> relu(. W1' + b1) ...`, computed in autocast's type where autocast is on.

    Args:
        x: `(B, D0)`.
        weights: `(D1, D0), (D2, D1) ...`.
        biases: `(D1,), (D2,) ...`.

    Returns:
        `(B, Dn)`.
    """
    for weight, bias in zip(weights, biases):
        x = functional.relu(functional.linear(x, weight, bias))
    return x
