"""Permutation of the values of some features among the rows of a batch, for feature importance."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import torch
from torch import Tensor
from torchrec import JaggedTensor, KeyedJaggedTensor, KeyedTensor

from tzrec.data.batch import Batch


def permute_features(batch: Batch, names: Collection[str], order: Tensor) -> Batch:
    """Copy a batch; row i gets the values of some features from row `order[i]`, and keeps all others.

    Lengths and weights move with their ids, and the elements of a sequence together.

    Args:
        batch: B rows.
        names: the features.
        order: int64 `(B,)`.
    """
    return replace(
        batch,
        dense={group: _dense(values, names, order) for group, values in batch.dense.items()},
        sparse={group: _sparse(ids, names, order) for group, ids in batch.sparse.items()},
        sequences={group: _sparse(ids, names, order) for group, ids in batch.sequences.items()},
        element_sizes={
            name: _elements(sizes, order) if name in names else sizes for name, sizes in batch.element_sizes.items()
        },
        element_values={
            name: _elements(values, order) if name in names else values for name, values in batch.element_values.items()
        },
    )


def _dense(values: KeyedTensor, names: Collection[str], order: Tensor) -> KeyedTensor:
    keys, widths = values.keys(), values.length_per_key()
    pieces = values.values().split(widths, dim=1)
    moved = [piece[order] if key in names else piece for key, piece in zip(keys, pieces, strict=True)]
    return KeyedTensor(keys, widths, torch.cat(moved, 1))


def _sparse(ids: KeyedJaggedTensor, names: Collection[str], order: Tensor) -> KeyedJaggedTensor:
    bags = torch.arange(len(ids.lengths()), device=order.device).view(len(ids.keys()), -1)  # (F, B)
    bag_order = [row[order] if key in names else row for key, row in zip(ids.keys(), bags, strict=True)]
    lengths, indices = _reorder(ids.lengths(), torch.cat(bag_order))
    weights = ids.weights_or_none()
    weights = None if weights is None else weights[indices]
    return KeyedJaggedTensor(ids.keys(), ids.values()[indices], weights=weights, lengths=lengths)


def _elements(elements: JaggedTensor, order: Tensor) -> JaggedTensor:
    lengths, indices = _reorder(elements.lengths(), order)
    return JaggedTensor(elements.values()[indices], lengths=lengths)


def _reorder(lengths: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """Reorder bags: lengths in the new order `(bags,)`, and the old index of each of their elements `(elements,)`."""
    new_lengths = lengths[order]
    starts, ends = lengths.cumsum(0) - lengths, new_lengths.cumsum(0)
    shift = (starts[order] - (ends - new_lengths)).repeat_interleave(new_lengths)
    return new_lengths, shift + torch.arange(len(shift), device=order.device)
