from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from tzrec.optim.dense import DenseOptimizer, no_clip
from tzrec.optim.gradient_watch import LARGEST_NORM, GradientWatch
from tzrec.optim.loss_scale import LossScale
from tzrec.optim.schedule import ConstantLR
from tzrec.tables.sparse_optimizer import SparseOptimizer


class Tables:
    """Stand-in for the tables with one gradient."""

    def __init__(self, value: float, is_clipped: bool = False) -> None:
        self.value, self.is_clipped = value, is_clipped

    def gradients(self) -> list[tuple[str, Tensor]]:
        return [("lookup of t", torch.tensor([1.0, self.value]))]


def problems(
    value: float = 1.0, tables: Tables | None = None, clip: Callable[..., Any] = no_clip, scale: LossScale | None = None
) -> list[str]:
    """Problems of one dense parameter with a gradient, and of a table."""
    parameter = torch.nn.Parameter(torch.zeros(3))
    parameter.grad = torch.tensor([1.0, value, -1.0])
    dense = DenseOptimizer(
        [(torch.optim.SGD([parameter]), ConstantLR(), {"weight": parameter})], clip=clip, scale=scale
    )
    return GradientWatch(dense, cast(SparseOptimizer, tables or Tables(1.0))).problems()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.0, []),
        (LARGEST_NORM / 2, []),
        (LARGEST_NORM * 2, ["weight has values up to 2.25e+15"]),
        (-1e30, ["weight has values up to 1e+30"]),
        (math.inf, ["weight has values up to inf"]),
        (math.nan, ["weight has values up to nan"]),
    ],
)
def test_gradient_that_is_too_large_is_a_problem(value: float, expected: list[str]) -> None:
    assert problems(value) == expected
    of_tables = [text.replace("weight", "lookup of t") for text in expected]
    assert problems(tables=Tables(value)) == of_tables


def test_clipped_gradient_may_be_large_but_not_infinite() -> None:
    def clip(params: object) -> None:
        """Stand for any clipping."""

    assert problems(1e30, clip=clip) == []
    assert problems(math.inf, clip=clip) == ["weight has values up to inf"]
    assert problems(tables=Tables(1e30, is_clipped=True)) == []
    assert problems(tables=Tables(math.nan, is_clipped=True)) == ["lookup of t has values up to nan"]


def test_overflow_is_left_to_the_loss_scale() -> None:
    def scale() -> LossScale:
        return LossScale(lambda flag: flag, 1024.0, 2.0, 0.5, 2000)

    assert problems(math.inf, scale=scale()) == []
    assert problems(LARGEST_NORM * 1000, scale=scale()) == [], "divided by the scale it is small enough"
    assert problems(1e30, scale=scale()) == ["weight has values up to 9.77e+26"]
