"""PackedStore: a store of packed values by key."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from tzrec.protos.feature_store_pb2 import FeatureStore as StoreConfig
from tzrec.server.stores.base import FeatureStore, StoredRows
from tzrec.server.stores.packed_rows import PackedColumns, description_key, names_of, read_description, unpack


class PackedStore(FeatureStore):
    """Columns in packed values; see `packed_rows`."""

    def __init__(self, config: StoreConfig, prefix: str) -> None:
        super().__init__(config)
        self._prefix = prefix
        self._schemas: Mapping[bytes, pa.Schema] = {}  # replaced and never changed: threads share it

    @property
    def columns(self) -> frozenset[str] | None:
        if not self._schemas:
            return None
        return frozenset(name for schema in self._schemas.values() for name in self.selected(schema.names))

    def look_up(self, keys: pa.Array, columns: Sequence[str]) -> StoredRows:
        values, num_cached = self._values([f"{self._prefix}{key}".encode() for key in keys.to_pylist()])
        self._read_descriptions(names_of(values) - self._schemas.keys())
        columns = [name for name in columns if not self.config.columns or name in self.config.columns]
        return replace(unpack(values, columns, self._schemas), num_cached=num_cached)

    def write(self, keys: pa.Array, rows: pa.RecordBatch) -> None:
        """Write rows; those of the same keys are replaced.

        Args:
            keys: large_string, `(B,)`; rows without a key are left out.
            rows: columns, `(B,)` each.

        Raises:
            StoreError: the store does not take them.
        """
        columns = PackedColumns(rows.schema)
        pairs = zip(keys.to_pylist(), columns.pack(rows), strict=True)
        described = [(description_key(columns.name), columns.description)]
        self._put([*described, *((f"{self._prefix}{key}".encode(), value) for key, value in pairs if key is not None)])

    def _values(self, keys: Sequence[bytes]) -> tuple[list[bytes | None], int]:
        """Values of keys, and the number of those that were not fetched."""
        return self._get(keys), 0

    @abstractmethod
    def _get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Fetch values of keys."""

    @abstractmethod
    def _put(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Write values of keys."""

    def _read_descriptions(self, names: Iterable[bytes]) -> None:
        ordered = sorted(names)
        if not ordered:
            return
        descriptions = self._get([description_key(name) for name in ordered])
        schemas = {name: read_description(name, value) for name, value in zip(ordered, descriptions, strict=True)}
        self._schemas = {**self._schemas, **{name: schema for name, schema in schemas.items() if schema is not None}}
