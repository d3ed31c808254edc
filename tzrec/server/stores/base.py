"""FeatureStore: columns of items or users by key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from tzrec.features.arrays import BoolArray
from tzrec.protos.feature_store_pb2 import FeatureStore as StoreConfig


@dataclass(frozen=True)
class StoredRows:
    """Rows that a store has for K keys.

    Attributes:
        table: columns, `(K,)` each; null in the rows of unknown keys.
        is_known: mask of the keys that the store has a row for, `(K,)`.
        num_cached: rows that were not fetched, since they were kept.
        num_damaged: rows that cannot be read; they are unknown.
    """

    table: pa.Table
    is_known: BoolArray
    num_cached: int = 0
    num_damaged: int = 0


class FeatureStore(ABC):
    """Columns by key; several threads may look them up at once.

    Args:
        config: of the store.

    Attributes:
        name: of the store.
        config: of the store.
    """

    def __init__(self, config: StoreConfig) -> None:
        self.name, self.config = config.name, config

    @property
    @abstractmethod
    def columns(self) -> frozenset[str] | None:
        """Columns that the store has, without the key; None if they are not known yet."""

    def start(self) -> None:  # noqa: B027 - most stores read nothing before the first request
        """Read or open what the first request needs.

        Raises:
            DataError: files are missing or cannot be read.
            StoreError: the store cannot be opened.
        """

    @abstractmethod
    def look_up(self, keys: pa.Array, columns: Sequence[str]) -> StoredRows:
        """Return the rows of keys.

        Args:
            keys: large_string, `(K,)`, without null, each once.
            columns: to return, those of them that the store has.

        Raises:
            StoreError: the store does not answer.
            TimeoutError: it does not answer in time.
        """

    def close(self) -> None:  # noqa: B027 - most stores have nothing to end
        """End the threads and the connections of the store."""

    def selected(self, names: Sequence[str]) -> list[str]:
        """The columns that the config takes from those with these names; all that it lists, also if there is none."""
        return list(self.config.columns) or [name for name in names if name != self.config.key]
