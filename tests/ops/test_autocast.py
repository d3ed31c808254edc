"""Precisions that a device has."""

from __future__ import annotations

import pytest
import torch

from tzrec.ops.autocast import autocast_type, usable_precision


@pytest.mark.parametrize(
    ("precision", "device", "usable", "kind"),
    [
        ("", "cpu", "", None),
        ("FP32", "cpu", "FP32", None),
        ("BF16", "cpu", "BF16", torch.bfloat16),
        ("FP16", "cpu", "BF16", torch.bfloat16),
        ("FP16", "cuda", "FP16", torch.float16),
    ],
)
def test_precision_of_a_device_is_one_that_is_fast_there(
    precision: str, device: str, usable: str, kind: torch.dtype | None
) -> None:
    assert usable_precision(precision, device) == usable
    assert autocast_type(precision, device) is kind
