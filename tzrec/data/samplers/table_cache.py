"""Cache of tables in a form that is mapped into memory, so that all processes of a host share one copy.

A table is converted once, by the first process that needs it while others wait, and kept in `tzrec/samplers` in the
folder of caches under a name that stands for the names, sizes and times of its files. Folders that no run has opened
for a week are deleted; all of them can be deleted at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tzrec import env
from tzrec.data.atomic import AtomicDirectory, remove_path
from tzrec.errors import DataError
from tzrec.log import logger

_VERSION = 1
_KEEP_S = 7 * 24 * 3600
_META = "table.json"


def cached_table(identity: Any, name: str, build: Callable[[Path], dict[str, Any]]) -> CachedTable:
    """Open a converted table; convert it first if this host has not done so.

    Args:
        identity: JSON value that differs where the content or the conversion differs.
        name: of the table, for messages.
        build: writes the files of the table into a directory, and returns facts to keep with them.

    Raises:
        DataError: there is no place for the copy, or `build` fails.
    """
    digest = hashlib.sha256(json.dumps([_VERSION, identity]).encode()).hexdigest()[:24]
    root = env.cache_dir() / "samplers"
    path = root / digest
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / f"{digest}.lock", name):
            if not (path / _META).is_file():
                _build(path, name, build)
            os.utime(path)
    except OSError as error:
        raise DataError(
            f"{name} cannot be copied to {path}: {error.strerror or error}; make space there, or set XDG_CACHE_HOME to "
            "another folder for caches"
        ) from error
    return CachedTable(path, json.loads((path / _META).read_text()), digest)


def _build(path: Path, name: str, build: Callable[[Path], dict[str, Any]]) -> None:
    start = time.monotonic()
    with AtomicDirectory(path, is_replacing=True) as directory:
        meta = build(directory.draft)
        (directory.draft / _META).write_text(json.dumps(meta))
    logger.info("sampler  %s converted in %.1f s", name, time.monotonic() - start)
    for other in path.parent.iterdir():
        if other.is_dir() and other != path and time.time() - other.stat().st_mtime > _KEEP_S:
            remove_path(other)


@contextmanager
def _locked(path: Path, name: str) -> Iterator[None]:
    """Hold the lock of a table; the kernel releases it when the process ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("sampler  waiting for another process that converts %s", name)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class CachedTable:
    """A converted table.

    Attributes:
        meta: facts about it.
        digest: name that stands for its content.
    """

    def __init__(self, path: Path, meta: dict[str, Any], digest: str) -> None:
        self._path, self.meta, self.digest = path, meta, digest

    def array(self, name: str, kind: npt.DTypeLike) -> npt.NDArray[Any]:
        """Map an array of the table into memory, read-only."""
        path = self._path / name
        if path.stat().st_size == 0:
            return np.empty(0, kind)
        return np.asarray(np.memmap(path, kind, "r"))
