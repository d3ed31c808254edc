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
    """Ids and weights of every row."""
    out, at = [], 0
    for row in range(len(column.values) if column.lengths is None else len(column.lengths)):
        length = 1 if column.lengths is None else int(column.lengths[row])
        ids = [int(column.values[at + i]) for i in range(length)]
        weights = [1.0 if column.weights is None else float(column.weights[at + i]) for i in range(length)]
        out.append((ids, weights))
        at += length
    return out


@pytest.mark.parametrize("kinds", [["one", "one"], ["one", "many"], ["many", "weighted", "one"], ["weighted"]], ids=str)
def test_sparse_columns_equal_loop_over_rows(kinds: list[str]) -> None:
    rng = np.random.default_rng(3)
    columns = {f"{kind}_{at}": sparse(rng, 5, kind) for at, kind in enumerate(kinds)}
    jagged: KeyedJaggedTensor = collate(columns, 5).sparse[BASE]
    assert jagged.keys() == list(columns)
    assert jagged.stride() == 5
    assert jagged.values().dtype == torch.int64
    assert jagged.lengths().dtype == torch.int32
    assert (jagged.weights_or_none() is None) == ("weighted" not in kinds)
    for name, column in columns.items():
        feature, start = jagged[name], 0
        for row, (ids, weights) in enumerate(rows_of(column)):
            stop = start + int(feature.lengths()[row])
            assert feature.values()[start:stop].tolist() == ids
            if jagged.weights_or_none() is not None:
                assert feature.weights()[start:stop].tolist() == weights
            start = stop


def test_dense_columns_are_concatenated_in_order() -> None:
    columns = {
        "b": Column(np.array([[1, 2], [3, 4]], np.float32), dim=2),
        "ids": Column(np.array([7, 8])),
        "a": Column(np.array([[5], [6]], np.float32), dim=1),
    }
    batch = collate(columns, 2)
    dense, jagged = batch.dense, batch.sparse
    assert dense[BASE].keys() == ["b", "a"]
    assert dense[BASE].values().tolist() == [[1, 2, 5], [3, 4, 6]]
    assert dense[BASE]["a"].tolist() == [[5], [6]]
    assert jagged[BASE].keys() == ["ids"]


def test_batch_without_a_kind_of_column_has_no_tensor() -> None:
    assert collate({"ids": Column(np.array([7]))}, 1).dense == {}
    assert collate({"x": Column(np.ones((1, 1), np.float32), dim=1)}, 1).sparse == {}


def test_sequences_are_collated_by_element() -> None:
    """Rows of 2, 0 and 1 elements; `many` has 2, 0 and 3 ids in them."""
    lengths = np.array([2, 0, 1], np.int32)
    columns = {
        "one": Column(np.array([7, 8, 9]), sequence_lengths=lengths),
        "many": Column(np.array([1, 2, 3, 4, 5]), lengths=np.array([2, 0, 3], np.int32), sequence_lengths=lengths),
        "x": Column(np.array([[1, 2], [3, 4], [5, 6]], np.float32), dim=2, sequence_lengths=lengths),
        "id": Column(np.array([10, 11, 12])),
    }
    batch = collate(columns, 3)
    assert batch.rows == 3
    assert batch.sparse[BASE].keys() == ["id"]
    assert batch.dense == {}
    ids = batch.sequences[BASE]
    assert ids.keys() == ["one", "many"]
    assert ids["one"].values().tolist() == [7, 8, 9]
    assert ids["one"].lengths().tolist() == [2, 0, 1]
    assert ids["many"].values().tolist() == [1, 2, 3, 4, 5]
    assert ids["many"].lengths().tolist() == [2, 0, 3]  # 2 + 0 ids in the first row
    assert list(batch.element_sizes) == ["many"]
    assert batch.element_sizes["many"].values().tolist() == [2, 0, 3]
    assert batch.element_sizes["many"].lengths().tolist() == [2, 0, 1]
    assert batch.element_values["x"].values().tolist() == [[1, 2], [3, 4], [5, 6]]
    assert batch.element_values["x"].lengths().tolist() == [2, 0, 1]


def test_map_visits_all_sequence_tensors() -> None:
    column = Column(np.array([7, 8]), lengths=np.array([1, 1], np.int32), sequence_lengths=np.array([2], np.int32))
    visited: list[object] = []
    dense = Column(np.ones((1, 1), np.float32), dim=1, sequence_lengths=np.array([1], np.int32))
    collate({"ids": column, "x": dense}, 1).map(lambda value: visited.append(value) or value)
    assert len(visited) == 3


def test_read_only_arrays_are_copied() -> None:
    values, lengths = np.array([[1.0]], np.float32), np.array([1], np.int32)
    values.flags.writeable = lengths.flags.writeable = False
    tensor = collate({"x": Column(values, dim=1, sequence_lengths=lengths)}, 1).element_values["x"].values()
    tensor += 1
    assert (values.item(), tensor.item()) == (1.0, 2.0)
