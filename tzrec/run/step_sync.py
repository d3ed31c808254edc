"""Facts about a step that the ranks exchange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from tzrec.distributed import group
from tzrec.run.finite_state import are_finite


@dataclass(frozen=True)
class StepSync:
    """Facts about a step that all ranks exchange before its backward pass.

    Attributes:
        is_finite: all losses of all ranks are finite.
        num_rows: rows of all ranks.
        should_stop: at least one rank received a signal or reached its time limit.
        num_ranks: number of ranks.
    """

    is_finite: bool
    num_rows: int
    should_stop: bool
    num_ranks: int

    def loss_weight(self, num_rows: int) -> float:
        """Rows of one rank divided by the mean over ranks, so that averaged gradients weigh every row the same."""
        return num_rows * self.num_ranks / max(self.num_rows, 1)


def sync_step(losses: Mapping[str, torch.Tensor], num_rows: int, should_stop: bool) -> StepSync:
    """Exchange the facts about a step, in one small collective operation; without any on a single rank."""
    is_finite = are_finite(losses.values())
    num_nonfinite, total_rows, num_stops, num_ranks = group.total([not is_finite, num_rows, should_stop, 1])
    return StepSync(not num_nonfinite, int(total_rows), num_stops > 0, int(num_ranks))
