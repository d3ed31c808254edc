"""Autocast for operations that torch's own autocast does not cover."""

from __future__ import annotations

import torch


def compute_type(x: torch.Tensor) -> torch.dtype:
    """The type in which a matrix product of `x` is computed: autocast's where it is on, else the type of `x`."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
