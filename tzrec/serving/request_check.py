"""Check that a program which computes users once scores a request as one that computes each row."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from tzrec.errors import PackageError
from tzrec.features.base import Feature
from tzrec.features.column import Column
from tzrec.features.feature_encoder import EncodedRequest
from tzrec.serving.servable import Servable
from tzrec.serving.user_once import UserOnce

_NUM_USERS, _NUM_ITEMS = 3, 16
_MAX_LENGTH = 3
_TOLERANCE = 1e-5
"""Greatest difference, relative to outputs greater than 1."""


def ensure_equal_scores(once: UserOnce, by_row: Servable, features: Mapping[str, Feature]) -> None:
    """Score a synthetic request of several users with both programs.

    Args:
        once: computes users once.
        by_row: computes each row, from the same tables.
        features: of the model.

    Raises:
        PackageError: the scores differ.
    """
    request = synthetic_request(once, features)
    with torch.inference_mode():
        received = once.predict(once.signature.from_request(request))
        expected = by_row.predict(by_row.signature.from_request(request))
    for name, value in received.items():
        difference = float((value - expected[name]).abs().max() / expected[name].abs().max().clamp(min=1))
        if not difference <= _TOLERANCE:
            raise PackageError(
                f"self-test: {name} of a request differs by {difference:.1e} where users are computed once, more than "
                f"{_TOLERANCE:.0e}; nothing was published. Set export_config.user_once to false"
            )


def synthetic_request(once: UserOnce, features: Mapping[str, Feature]) -> EncodedRequest:
    """Draw the features of users and items: 0 to 3 ids for each row or element, 0 to 3 elements, numbers of N(0, 1)."""
    generator = np.random.default_rng(0)
    sides = ((once.signature.users.features, _NUM_USERS), (once.signature.items.features, _NUM_ITEMS))
    users, items = ({name: _column(features[name], rows, generator) for name in names} for names, rows in sides)
    return EncodedRequest(_NUM_USERS, users, items, generator.integers(0, _NUM_USERS, _NUM_ITEMS))


def _column(feature: Feature, num_rows: int, generator: np.random.Generator) -> Column:
    if not feature.is_sequence:
        return _values(feature, num_rows, None, generator)
    lengths = generator.integers(0, _MAX_LENGTH + 1, num_rows).astype(np.int32)
    return _values(feature, int(lengths.sum()), lengths, generator)


def _values(
    feature: Feature, count: int, sequence_lengths: np.ndarray | None, generator: np.random.Generator
) -> Column:
    """Values of rows or elements."""
    if feature.table is None:
        numbers = generator.standard_normal((count, feature.dim)).astype(np.float32)
        return Column(numbers, dim=feature.dim, sequence_lengths=sequence_lengths)
    lengths = generator.integers(0, _MAX_LENGTH + 1, count).astype(np.int32)
    ids = generator.integers(0, feature.table.rows, int(lengths.sum()))
    weights = (generator.random(len(ids)) + 0.5).astype(np.float32) if feature.is_weighted else None
    return Column(ids, lengths, weights, sequence_lengths=sequence_lengths)
