from __future__ import annotations

import numpy as np
import pytest
import torch

from tzrec.data.batch import BASE, Batch
from tzrec.data.collate import collate
from tzrec.data.permute import permute_features
from tzrec.features.column import Column

SIZES = np.array([2, 0, 1], np.int32)
PERMUTED_SIZES = np.array([1, 2, 0], np.int32)


def column(values: list[float], kind: type = np.int64, **fields: object) -> Column:
    return Column(np.array(values, kind), **fields)


COLUMNS = {
    "one": column([5, 6, 7]),
    "many": column([1, 2, 3], lengths=SIZES, weights=np.array([0.1, 0.2, 0.3], np.float32)),
    "x": Column(np.array([[1, 2], [3, 4], [5, 6]], np.float32), dim=2),
    "y": Column(np.array([[7], [8], [9]], np.float32), dim=1),
    "clicks": column([11, 12, 13], sequence_lengths=SIZES),
    "tags": column([1, 2, 3, 4], lengths=np.array([1, 2, 1], np.int32), sequence_lengths=SIZES),
    "prices": Column(np.array([[0.1], [0.2], [0.3]], np.float32), dim=1, sequence_lengths=SIZES),
}
PERMUTED = {
    "one": column([7, 5, 6]),
    "many": column([3, 1, 2], lengths=np.array([1, 2, 0], np.int32), weights=np.array([0.3, 0.1, 0.2], np.float32)),
    "x": Column(np.array([[5, 6], [1, 2], [3, 4]], np.float32), dim=2),
    "y": Column(np.array([[9], [7], [8]], np.float32), dim=1),
    "clicks": column([13, 11, 12], sequence_lengths=PERMUTED_SIZES),
    "tags": column([4, 1, 2, 3], lengths=np.array([1, 1, 2], np.int32), sequence_lengths=PERMUTED_SIZES),
    "prices": Column(np.array([[0.3], [0.1], [0.2]], np.float32), dim=1, sequence_lengths=PERMUTED_SIZES),
}


def content(batch: Batch) -> dict[str, list[object]]:
    """Values, lengths and weights of every feature."""
    content: dict[str, list[object]] = {name: [] for name in COLUMNS}
    for name, values in batch.dense[BASE].to_dict().items():
        content[name].append(values.tolist())
    for ids in (batch.sparse[BASE], batch.sequences[BASE]):
        for name, jagged in ids.to_dict().items():
            weights = jagged.weights_or_none()
            content[name] += [
                jagged.values().tolist(),
                jagged.lengths().tolist(),
                None if weights is None else weights.tolist(),
            ]
    for name, jagged in [*batch.element_sizes.items(), *batch.element_values.items()]:
        content[name] += [jagged.values().tolist(), jagged.lengths().tolist()]
    return content


@pytest.mark.parametrize("names", [[name] for name in COLUMNS] + [["clicks", "tags", "prices"], ["x", "many"], []])
def test_permute_moves_only_the_named_features(names: list[str]) -> None:
    """The order is row 2, row 0, row 1: equal to collating the columns in that order."""
    batch = collate(COLUMNS, 3)
    received = permute_features(batch, names, torch.tensor([2, 0, 1]))
    expected = collate({name: (PERMUTED if name in names else COLUMNS)[name] for name in COLUMNS}, 3)
    assert content(received) == content(expected)
    assert (received.rows, received.labels, received.cursor) == (batch.rows, batch.labels, batch.cursor)
