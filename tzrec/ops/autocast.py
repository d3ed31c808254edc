"""Autocast: the types by name, and the type of operations that torch's own autocast does not cover."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

_TYPES = {"": None, "FP32": None, "BF16": torch.bfloat16, "FP16": torch.float16}


def usable_precision(precision: str, device: str) -> str:
    """Return the precision in which a type of device computes: torch has no fast FP16 products on the CPU, but BF16."""
    return "BF16" if precision == "FP16" and device == "cpu" else precision


def autocast_type(precision: str, device: str) -> torch.dtype | None:
    """Return the type in which autocast computes matrix products.

    Args:
        precision: value of a field `mixed_precision`, or "FP32".
        device: type of the device.

    Returns:
        None without autocast.
    """
    return _TYPES[usable_precision(precision, device)]


def without_autocast(device: str) -> AbstractContextManager[object]:
    """Context manager in which autocast is off. A program that is traced without autocast has no trace of it.

    Args:
        device: type of the device.
    """
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


def compute_type(x: torch.Tensor) -> torch.dtype:
    """The type in which a matrix product of `x` is computed: autocast's where it is on, else the type of `x`."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
