"""Collate the encoded columns of a batch into the tensors that embeddings read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torchrec import JaggedTensor, KeyedJaggedTensor, KeyedTensor

from tzrec.data.batch import BASE, Batch
from tzrec.features.column import Column

Lengths = npt.NDArray[np.int32]


def collate(columns: Mapping[str, Column], rows: int, data_groups: Mapping[str, str] | None = None) -> Batch:
    """Build a batch with the features in the order of `columns`.

    Args:
        columns: encoded features.
        rows: B, the number of rows of the base data group.
        data_groups: data group of each feature; None for the base data group.
    """
    groups: dict[str, dict[str, Column]] = {}
    for name, column in columns.items():
        groups.setdefault(BASE if data_groups is None else data_groups[name], {})[name] = column
    dense, sparse, ids = (
        {group: chosen for group, members in groups.items() if (chosen := select(members))}
        for select in (_dense_rows, _sparse_rows, _sparse_elements)
    )
    elements = {name: column for name, column in columns.items() if column.sequence_lengths is not None}
    return Batch(
        rows=rows,
        dense={group: _keyed_tensor(members) for group, members in dense.items()},
        sparse={group: _jagged_tensor(members) for group, members in sparse.items()},
        sequences={group: _id_sequences(members) for group, members in ids.items()},
        element_sizes={
            name: _jagged(column.lengths, column)
            for name, column in elements.items()
            if column.is_sparse and column.lengths is not None
        },
        element_values={
            name: _jagged(column.values, column) for name, column in elements.items() if not column.is_sparse
        },
        rows_by_data_group={
            group: next(iter(members.values())).num_rows for group, members in groups.items() if group != BASE
        },
    )


def _dense_rows(columns: Mapping[str, Column]) -> dict[str, Column]:
    return {k: column for k, column in columns.items() if column.sequence_lengths is None and not column.is_sparse}


def _sparse_rows(columns: Mapping[str, Column]) -> dict[str, Column]:
    return {k: column for k, column in columns.items() if column.sequence_lengths is None and column.is_sparse}


def _sparse_elements(columns: Mapping[str, Column]) -> dict[str, Column]:
    return {k: column for k, column in columns.items() if column.sequence_lengths is not None and column.is_sparse}


def _keyed_tensor(columns: Mapping[str, Column]) -> KeyedTensor:
    values = np.concatenate([column.values for column in columns.values()], axis=1)  # (B, sum of dims)
    return KeyedTensor(
        keys=list(columns),
        length_per_key=[column.dim for column in columns.values()],
        values=torch.from_numpy(values),
    )


def _jagged_tensor(columns: Mapping[str, Column]) -> KeyedJaggedTensor:
    values = np.concatenate([column.values for column in columns.values()])  # (sum of N,)
    return KeyedJaggedTensor(
        keys=list(columns),
        values=torch.from_numpy(values),
        weights=_weights(columns),
        lengths=torch.from_numpy(_lengths(columns)),
    )


def _id_sequences(columns: Mapping[str, Column]) -> KeyedJaggedTensor:
    return KeyedJaggedTensor(
        keys=list(columns),
        values=torch.from_numpy(np.concatenate([column.values for column in columns.values()])),  # (sum of N,)
        lengths=torch.from_numpy(np.concatenate([ids_per_row(column) for column in columns.values()])),
    )


def _jagged(values: np.ndarray, column: Column) -> JaggedTensor:
    """Values of each element `(S, ...)`."""
    assert column.sequence_lengths is not None
    return JaggedTensor(to_tensor(values), lengths=to_tensor(column.sequence_lengths))


def to_tensor(array: np.ndarray) -> torch.Tensor:
    """Convert to a tensor; copy arrays in memory of Arrow, which is read-only."""
    return torch.from_numpy(np.require(array, requirements="W"))


def ids_per_row(column: Column) -> Lengths:
    """Ids of a sparse sequence in each row, `(B,)`."""
    assert column.sequence_lengths is not None
    if column.lengths is None:
        return column.sequence_lengths
    before = np.concatenate([[0], np.cumsum(column.lengths)])  # ids before each element
    ends = np.cumsum(column.sequence_lengths)
    return (before[ends] - before[ends - column.sequence_lengths]).astype(np.int32)


def _lengths(columns: Mapping[str, Column]) -> Lengths:
    """Ids per feature and row, feature by feature: `(features * B,)`."""
    if all(column.lengths is None for column in columns.values()):
        return np.ones(sum(len(column.values) for column in columns.values()), dtype=np.int32)
    return np.concatenate([_row_lengths(column) for column in columns.values()])


def _row_lengths(column: Column) -> Lengths:
    return np.ones(len(column.values), dtype=np.int32) if column.lengths is None else column.lengths


def _weights(columns: Mapping[str, Column]) -> torch.Tensor | None:
    """Weight of every id; 1 for features without weights, None if no feature has any."""
    if all(column.weights is None for column in columns.values()):
        return None
    parts = [
        np.ones(len(column.values), dtype=np.float32) if column.weights is None else column.weights
        for column in columns.values()
    ]
    return torch.from_numpy(np.concatenate(parts))
