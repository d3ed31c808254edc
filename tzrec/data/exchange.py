"""Exchange of values between the ranks that open the same files, so that they share the work of describing them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Exchange:
    """Ranks that make the same calls in the same order.

    Attributes:
        rank: this rank.
        world_size: number of ranks.
        gather: returns the values of all ranks, in rank order; they are encoded as JSON. The ranks wait for each other
            without a time limit, as long as those that are late call `advance`.
        advance: counts a piece of work.
        broadcast: returns the bytes of rank 0; those of the other ranks are ignored. It waits like `gather`.
    """

    rank: int
    world_size: int
    gather: Callable[[Any], list[Any]]
    advance: Callable[[], None]
    broadcast: Callable[[bytes], bytes]


ALONE = Exchange(0, 1, lambda value: [value], lambda: None, lambda data: data)
"""One rank, or ranks that each do all of the work."""
