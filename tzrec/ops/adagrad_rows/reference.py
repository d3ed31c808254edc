"""Adagrad on the rows of embedding tables that a step looked up, in plain torch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Tables(NamedTuple):
    """Tables of several features, stored one after the other.

    Attributes:
        weights: rows of all tables, `(V,)` float32.
        sums: sums of their squared gradients, `(V,)` float32.
        features: `(F, 3)` int64: start of the feature's table in `weights`, first column of the feature in the
            gradient, width. Features of the same table follow each other.
    """

    weights: Tensor
    sums: Tensor
    features: Tensor


class Lookups(NamedTuple):
    """Ids that a step has looked up.

    Attributes:
        ids: rows of the tables, feature after feature, `(N,)` int64.
        offsets: first id of each row of the batch, feature after feature, and N: `(F * B + 1,)` int64.
        scales: factor of each vector, `(N,)` float32; None for 1.
        is_pooled: the vectors of each row of the batch were summed, and the gradient is `(B, sum of widths)`; otherwise
            the gradient has one row for each id.
    """

    ids: Tensor
    offsets: Tensor
    scales: Tensor | None = None
    is_pooled: bool = True


def adagrad_rows(tables: Tables, lookups: Lookups, gradient: Tensor, lr: float, eps: float) -> None:
    """Update the rows that were looked up, in place: `s += g^2`, `w -= lr g / (sqrt(s) + eps)`.

    `g` is the sum of the gradients of all lookups of a row, in the order of the lookups.

    Args:
        tables: updated in place.
        lookups: ids of the step.
        gradient: of the vectors that the lookups returned.
        lr: learning rate.
        eps: term of the denominator.
    """
    offsets, features = lookups.offsets.tolist(), list(enumerate(tables.features.tolist()))
    batch_size = (len(offsets) - 1) // len(features)
    owners = torch.arange(batch_size).repeat(len(features)).repeat_interleave(lookups.offsets.diff())  # (N,)
    for start, width in {start: width for _, (start, _, width) in features}.items():
        ids, gradients = [], []
        for feature, (first, column, _) in features:
            if first == start:
                part = slice(offsets[feature * batch_size], offsets[(feature + 1) * batch_size])
                rows = gradient[owners[part], column : column + width] if lookups.is_pooled else gradient[part]
                gradients.append(rows if lookups.scales is None else rows * lookups.scales[part, None])
                ids.append(lookups.ids[part])
        unique, places = torch.cat(ids).unique(return_inverse=True)
        total = gradient.new_zeros(len(unique), width).index_add_(0, places, torch.cat(gradients))
        values = (start + unique[:, None] * width + torch.arange(width)).flatten()
        sums = tables.sums[values] + total.flatten().square()
        tables.sums[values] = sums
        tables.weights[values] -= lr * total.flatten() / (sums.sqrt() + eps)
