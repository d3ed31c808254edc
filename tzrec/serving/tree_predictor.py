"""TreePredictor: scores of the nodes of a tree, and the items with the highest scores."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import pyarrow as pa

from tzrec.errors import DataError, UsageError
from tzrec.serving.beam_search import BeamSearch
from tzrec.serving.predictor import Predictor, bad_value

_USERS = 256
"""Number of users that are searched for at a time."""


class TreePredictor(Predictor):
    """Predictor of a package with a tdm_sampler, whose tables are those of a tree."""

    @cached_property
    def search(self) -> BeamSearch:
        """The search, which opens the tables of the tree with the first request."""
        return BeamSearch(self.scorer, self.encoder, self.config)

    def retrieve(self, frame: Any, k: int) -> pa.Table:
        """Find the items of the tree with the highest probabilities for users, by beam search.

        Args:
            frame: the users, without columns of items; as for `predict`.
            k: how many items to find for each.

        Returns:
            one row for each user, in the order of the input: `ids`, the items, and `scores`, their probabilities,
            float32; both are lists with the best item first.

        Raises:
            DataError: as for `predict`, or a table of the tree cannot be read.
            PackageError: the model has no output with a probability.
            UsageError: `k` is no whole number from 1 up.
        """
        if type(k) is not int or k < 1:
            raise UsageError(f"retrieve: k must be a whole number from 1 up; received {k!r}")
        table = self._table(frame, self.search.columns)
        if table.num_rows == 0:
            raise DataError("the table has no rows")
        types = dict(zip(table.schema.names, table.schema.types, strict=True))
        parts = []
        for first in range(0, table.num_rows, _USERS):
            users = table.slice(first, _USERS).combine_chunks().to_batches()[0]
            items, bad = self.search.search(users, k, types)
            if bad and self.is_strict:
                raise bad_value(bad, first)
            parts.append(self.search.to_table(items, users.num_rows))
        return pa.concat_tables(parts)
