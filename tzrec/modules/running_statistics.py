"""RunningStatistics: statistics of norms that a forward pass changes, so that a pass can be undone."""

from __future__ import annotations

import torch
from torch import nn


class RunningStatistics:
    """Buffers of the norms of a model with running statistics, such as batch norm.

    Args:
        model: with its norms.
    """

    def __init__(self, model: nn.Module) -> None:
        norms = [pair for pair in model.named_modules() if getattr(pair[1], "track_running_stats", False)]
        named = {f"{path}.{name}": buffer for path, norm in norms for name, buffer in norm.named_buffers()}
        self._buffers, self._names = list(named.values()), list(named)
        self._kept = [buffer.clone() for buffer in self._buffers]

    def nonfinite_names(self) -> list[str]:
        """List the buffers that are not finite: a variance overflows long before the values that it normalizes."""
        if not self._buffers:
            return []
        sums = torch.stack([buffer.sum(dtype=torch.float64) for buffer in self._buffers])
        if torch.isfinite(sums).all():
            return []
        return [name for name, total in zip(self._names, sums, strict=True) if not torch.isfinite(total)]

    @torch.no_grad()
    def keep(self) -> None:
        """Copy the statistics before a forward pass."""
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            kept.copy_(buffer)

    @torch.no_grad()
    def restore(self) -> None:
        """Restore the statistics of the last call of `keep`."""
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            buffer.copy_(kept)
