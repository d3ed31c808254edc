"""Faults that `make chaos` injects: how one is declared, found and described.

A fault is a function of one `Workspace`. It trains something small in it, breaks something, and returns an `Outcome`:

    @fault("disk full while saving", times=3)
    def disk_full_while_saving(workspace: Workspace) -> Outcome:
        ...
        assert result.status != 0, result.output
        return Outcome(lost_rows=0, repeated_rows=0, message=result.last_line)

A fault is survived if the function returns and no row is lost or repeated. All other expectations are asserted in the
function: an `AssertionError`, like any other exception, means that the fault was not survived.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tests.chaos.faults

if TYPE_CHECKING:
    from tests.chaos.workspace import Workspace


@dataclass(frozen=True)
class Outcome:
    """Result of a fault that the run survived.

    Attributes:
        lost_rows: rows that were trained less often than there were epochs, summed over the missing times.
        repeated_rows: rows that were trained more often than there were epochs, summed over the surplus times.
        message: the line in which the run reported the fault; empty where it recovered without a word.
    """

    lost_rows: int = 0
    repeated_rows: int = 0
    message: str = ""


@dataclass(frozen=True)
class Fault:
    """A fault and how it is run.

    Attributes:
        area: module of `tests/chaos/faults` in which it is declared.
        description: what is broken, in a few words; unique.
        inject: trains, breaks and observes.
        times: number of times that `inject` breaks something.
        short: also run by `make test`.
        limit_s: seconds after which it counts as hung.
    """

    area: str
    description: str
    inject: Callable[[Workspace], Outcome]
    times: int
    short: bool
    limit_s: float


_FAULTS: list[Fault] = []


def fault(
    description: str, times: int = 1, short: bool = False, limit_s: float = 120
) -> Callable[[Callable[[Workspace], Outcome]], Callable[[Workspace], Outcome]]:
    """Declare a function as a fault; see `Fault` for the arguments."""

    def declare(inject: Callable[[Workspace], Outcome]) -> Callable[[Workspace], Outcome]:
        area = inject.__module__.rpartition(".")[2]
        _FAULTS.append(Fault(area, description, inject, times, short, limit_s))
        return inject

    return declare


def all_faults() -> list[Fault]:
    """Import all modules of `tests/chaos/faults` and return their faults in the order of declaration."""
    for module in sorted(module.name for module in pkgutil.iter_modules(tests.chaos.faults.__path__)):
        importlib.import_module(f"tests.chaos.faults.{module}")
    descriptions = [fault.description for fault in _FAULTS]
    assert len(descriptions) == len(set(descriptions)), "two faults have the same description"
    return list(_FAULTS)
