"""The type that autocast computes in, for operations that autocast does not know."""

from __future__ import annotations

import torch


def compute_type(x: torch.Tensor) -> torch.dtype:
    """The type a matrix product of `x` would be computed in here: autocast's where it is on, else the type of `x`."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
