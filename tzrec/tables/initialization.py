"""First values of embedding tables: the grammar of `init_fn`, and rows that do not depend on who holds them."""

from __future__ import annotations

import ast
import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tzrec.errors import ConfigError, Problem
from tzrec.features.base import Table

BLOCK_VALUES = 1 << 20
"""Values of a table that one random generator makes: small enough to stay in cache, large enough to seed rarely."""

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


def _plain(draw: Draw) -> Draw:
    """An initialiser of torch that treats every value alike, so that a block needs no knowledge of its table."""
    return lambda block, shape, **kwargs: draw(block, **kwargs)


def _constant(draw: Draw) -> Draw:
    return lambda block, shape, generator, **kwargs: draw(block, **kwargs)


_DRAWS: dict[str, tuple[Draw, dict[str, type]]] = {
    "uniform_": (_plain(nn.init.uniform_), {"a": float, "b": float}),
    "normal_": (_plain(nn.init.normal_), {"mean": float, "std": float}),
    "trunc_normal_": (_plain(nn.init.trunc_normal_), {"mean": float, "std": float, "a": float, "b": float}),
    "constant_": (_constant(nn.init.constant_), {"val": float}),
    "ones_": (_constant(nn.init.ones_), {}),
    "zeros_": (_constant(nn.init.zeros_), {}),
    "xavier_uniform_": (_xavier_uniform, {"gain": float}),
    "xavier_normal_": (_xavier_normal, {"gain": float}),
    "kaiming_uniform_": (_kaiming_uniform, {"a": float, "mode": str, "nonlinearity": str}),
    "kaiming_normal_": (_kaiming_normal, {"a": float, "mode": str, "nonlinearity": str}),
}


@dataclass(frozen=True)
class Initializer:
    """One initialiser of `torch.nn.init` with its arguments.

    Called on a whole tensor it fills it in place, as the function of that name does. Called on a block of a
    larger table, `shape` is that of the whole table, which the fan-based initialisers need.
    """

    name: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __call__(
        self, block: Tensor, shape: torch.Size | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        draw, _ = _DRAWS[self.name]
        with torch.no_grad():
            return draw(block, shape or block.shape, generator=generator, **self.kwargs)


def parse_initializer(text: str) -> Initializer:
    """Read `nn.init.uniform_,a=-0.01,b=0.01`: an initialiser of `torch.nn.init` and its keyword arguments.

    Raises:
        ConfigError: not of this form, an unknown initialiser or argument, or values torch refuses.
    """
    path, *arguments = (part.strip() for part in text.split(","))
    name = path.removeprefix("torch.").removeprefix("nn.init.")
    if name not in _DRAWS:
        raise _bad(text, f'unknown initialiser "{path}"; use nn.init.X,key=value with X one of {", ".join(_DRAWS)}')
    _, types = _DRAWS[name]
    kwargs: dict[str, Any] = {}
    for argument in arguments:
        key, _, value = (part.strip() for part in argument.partition("="))
        if key not in types:
            raise _bad(text, f'{path} takes {", ".join(types) or "no arguments"}; received "{argument}"')
        kwargs[key] = _literal(text, argument, value, types[key])
    if name == "constant_" and "val" not in kwargs:
        raise _bad(text, "nn.init.constant_ needs val, e.g. nn.init.constant_,val=0.1")
    init = Initializer(name, kwargs)
    try:  # torch itself knows best which values go together, e.g. a < b
        init(torch.empty(2, 2))
    except (ValueError, KeyError, RuntimeError) as error:
        raise _bad(text, f"torch refuses these arguments: {error}") from None
    return init


def _literal(text: str, argument: str, value: str, expected: type) -> Any:
    try:
        parsed = ast.literal_eval(value)
        return parsed if expected is str and isinstance(parsed, str) else expected(parsed)
    except (ValueError, SyntaxError, TypeError):
        raise _bad(text, f'"{argument}": not a {"number" if expected is float else "quoted name"}') from None


def _bad(text: str, message: str) -> ConfigError:
    return ConfigError([Problem("init_fn", f'"{text}": {message}')])


def init_of(table: Table) -> Initializer:
    """How the rows of a table start: its `init_fn`, or uniform in +-1/sqrt(rows) as TorchRec does."""
    if table.init_fn:
        return parse_initializer(table.init_fn)
    bound = 1.0 / math.sqrt(table.rows)
    return Initializer("uniform_", {"a": -bound, "b": bound})


def init_table(weight: Tensor, table: Table, seed: int, row: int = 0, column: int = 0) -> Tensor:
    """Write the first values of a table, or of the piece of it that `weight` holds, in place.

    The table is cut into blocks of rows and each block has its own generator, keyed by (seed, table name, block), so
    a row starts with the same values however the table is sharded, and a rank makes only the blocks it holds.

    Args:
        weight: `(rows, columns)`, a piece of the table, any float type, any device.
        table: the whole table.
        seed: of the run.
        row: row of the table that is the first of `weight`.
        column: column of the table that is the first of `weight`.
    """
    init, shape = init_of(table), torch.Size((table.rows, table.dim))
    size = max(1, BLOCK_VALUES // table.dim)
    end = row + weight.shape[0]
    generator, scratch = torch.Generator(), torch.empty(min(size, table.rows), table.dim, device="cpu")
    for block in range(row // size, -(-end // size)):
        start, stop = block * size, min(block * size + size, table.rows)
        generator.manual_seed(_key(seed, table.name, block))
        values = init(scratch[: stop - start], shape, generator)
        low, high = max(start, row), min(stop, end)
        piece = values[low - start : high - start, column : column + weight.shape[1]]
        weight.detach()[low - row : high - row].copy_(piece)
    return weight


def _key(seed: int, name: str, block: int) -> int:
    """64 bits that differ for every block of every table of every seed."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{block}/{name}".encode(), digest_size=8).digest(), "little")


class TableInitializer:
    """First values of a whole table, as an `init_fn` of torchrec."""

    def __init__(self, table: Table, seed: int) -> None:
        self._table, self._seed = table, seed

    def __call__(self, weight: Tensor) -> Tensor:
        return init_table(weight, self._table, self._seed)
