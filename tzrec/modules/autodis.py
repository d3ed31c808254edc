"""AutoDis: embed a number as a soft mixture of learned vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class AutoDis(nn.Module):
    """For each field, `h = LeakyReLU(w x)`, `a = softmax((W h + keep_prob h) / temperature)`, `e = sum_c a_c M_c`.

    Guo et al., An Embedding Learning Framework for Numerical Features in CTR Prediction, KDD 2021, section 3. Each
    field has its own `w`, `W` and vectors `M`. Unlike buckets, the mixture is continuous in x and trained with the
    model. All fields are one batched product per equation.

    Args:
        fields: number of inputs F.
        dim: width of the embedding of each.
        num_channels: number of vectors M of a field.
        temperature: the lower, the closer the mixture is to a single vector.
        keep_prob: weight of the skip connection; nothing is dropped, despite its name.
    """

    def __init__(
        self, fields: int, dim: int, num_channels: int, temperature: float = 0.1, keep_prob: float = 0.8
    ) -> None:
        super().__init__()
        self.temperature, self.keep_prob = temperature, keep_prob
        bound = num_channels**-0.5
        self.scale = nn.Parameter(torch.empty(fields, 1, num_channels).uniform_(-1.0, 1.0))
        self.mix = nn.Parameter(torch.empty(fields, num_channels, num_channels).uniform_(-bound, bound))
        self.vectors = nn.Parameter(torch.randn(fields, num_channels, dim))

    def forward(self, x: Tensor) -> Tensor:
        """(B, F) -> (B, F * dim)"""
        hidden = functional.leaky_relu(x.t().unsqueeze(2) * self.scale)  # (F, B, C)
        scores = torch.baddbmm(hidden, hidden, self.mix, beta=self.keep_prob)  # (F, B, C)
        mixture = (scores / self.temperature).softmax(2)
        return torch.bmm(mixture, self.vectors).transpose(0, 1).flatten(1)
