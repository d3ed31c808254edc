"""Completer: the columns that requests leave out, from the feature stores of a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from tzrec.errors import DataError, TzrecError
from tzrec.log import logger
from tzrec.server.errors import UNAVAILABLE, RequestError
from tzrec.server.stores.base import FeatureStore
from tzrec.server.stores.keys import to_keys
from tzrec.server.stores.store_metrics import StoreMetrics

_THREADS_PER_STORE = 4
_QUIET_S = 10.0
"""Errors of a store are logged once in this time; the metrics count all."""


@dataclass(frozen=True)
class _Lookup:
    """A store, and the table of a request that has its key."""

    store: FeatureStore
    table: int
    columns: Sequence[str]


class Completer:
    """Source of the columns that requests leave out.

    Args:
        stores: that are asked; of two with a column, the first one counts.
        metrics: count the answers.

    Attributes:
        keys: columns with the keys of the stores.
    """

    def __init__(self, stores: Sequence[FeatureStore], metrics: StoreMetrics) -> None:
        self._stores, self._metrics = stores, metrics
        self.keys = tuple(dict.fromkeys(store.config.key for store in stores))
        num_threads = _THREADS_PER_STORE * len(stores)
        self._pool = ThreadPoolExecutor(num_threads, "stores") if stores else None
        self._logged_at: dict[str, float] = {}
        for store in stores:
            store.start()

    def close(self) -> None:
        """Close the stores."""
        if self._pool is not None:
            self._pool.shutdown()
        for store in self._stores:
            store.close()

    async def complete(self, tables: Sequence[pa.Table], columns: Sequence[str]) -> list[pa.Table]:
        """Add the columns that the tables of a request lack and stores have.

        A column that the request has is not replaced. The rows of unknown keys, and all rows where a store does not
        answer in time, are left without values: null, or no column.

        Args:
            tables: rows of the request; of a user and of items. The last one with the key of a store receives its
                columns.
            columns: that the model reads.

        Raises:
            RequestError: a column of keys has values that are no keys, or a required store does not answer.
        """
        lookups = self._lookups(tables, columns)
        if not lookups:
            return list(tables)
        answers = await asyncio.gather(*(self._answer(lookup, tables[lookup.table]) for lookup in lookups))
        completed, given = list(tables), set[str]()
        for lookup, answer in zip(lookups, answers, strict=True):
            for name in answer.column_names:
                if name not in given:
                    completed[lookup.table] = completed[lookup.table].append_column(name, answer[name])
                    given.add(name)
        return completed

    def _lookups(self, tables: Sequence[pa.Table], columns: Sequence[str]) -> list[_Lookup]:
        if not self._stores:
            return []
        given = {name for table in tables for name in table.column_names}
        lookups: list[_Lookup] = []
        for store in self._stores:
            known = store.columns
            names = [name for name in columns if name not in given and (known is None or name in known)]
            with_key = [index for index, table in enumerate(tables) if store.config.key in table.column_names]
            if names and with_key:
                lookups.append(_Lookup(store, with_key[-1], names))
        return lookups

    async def _answer(self, lookup: _Lookup, rows: pa.Table) -> pa.Table:
        """Columns of a store for the rows of a request, `(B,)` each; none where it does not answer."""
        store, start = lookup.store, time.monotonic()
        assert self._pool is not None
        try:
            future = asyncio.get_running_loop().run_in_executor(self._pool, self._stored, lookup, rows)
            answer = await asyncio.wait_for(future, store.config.timeout_ms / 1000)
        except RequestError:
            raise
        except (TzrecError, TimeoutError, asyncio.TimeoutError) as error:
            is_late = not isinstance(error, TzrecError)
            reason = f"store {store.name}: no answer within {store.config.timeout_ms} ms" if is_late else str(error)
            self._metrics.count_error(store.name, "timeout" if is_late else "error")
            self._log(store.name, reason)
            if store.config.is_required:
                raise RequestError(f"{reason}; try again later", UNAVAILABLE) from None
            answer = pa.table({})
        self._metrics.observe_time(store.name, time.monotonic() - start)
        return answer

    def _stored(self, lookup: _Lookup, rows: pa.Table) -> pa.Table:
        """Look up the rows of a request: each key once, however many rows have it."""
        store = lookup.store
        try:
            keys = to_keys(rows[store.config.key], store.config.key).dictionary_encode()
        except DataError as error:
            raise RequestError(str(error)) from None
        if not len(keys.dictionary):
            return pa.table({})
        stored = store.look_up(keys.dictionary, lookup.columns)
        self._metrics.observe_rows(store.name, stored)
        is_same = len(keys.dictionary) == len(keys)  # each row has another key
        return stored.table if is_same else stored.table.take(keys.indices)

    def _log(self, name: str, reason: str) -> None:
        now = time.monotonic()
        if now - self._logged_at.get(name, -_QUIET_S) >= _QUIET_S:
            self._logged_at[name] = now
            logger.warning("serve  %s", reason)
