"""Dropout: `tzrec.ops.dropout` as a layer that rests in evaluation."""

from __future__ import annotations

import torch
from torch import nn

from tzrec.ops.dropout import dropout


class Dropout(nn.Module):
    """Zero each element with probability `ratio` while training, and divide the others by `1 - ratio`."""

    def __init__(self, ratio: float) -> None:
        super().__init__()
        self.ratio = ratio

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return dropout(x, self.ratio) if self.training else x
