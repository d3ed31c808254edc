"""Dropout of torch."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def dropout(x: Tensor, ratio: float) -> Tensor:
    """Zero each element with probability `ratio` and divide the others by `1 - ratio`.

    Args:
        x: any shape.
        ratio: in [0, 1).
    """
    return functional.dropout(x, ratio)
