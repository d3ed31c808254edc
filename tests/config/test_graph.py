"""Order of names that read each other."""

from __future__ import annotations

from tzrec.config.graph import order_by_reads


def test_order_by_reads_puts_what_is_read_first() -> None:
    assert order_by_reads({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": ["missing"]}) == (["d", "b", "c", "a"], [])


def test_order_by_reads_of_cycles_returns_each_once() -> None:
    reads = {"a": ["b"], "b": ["c"], "c": ["b"], "x": ["x"], "d": ["a"]}
    order, cycles = order_by_reads(reads)
    assert cycles == [["b", "c", "b"], ["x", "x"]]
    assert order == ["d"]


def test_order_by_reads_of_long_chain_needs_no_recursion() -> None:
    reads = {str(number): [str(number + 1)] for number in range(50_000)}
    order, cycles = order_by_reads(reads)
    assert (order[0], order[-1], len(order), cycles) == ("49999", "0", 50_000, [])
