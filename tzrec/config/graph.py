"""Order of features that read each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence


def order_by_reads(reads: Mapping[str, Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """Order names so that all that a name reads comes before it, in linear time and without recursion.

    Args:
        reads: what each name reads; names that are not keys are ignored.

    Returns:
        The names in order, and the cycles that prevent an order: `[["a", "b", "a"]]`. A name is in one cycle at most.
    """
    order: list[str] = []
    cycles: list[list[str]] = []
    visited: set[str] = set()
    for name in reads:
        cycle = _visit(name, reads, order, visited)
        if cycle:
            cycles.append(cycle)
    return order, cycles


def _visit(start: str, reads: Mapping[str, Sequence[str]], order: list[str], visited: set[str]) -> list[str]:
    """Append what a name reads, directly or indirectly, then the name; return the first cycle instead, or []."""
    if start in visited:
        return []
    trail: dict[str, Iterator[str]] = {start: iter(reads[start])}
    while trail:
        name = next(reversed(trail))
        source = next((source for source in trail[name] if source in reads and source not in visited), None)
        if source is None:
            del trail[name]
            visited.add(name)
            order.append(name)
        elif source in trail:
            names = list(trail)
            visited.update(names)
            return [*names[names.index(source) :], source]
        else:
            trail[source] = iter(reads[source])
    return []
