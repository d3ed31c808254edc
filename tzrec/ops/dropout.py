"""Dropout whose random numbers do not cost more than the layer before it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_LEVELS = 1 << 16


def dropout(x: Tensor, ratio: float) -> Tensor:
    """Zero each element with probability `ratio` and divide the others by `1 - ratio`.

    torch draws one number per element on the CPU, on one core: 7 ns each, 40 % of the step of an MMoE on small batches.
    Here one draw of 64 bits decides for four elements, 16 bits each, so `ratio` is rounded to a multiple of 2^-16. The
    numbers come from torch's generator: seeds and checkpoints hold as ever.

    Args:
        x: any shape.
        ratio: in [0, 1).
    """
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return functional.dropout(x, ratio)
    words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(1 << 63), None)
    draws = words.view(torch.int16)[: x.numel()].view(x.shape)  # uniform over 2^16 values
    dropped = round(ratio * _LEVELS)
    keep = (draws >= dropped - _LEVELS // 2).to(x.dtype).mul_(_LEVELS / (_LEVELS - dropped))
    return x * keep
