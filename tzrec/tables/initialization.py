"""Initialization of embedding tables: the grammar of `init_fn`, and values that do not depend on the sharding."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tzrec.config.grammar import parse_initializer_call
from tzrec.errors import ConfigError, Problem
from tzrec.features.base import Table

BLOCK_VALUES = 1 << 20
"""Number of values drawn from one random generator: small enough to stay in cache, large enough to seed rarely."""

Draw = Callable[..., Tensor]


def _fans(shape: torch.Size) -> tuple[int, int]:
    """Fan in and fan out of a whole table as torch counts them: columns, rows."""
    return shape[1], shape[0]


def _xavier_uniform(block: Tensor, shape: torch.Size, gain: float = 1.0, **random: Any) -> Tensor:
    bound = gain * math.sqrt(6.0 / sum(_fans(shape)))
    return nn.init.uniform_(block, -bound, bound, **random)


def _xavier_normal(block: Tensor, shape: torch.Size, gain: float = 1.0, **random: Any) -> Tensor:
    return nn.init.normal_(block, 0.0, gain * math.sqrt(2.0 / sum(_fans(shape))), **random)


def _kaiming_std(shape: torch.Size, a: float, mode: str, nonlinearity: Any) -> float:
    fan = dict(zip(("fan_in", "fan_out"), _fans(shape), strict=True))[mode]
    return nn.init.calculate_gain(nonlinearity, a) / math.sqrt(fan)


def _kaiming_uniform(
    block: Tensor,
    shape: torch.Size,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    **random: Any,
) -> Tensor:
    bound = math.sqrt(3.0) * _kaiming_std(shape, a, mode, nonlinearity)
    return nn.init.uniform_(block, -bound, bound, **random)


def _kaiming_normal(
    block: Tensor,
    shape: torch.Size,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    **random: Any,
) -> Tensor:
    return nn.init.normal_(block, 0.0, _kaiming_std(shape, a, mode, nonlinearity), **random)


def _elementwise(draw: Draw) -> Draw:
    """Wrap an initializer that does not depend on the shape of the table."""
    return lambda block, shape, **kwargs: draw(block, **kwargs)


def _constant(draw: Draw) -> Draw:
    return lambda block, shape, generator, **kwargs: draw(block, **kwargs)


_DRAWS: Mapping[str, Draw] = {
    "uniform_": _elementwise(nn.init.uniform_),
    "normal_": _elementwise(nn.init.normal_),
    "trunc_normal_": _elementwise(nn.init.trunc_normal_),
    "constant_": _constant(nn.init.constant_),
    "ones_": _constant(nn.init.ones_),
    "zeros_": _constant(nn.init.zeros_),
    "xavier_uniform_": _xavier_uniform,
    "xavier_normal_": _xavier_normal,
    "kaiming_uniform_": _kaiming_uniform,
    "kaiming_normal_": _kaiming_normal,
}
"""Implementation of every member of `tzrec.config.grammar.INITIALIZERS`."""


@dataclass(frozen=True)
class Initializer:
    """Initializer of `torch.nn.init` with its arguments.

    Called with a whole tensor it fills it in place, as the function of that name does. Called with a block of a larger
    table, `shape` is that of the whole table, which the fan-based initializers need.
    """

    name: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __call__(
        self, block: Tensor, shape: torch.Size | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        with torch.no_grad():
            return _DRAWS[self.name](block, shape or block.shape, generator=generator, **self.kwargs)


def parse_initializer(text: str) -> Initializer:
    """Parse `nn.init.uniform_,a=-0.01,b=0.01`: an initializer of `torch.nn.init` and its keyword arguments.

    Raises:
        ConfigError: not of this form, an unknown initializer or argument, or values that torch rejects.
    """
    try:
        initializer = Initializer(*parse_initializer_call(text))
    except ValueError as error:
        raise _invalid(text, str(error)) from None
    try:  # torch checks combinations of values, e.g. a < b
        initializer(torch.empty(2, 2))
    except (ValueError, KeyError, RuntimeError) as error:
        raise _invalid(text, f"torch rejects these arguments: {error}") from None
    return initializer


def _invalid(text: str, message: str) -> ConfigError:
    return ConfigError([Problem("init_fn", f'"{text}": {message}')])


def initializer_of(table: Table) -> Initializer:
    """Initializer of a table: its `init_fn`, or uniform in +-1/sqrt(rows) as in TorchRec."""
    if table.init_fn:
        return parse_initializer(table.init_fn)
    bound = 1.0 / math.sqrt(table.rows)
    return Initializer("uniform_", {"a": -bound, "b": bound})


def init_table(weight: Tensor, table: Table, seed: int, row: int = 0, column: int = 0) -> Tensor:
    """Initialize a table, or the shard of it that `weight` holds, in place.

    The table is divided into blocks of rows and each block has its own generator, keyed by (seed, table name, block).
    So the initial values of a row do not depend on the sharding, and a rank draws only the blocks that it holds.

    Args:
        weight: `(rows, columns)`, the table or a shard of it, any float type, any device.
        table: the whole table.
        seed: of the run.
        row: row of the table that is the first of `weight`.
        column: column of the table that is the first of `weight`.
    """
    initializer, shape = initializer_of(table), torch.Size((table.rows, table.dim))
    size = max(1, BLOCK_VALUES // table.dim)
    end = row + weight.shape[0]
    generator, scratch = torch.Generator(), torch.empty(min(size, table.rows), table.dim, device="cpu")
    for block in range(row // size, -(-end // size)):
        start, stop = block * size, min(block * size + size, table.rows)
        generator.manual_seed(_block_seed(seed, table.name, block))
        values = initializer(scratch[: stop - start], shape, generator)
        low, high = max(start, row), min(stop, end)
        overlap = values[low - start : high - start, column : column + weight.shape[1]]
        weight.detach()[low - row : high - row].copy_(overlap)
    return weight


def _block_seed(seed: int, name: str, block: int) -> int:
    """Seed of a block: 64 bits that differ for every seed, table and block."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{block}/{name}".encode(), digest_size=8).digest(), "little")


class TableInitializer:
    """`init_fn` of torchrec that initializes a whole table."""

    def __init__(self, table: Table, seed: int) -> None:
        self._table, self._seed = table, seed

    def __call__(self, weight: Tensor) -> Tensor:
        return init_table(weight, self._table, self._seed)
