"""RedisStore: columns in a server with the protocol of Redis, one request for all keys."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tzrec.errors import ConfigError, Problem, SetupError, StoreError, first_line
from tzrec.log import logger
from tzrec.protos.feature_store_pb2 import FeatureStore as StoreConfig
from tzrec.server.stores.packed_store import PackedStore

_KEYS_PER_REQUEST = 2000
"""Keys of one MGET or MSET, during which the server answers nobody else."""


class ValueCache:
    """Values by key, of a bounded number and age; the oldest one makes room.

    Args:
        num_entries: to keep at most.
        age_s: for which a value is kept, also that of a key without one.
    """

    def __init__(self, num_entries: int, age_s: float) -> None:
        self._num_entries, self._age_s = num_entries, age_s
        self._entries: dict[bytes, tuple[float, bytes | None]] = {}  # in the order of their age
        self._lock = threading.Lock()

    def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes | None]:
        """Values of those of the keys that are kept."""
        oldest, entries = time.monotonic() - self._age_s, self._entries
        entry_by_key = {key: entries.get(key) for key in keys}
        return {key: entry[1] for key, entry in entry_by_key.items() if entry is not None and entry[0] >= oldest}

    def put(self, values: dict[bytes, bytes | None]) -> None:
        """Keep values that were fetched now."""
        now = time.monotonic()
        with self._lock:
            for key in values:
                self._entries.pop(key, None)
            self._entries.update((key, (now, value)) for key, value in values.items())
            for key in list(islice(self._entries, max(0, len(self._entries) - self._num_entries))):
                del self._entries[key]


class RedisStore(PackedStore):
    """Columns in a server with the protocol of Redis, as Redis or Valkey.

    Raises:
        ConfigError: the URL is none of Redis.
        SetupError: the package redis is missing.
    """

    def __init__(self, config: StoreConfig) -> None:
        settings = config.redis_store
        super().__init__(config, settings.prefix)
        self._cache = ValueCache(settings.cache_entries, settings.cache_s) if settings.cache_s else None
        self._redis = _import_redis()
        timeout_s = config.timeout_ms / 1000
        password = Path(settings.password_file).read_text().strip() if settings.HasField("password_file") else None
        try:
            self._client = self._redis.Redis.from_url(
                settings.url,
                password=password,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                # a connection that the server has closed meanwhile is opened again
                retry=self._redis.retry.Retry(self._redis.backoff.NoBackoff(), 1, (self._redis.ConnectionError,)),
            )
        except ValueError as error:
            message = f"{first_line(error)}; give redis://host:port, rediss://host:port or unix:///path"
            raise ConfigError([Problem(f'feature_stores "{self.name}": redis_store.url', message)]) from None

    def start(self) -> None:
        """Connect; a server that does not answer is tried again with each request."""
        try:
            self._client.ping()
        except self._redis.RedisError as error:
            logger.warning("serve  store %s does not answer yet: %s", self.name, first_line(error))

    def close(self) -> None:
        self._client.close()

    def _values(self, keys: Sequence[bytes]) -> tuple[list[bytes | None], int]:
        if self._cache is None:
            return self._get(keys), 0
        values = self._cache.get(keys)
        missing = [key for key in keys if key not in values]
        num_cached = len(keys) - len(missing)
        if missing:
            fetched = dict(zip(missing, self._get(missing), strict=True))
            self._cache.put(fetched)
            values.update(fetched)
        return [values[key] for key in keys], num_cached

    def _get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        values: list[bytes | None] = []
        try:
            for first in range(0, len(keys), _KEYS_PER_REQUEST):
                values += self._client.mget(keys[first : first + _KEYS_PER_REQUEST])
        except self._redis.TimeoutError:
            raise TimeoutError from None
        except self._redis.RedisError as error:
            raise StoreError(f"store {self.name} does not answer: {first_line(error)}") from None
        return values

    def _put(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        remaining = iter(pairs)
        try:
            for pair in remaining:
                self._client.mset(dict(chain([pair], islice(remaining, _KEYS_PER_REQUEST - 1))))
        except self._redis.RedisError as error:
            raise StoreError(f"store {self.name} does not take the values: {first_line(error)}") from None


def _import_redis() -> Any:
    try:
        import redis
        import redis.backoff
        import redis.retry
    except ImportError:
        raise SetupError("redis_store needs the package redis: pip install 'tzrec[redis]'") from None
    return redis
