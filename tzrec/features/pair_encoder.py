"""PairEncoder: features of pairs of a user and an item; what depends on one of them alone is encoded once."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pyarrow as pa

from tzrec.features.arrays import Int64Array
from tzrec.features.bad_rows import BadRows
from tzrec.features.column import Column
from tzrec.features.feature_encoder import FeatureEncoder


class PairEncoder:
    """Encoder of pairs, the same as `FeatureEncoder.encode` of rows with the columns of both.

    Args:
        encoder: of the features.
        item_columns: raw columns of the items; all others are of the users.

    Attributes:
        user_columns: raw columns of users that features read.
        item_columns: raw columns of items that features read.
    """

    def __init__(self, encoder: FeatureEncoder, item_columns: Collection[str]) -> None:
        self.user_columns = tuple(name for name in encoder.columns if name not in item_columns)
        self.item_columns = tuple(name for name in encoder.columns if name in item_columns)
        self._users, self._items = encoder.select(self.user_columns), encoder.select(self.item_columns)
        single = {*self._users.outputs, *self._items.outputs}
        both = [name for name in encoder.outputs if name not in single]
        self._both = encoder.select_features(both) if both else None

    def encode_users(self, users: pa.RecordBatch) -> tuple[dict[str, Column], BadRows]:
        """Encode the features that depend on users alone.

        Raises:
            DataError: a column is missing or has a type that a feature cannot read.
        """
        return self._users.encode(users)

    def encode_pairs(
        self,
        users: pa.RecordBatch,
        encoded_users: Mapping[str, Column],
        items: pa.RecordBatch,
        user_rows: Int64Array,
        item_rows: Int64Array,
    ) -> dict[str, Column]:
        """Encode pairs; bad values become the defaults of their features.

        Args:
            users: raw columns of users.
            encoded_users: result of `encode_users` for them.
            items: raw columns of items.
            user_rows, item_rows: rows of the user and the item of each pair, `(F,)`.

        Raises:
            DataError: a column has a type that a feature cannot read.
        """
        columns = {name: column.take(user_rows) for name, column in encoded_users.items()}
        encoded_items, _ = self._items.encode(items)
        columns |= {name: column.take(item_rows) for name, column in encoded_items.items()}
        if self._both is not None:
            needed_users = [name for name in self._both.columns if name in self.user_columns]
            needed_items = [name for name in self._both.columns if name in self.item_columns]
            taken_users = users.select(needed_users).take(pa.array(user_rows))
            taken_items = items.select(needed_items).take(pa.array(item_rows))
            pairs = pa.RecordBatch.from_arrays(
                [*taken_users.columns, *taken_items.columns], [*needed_users, *needed_items]
            )
            columns |= self._both.encode(pairs)[0]
        return columns
