"""RandomCodes: bits of vectors, by the sides of random hyperplanes on which they lie."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RandomCodes(nn.Module):
    """`x R > 0` with a fixed random R: vectors with a small angle between them have most bits in common.

    The probability of a different bit is the angle divided by pi. Charikar, Similarity Estimation Techniques from
    Rounding Algorithms, STOC 2002, section 3.

    Attributes:
        projections: R, `(dim, num_bits)`, drawn once from N(0, 1): a buffer, saved with the weights.

    Args:
        dim: number of columns that are compared, the first of a wider vector.
        num_bits: number of bits.
    """

    projections: Tensor

    def __init__(self, dim: int, num_bits: int) -> None:
        super().__init__()
        self.register_buffer("projections", torch.randn(dim, num_bits))

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) -> bool (N, num_bits); without a gradient, and at the precision of the projections."""
        with torch.autocast(x.device.type, enabled=False):
            compared = x.detach()[:, : self.projections.shape[0]].to(self.projections.dtype)
            return compared @ self.projections > 0
