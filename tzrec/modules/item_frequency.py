"""ItemFrequency: streaming estimate of the probability that an item is in a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_MULTIPLIERS = (-0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15)
"""Constants of SplitMix64 as signed numbers."""


class ItemFrequency(nn.Module):
    """Averages of the number of steps between two batches with an item, in hash tables; the inverse is a probability.

    For an item of step t in bucket h: `B[h] <- (1 - a) B[h] + a (t - A[h])` and `A[h] <- t`, once for each step however
    often the item is in it. The probability is `1 / max B[h]` over the hash tables: a bucket that items share has a gap
    that is too small. Yi et al., Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations, RecSys
    2019, section 4, algorithm 2.

    The tables are buffers, saved in checkpoints, and equal on all ranks if `observe` gets the ids of all ranks.

    Args:
        num_buckets: size of each table.
        num_hashes: number of tables.
        decay: a, the weight of the last gap.
        initial_gap: B of items that were not seen.
    """

    step: Tensor
    last_steps: Tensor
    gaps: Tensor

    def __init__(self, num_buckets: int, num_hashes: int, decay: float, initial_gap: float) -> None:
        super().__init__()
        self._decay = decay
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.register_buffer("last_steps", torch.zeros(num_hashes, num_buckets, dtype=torch.int64))  # A
        self.register_buffer("gaps", torch.full((num_hashes, num_buckets), initial_gap))  # B

    def log_probability(self, ids: Tensor) -> Tensor:
        """Log of the probabilities of items in the current step, which is not yet observed; int64 `(N,)` -> `(N,)`."""
        return -self._next_gaps(self._buckets(ids)).amax(0).log()

    @torch.no_grad()
    def observe(self, ids: Tensor) -> None:
        """Add the items of a step over all ranks, `(N,)`, and go on to the next one."""
        buckets = self._buckets(ids)
        self.gaps.scatter_(1, buckets, self._next_gaps(buckets))
        self.step += 1
        self.last_steps.scatter_(1, buckets, self.step.expand_as(buckets))

    def _next_gaps(self, buckets: Tensor) -> Tensor:
        """B of buckets `(num_hashes, N)` after the current step."""
        since = self.step + 1 - self.last_steps.gather(1, buckets)
        return (1 - self._decay) * self.gaps.gather(1, buckets) + self._decay * since

    def _buckets(self, ids: Tensor) -> Tensor:
        """Bucket of each item in each table, `(num_hashes, N)`: SplitMix64 of the id with a seed for each table."""
        num_hashes, num_buckets = self.gaps.shape
        seeds = torch.arange(1, num_hashes + 1, device=ids.device).unsqueeze(1) * _MULTIPLIERS[0]
        x = ids.unsqueeze(0) + seeds
        x = (x ^ _shift(x, 30)) * _MULTIPLIERS[1]
        x = (x ^ _shift(x, 27)) * _MULTIPLIERS[2]
        return (x ^ _shift(x, 31)).remainder(num_buckets)


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical shift to the right of int64 numbers."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
