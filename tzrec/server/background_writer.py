"""BackgroundWriter: a thread that writes what requests leave behind, so that no request waits for a disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from tzrec.errors import first_line
from tzrec.log import logger

Item = TypeVar("Item")

_INTERVAL_S = 0.2
_PAUSE_S = 5.0
_CLOSE_S = 10.0


class BackgroundWriter(Generic[Item]):
    """Queue of items and the thread that writes them, some times a second.

    When writing fails, as on a full disk, what waits is dropped and counted, and so is what comes within the next
    seconds; then it is tried again. Requests are answered all the same.

    Args:
        name: of what is written, for the log and the thread.
        write: writes items; may raise an error of any kind.
        max_bytes: of items that wait; those beyond them are dropped.
        on_dropped: called with the number of dropped items.
    """

    def __init__(
        self, name: str, write: Callable[[list[Item]], None], max_bytes: int, on_dropped: Callable[[int], None]
    ) -> None:
        self._name, self._write, self._max_bytes, self._on_dropped = name, write, max_bytes, on_dropped
        self._items: list[Item] = []
        self._num_bytes, self._failed_until = 0, 0.0
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: Item, num_bytes: int) -> None:
        """Queue an item of some bytes; returns at once."""
        with self._lock:
            is_accepted = time.monotonic() >= self._failed_until and self._num_bytes + num_bytes <= self._max_bytes
            if is_accepted:
                self._items.append(item)
                self._num_bytes += num_bytes
        if not is_accepted:
            self._on_dropped(1)

    def close(self) -> None:
        """Write what waits, and end the thread; it is left alone if the disk does not answer."""
        self._closed.set()
        self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        while True:
            is_closed = self._closed.wait(_INTERVAL_S)
            self._write_items()
            if is_closed:
                return

    def _write_items(self) -> None:
        with self._lock:
            items, self._items, self._num_bytes = self._items, [], 0
        if not items:
            return
        try:
            self._write(items)
        except Exception as error:  # of any kind: no log is worth a server
            cause = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
            logger.warning("%s was not written: %s; tried again in %g s", self._name, cause, _PAUSE_S)
            self._on_dropped(len(items))
            with self._lock:
                self._failed_until = time.monotonic() + _PAUSE_S
