"""Features of a batch with the values of other rows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import torch
from torch import Tensor
from torchrec import JaggedTensor, KeyedJaggedTensor, KeyedTensor

from tzrec.data.batch import Batch


def permuted(batch: Batch, names: Collection[str], order: Tensor) -> Batch:
    """The batch whose row i has, of some features, what row `order[i]` had; everything else stays.

    Ids move with their number and weights, steps of a sequence together.

    Args:
        batch: B rows.
        names: the features.
        order: int64 `(B,)`.
    """
    return replace(
        batch,
        dense={group: _dense(each, names, order) for group, each in batch.dense.items()},
        sparse={group: _sparse(each, names, order) for group, each in batch.sparse.items()},
        sequences={group: _sparse(each, names, order) for group, each in batch.sequences.items()},
        element_sizes={
            name: _steps(each, order) if name in names else each for name, each in batch.element_sizes.items()
        },
        element_values={
            name: _steps(each, order) if name in names else each for name, each in batch.element_values.items()
        },
    )


def _dense(values: KeyedTensor, names: Collection[str], order: Tensor) -> KeyedTensor:
    keys, widths = values.keys(), values.length_per_key()
    pieces = values.values().split(widths, dim=1)
    moved = [piece[order] if key in names else piece for key, piece in zip(keys, pieces, strict=True)]
    return KeyedTensor(keys, widths, torch.cat(moved, 1))


def _sparse(ids: KeyedJaggedTensor, names: Collection[str], order: Tensor) -> KeyedJaggedTensor:
    bags = torch.arange(len(ids.lengths()), device=order.device).view(len(ids.keys()), -1)  # (F, B)
    here = [row[order] if key in names else row for key, row in zip(ids.keys(), bags, strict=True)]
    lengths, places = _moved(ids.lengths(), torch.cat(here))
    weights = ids.weights_or_none()
    moved = None if weights is None else weights[places]
    return KeyedJaggedTensor(ids.keys(), ids.values()[places], weights=moved, lengths=lengths)


def _steps(steps: JaggedTensor, order: Tensor) -> JaggedTensor:
    lengths, places = _moved(steps.lengths(), order)
    return JaggedTensor(steps.values()[places], lengths=lengths)


def _moved(lengths: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths of bags in another order, and where each of their elements stood: `(bags,)` and `(elements,)`."""
    taken = lengths[order]
    starts, ends = lengths.cumsum(0) - lengths, taken.cumsum(0)
    shift = (starts[order] - (ends - taken)).repeat_interleave(taken)
    return taken, shift + torch.arange(len(shift), device=order.device)
