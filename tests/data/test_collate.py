from __future__ import annotations

import numpy as np
import pytest
import torch
from torchrec import KeyedJaggedTensor

from tzrec.data.batch import BASE
from tzrec.data.collate import collate
from tzrec.features.column import Column


def sparse(rng: np.random.Generator, rows: int, kind: str) -> Column:
    lengths = rng.integers(0, 4, rows).astype(np.int32) if kind != "one" else None
    count = rows if lengths is None else int(lengths.sum())
    weights = rng.random(count, dtype=np.float32) if kind == "weighted" else None
    return Column(rng.integers(0, 100, count), lengths, weights)


def rows_of(column: Column) -> list[tuple[list[int], list[float]]]:
    """Ids and weights of every row, taken apart one by one."""
    out, at = [], 0
    for row in range(len(column.values) if column.lengths is None else len(column.lengths)):
        length = 1 if column.lengths is None else int(column.lengths[row])
        ids = [int(column.values[at + i]) for i in range(length)]
        weights = [1.0 if column.weights is None else float(column.weights[at + i]) for i in range(length)]
        out.append((ids, weights))
        at += length
    return out


@pytest.mark.parametrize("kinds", [["one", "one"], ["one", "many"], ["many", "weighted", "one"], ["weighted"]], ids=str)
def test_against_a_loop(kinds: list[str]) -> None:
    rng = np.random.default_rng(3)
    columns = {f"{kind}_{at}": sparse(rng, 5, kind) for at, kind in enumerate(kinds)}
    jagged: KeyedJaggedTensor = collate(columns)[1][BASE]
    assert jagged.keys() == list(columns)
    assert jagged.stride() == 5
    assert jagged.values().dtype == torch.int64
    assert jagged.lengths().dtype == torch.int32
    assert (jagged.weights_or_none() is None) == ("weighted" not in kinds)
    for name, column in columns.items():
        one, at = jagged[name], 0
        for row, (ids, weights) in enumerate(rows_of(column)):
            after = at + int(one.lengths()[row])
            assert one.values()[at:after].tolist() == ids
            if jagged.weights_or_none() is not None:
                assert one.weights()[at:after].tolist() == weights
            at = after


def test_dense_side_by_side() -> None:
    columns = {
        "b": Column(np.array([[1, 2], [3, 4]], np.float32), dim=2),
        "ids": Column(np.array([7, 8])),
        "a": Column(np.array([[5], [6]], np.float32), dim=1),
    }
    dense, jagged = collate(columns)
    assert dense[BASE].keys() == ["b", "a"]
    assert dense[BASE].values().tolist() == [[1, 2, 5], [3, 4, 6]]
    assert dense[BASE]["a"].tolist() == [[5], [6]]
    assert jagged[BASE].keys() == ["ids"]


def test_nothing_of_a_kind() -> None:
    assert collate({"ids": Column(np.array([7]))})[0] == {}
    assert collate({"x": Column(np.ones((1, 1), np.float32), dim=1)})[1] == {}
