"""ParquetStore: columns of Parquet files, in memory; files that change are read again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from tzrec.data.paths import expand
from tzrec.data.reader import open_reader
from tzrec.errors import DataError, TzrecError
from tzrec.log import logger
from tzrec.protos import data_pb2
from tzrec.protos.feature_store_pb2 import FeatureStore as StoreConfig
from tzrec.server.stores.base import FeatureStore, StoredRows
from tzrec.server.stores.keys import KeyIndex, to_keys


@dataclass(frozen=True)
class _Contents:
    """Rows of the files and their index, replaced as a whole, so that a request sees one version."""

    table: pa.Table
    index: KeyIndex


class ParquetStore(FeatureStore):
    """Columns of Parquet files."""

    def __init__(self, config: StoreConfig) -> None:
        super().__init__(config)
        self._version: list[tuple[str, object]] = []
        self._contents = _Contents(pa.table({}), KeyIndex(pa.array([], pa.large_string())))
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"store {self.name}", daemon=True)

    @property
    def columns(self) -> frozenset[str]:
        return frozenset(self._contents.table.column_names)

    def start(self) -> None:
        self._version = self._listed()
        self._contents = self._read()
        self._thread.start()

    def look_up(self, keys: pa.Array, columns: Sequence[str]) -> StoredRows:
        contents = self._contents
        rows = contents.index.find(keys)  # (K,)
        is_known = rows >= 0
        table = contents.table.select([name for name in columns if name in contents.table.column_names])
        return StoredRows(table.take(pa.array(rows, mask=~is_known)), is_known)

    def close(self) -> None:
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        """Read the files again when they change; errors leave the rows that were read before."""
        while not self._ending.wait(self.config.parquet_store.poll_s):
            try:
                version = self._listed()
                if version == self._version:
                    continue
                self._version = version  # if they cannot be read: not before they change again
                self._contents = self._read()
            except (TzrecError, OSError, pa.ArrowException) as error:
                logger.error("serve  store %s: the rows read before stay in use: %s", self.name, error)

    def _listed(self) -> list[tuple[str, object]]:
        """Files and their versions."""
        return [(file.name, file.version()) for file in expand(self.config.parquet_store.path)]

    def _read(self) -> _Contents:
        path, key = self.config.parquet_store.path, self.config.key
        reader = open_reader(data_pb2.DataConfig(dataset_type=data_pb2.ParquetDataset), path)
        reader = reader.select([key, *self.selected(reader.available)])
        batches = [piece.batch for piece in reader.read()]
        if not batches:
            raise DataError(f"{path}: the files have no rows")
        table = pa.Table.from_batches(batches).combine_chunks()
        contents = _Contents(table.drop_columns([key]), KeyIndex(to_keys(table[key], key)))
        logger.info("serve  store %s: %d rows of %d columns", self.name, table.num_rows, contents.table.num_columns)
        unused = table.num_rows - contents.index.num_keys
        if unused:
            text = "serve  store %s: %d rows are not used: they have no key, or the key of a later row"
            logger.warning(text, self.name, unused)
        return contents
