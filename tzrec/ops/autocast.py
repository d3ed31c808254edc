"""Autocast: the types by name, and the type of operations that torch's own autocast does not cover."""

from __future__ import annotations

import torch

AUTOCAST = {"": None, "FP32": None, "BF16": torch.bfloat16, "FP16": torch.float16}
"""Value of `mixed_precision` -> type in which autocast computes matrix products; None without autocast."""


def compute_type(x: torch.Tensor) -> torch.dtype:
    """The type in which a matrix product of `x` is computed: autocast's where it is on, else the type of `x`."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
