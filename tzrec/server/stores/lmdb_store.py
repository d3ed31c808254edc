"""LmdbStore: columns in an LMDB environment, a file that is mapped to memory."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from tzrec.errors import SetupError, StoreError
from tzrec.protos.feature_store_pb2 import FeatureStore as StoreConfig
from tzrec.server.stores.packed_store import PackedStore

_MAP_BYTES = 1 << 40
"""Size of the mapping, and so the limit of the file; it takes no memory."""
_MAX_READERS = 512
_DATA = "data.mdb"


class LmdbStore(PackedStore):
    """Columns in an LMDB environment. Another process may write while this one reads."""

    def __init__(self, config: StoreConfig) -> None:
        super().__init__(config, config.lmdb_store.prefix)
        self._path = Path(config.lmdb_store.path)
        self._opened: _OpenFile | None = None

    def start(self) -> None:
        self._environment()

    def close(self) -> None:
        self._opened = None

    def _get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        lmdb = _import_lmdb()
        try:
            with self._environment().begin() as transaction:
                return [transaction.get(key) for key in keys]
        except lmdb.Error as error:
            raise StoreError(f"store {self.name}: {self._path}: {error}") from None

    def _put(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        lmdb = _import_lmdb()
        self._path.mkdir(parents=True, exist_ok=True)
        try:
            settings = {"map_size": _MAP_BYTES, "max_readers": _MAX_READERS}
            with lmdb.open(str(self._path), **settings) as environment, environment.begin(write=True) as transaction:
                for key, value in pairs:
                    transaction.put(key, value)
        except lmdb.BadValsizeError:
            raise StoreError(f"store {self.name}: LMDB takes keys of 1 to 511 bytes") from None
        except lmdb.Error as error:
            raise StoreError(f"store {self.name}: {self._path}: {error}") from None

    def _environment(self) -> Any:
        """The open environment; opened again when another file has taken its place."""
        lmdb = _import_lmdb()
        try:
            inode = (self._path / _DATA).stat().st_ino
            opened = self._opened
            if opened is None or opened.inode != inode:
                self._opened = opened = None  # the old file is closed first, since LMDB compares paths
                self._opened = opened = _open(self._path, inode)
        except (OSError, lmdb.Error) as error:
            text = f"store {self.name}: {self._path} is no LMDB environment: {error}"
            raise StoreError(f"{text}; write it with `tzrec materialize`, or correct lmdb_store.path") from None
        return opened.environment


class _OpenFile:
    """Environment of a file, closed with the last store that refers to it: a process may open a file only once."""

    def __init__(self, path: Path, inode: int) -> None:
        settings: dict[str, Any] = {"readonly": True, "readahead": False, "map_size": _MAP_BYTES}
        self.inode, self.environment = inode, _import_lmdb().open(str(path), **settings)


_open_files: WeakValueDictionary[tuple[Path, int], _OpenFile] = WeakValueDictionary()
_opening = threading.Lock()


def _open(path: Path, inode: int) -> _OpenFile:
    with _opening:
        shared = _open_files.get((path.resolve(), inode))
        if shared is None:
            shared = _open_files[path.resolve(), inode] = _OpenFile(path, inode)
        return shared


def _import_lmdb() -> Any:
    try:
        import lmdb
    except ImportError:
        raise SetupError("lmdb_store needs the package lmdb: pip install 'tzrec[lmdb]'") from None
    return lmdb
