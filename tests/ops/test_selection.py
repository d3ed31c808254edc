"""Kernel selection by `model_config.kernel` and device."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
import torch
from torch import Tensor, nn

from tzrec import ops
from tzrec.ops import relu_mlp
from tzrec.ops.selection import CPU, PYTORCH, KernelSelector, KernelTarget, kernel_target

OPS = [module.name for module in pkgutil.iter_modules(ops.__path__) if module.ispkg]


def double(x: Tensor) -> Tensor:
    """Reference."""
    return x + x


def fast_double(x: Tensor) -> Tensor:
    """Kernel."""
    return x * 2 + 1


SELECT = KernelSelector(double, {CPU: fast_double, KernelTarget("TRITON", "cuda"): fast_double})


class Double(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self._double = SELECT()

    def forward(self, x: Tensor) -> Tensor:
        return self._double(x)


@pytest.mark.parametrize(
    ("kernel", "device", "expected"),
    [(PYTORCH, "cpu", 3), (PYTORCH, "cuda", 2), ("TRITON", "cuda", 3), ("TRITON", "cpu", 2), (None, None, 3)],
)
def test_select_returns_kernel_of_target_or_reference(kernel: str | None, device: str | None, expected: float) -> None:
    assert SELECT(kernel, device)(torch.ones(())).item() == expected


def test_kernel_target_applies_to_modules_constructed_inside() -> None:
    with kernel_target(PYTORCH, "cuda"):
        inside = Double()
    assert inside(torch.ones(())).item() == 2
    assert Double()(torch.ones(())).item() == 3


def test_export_traces_reference() -> None:
    program = torch.export.export(Double(), (torch.ones(2),), strict=False)
    assert program.module()(torch.ones(2)).tolist() == [2, 2]


def test_kernel_takes_keyword_arguments() -> None:
    x, weight, bias = torch.ones(2, 3), torch.ones(4, 3), torch.ones(4)
    assert relu_mlp.select()(x=x, weights=[weight], biases=[bias]).tolist() == [[4] * 4] * 2


@pytest.mark.parametrize("name", OPS)
def test_op_package_selects_reference_for_unknown_target(name: str) -> None:
    package = importlib.import_module(f"tzrec.ops.{name}")
    assert package.select("CUTLASS", "cuda") is getattr(package.reference, name)
    assert CPU in package.select.kernels
