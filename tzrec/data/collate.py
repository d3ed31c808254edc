"""Encoded columns of one batch, side by side, as the tensors that embeddings take."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torchrec import KeyedJaggedTensor, KeyedTensor

from tzrec.data.batch import BASE
from tzrec.features.column import Column

Dense = dict[str, KeyedTensor]
Sparse = dict[str, KeyedJaggedTensor]


def collate(columns: Mapping[str, Column]) -> tuple[Dense, Sparse]:
    """Dense and sparse tensors of the base data group, features in the order of `columns`.

    Args:
        columns: encoded features of the same B rows.
    """
    dense = {name: column for name, column in columns.items() if not column.is_sparse}
    sparse = {name: column for name, column in columns.items() if column.is_sparse}
    return (
        {BASE: _keyed_tensor(dense)} if dense else {},
        {BASE: _jagged_tensor(sparse)} if sparse else {},
    )


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


def _lengths(columns: Mapping[str, Column]) -> np.ndarray:
    """Ids per feature and row, feature by feature: `(features * B,)`."""
    if all(column.lengths is None for column in columns.values()):
        return np.ones(sum(len(column.values) for column in columns.values()), dtype=np.int32)
    return np.concatenate([_row_lengths(column) for column in columns.values()])


def _row_lengths(column: Column) -> np.ndarray:
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
