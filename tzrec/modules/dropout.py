"""Dropout with a fast path on CPU."""

from __future__ import annotations

import torch
from torch import nn

from tzrec.ops import dropout


class Dropout(nn.Module):
    """In training, zero each element with probability `ratio` and divide the others by `1 - ratio`."""

    def __init__(self, ratio: float) -> None:
        super().__init__()
        self.ratio = ratio
        self._dropout = dropout.select()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._dropout(x, self.ratio) if self.training else x
