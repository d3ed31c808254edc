"""Streams of a store: uploads that appear when they are closed, and reading of ranges."""

from __future__ import annotations

import hashlib
import io
from contextlib import suppress
from types import TracebackType
from typing import Any

from tzrec.errors import StoreError
from tzrec.storage.connection import Connection

PART_BYTES = 32 << 20
"""Size of the parts of an upload; S3 allows 10,000 of them."""
_SLICE_BYTES = 8 << 20
_BLOCK_BYTES = 256 << 10
_REQUEST_BYTES = 16 << 20


class Upload(io.RawIOBase):
    """File that is written to a store; it appears when it is closed, and does not when the block raises.

    Attributes:
        size: bytes written.
        digest: SHA-256 of them.
    """

    def __init__(self, connection: Connection, path: str, url: str) -> None:
        self._connection, self._url = connection, url
        self.size, self.digest = 0, hashlib.sha256()
        filesystem = connection.filesystem
        self._file: Any = self._request(lambda: filesystem.open(path, "wb", block_size=PART_BYTES))

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _SLICE_BYTES):
            part = view[start : start + _SLICE_BYTES]
            self.digest.update(part)
            self._request(lambda part=part: self._file.write(part))
        self.size += len(view)
        return len(view)

    def tell(self) -> int:
        return self.size

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._request(self._file.close)

    def abort(self) -> None:
        """Discard what was written."""
        if not self.closed:
            super().close()
            if hasattr(self._file, "discard"):
                with suppress(Exception):  # nothing appears in any case
                    self._connection.call(self._url, self._file.discard)
            with suppress(AttributeError):
                self._file.closed = True  # so that the end of the object does not publish it

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close() if kind is None else self.abort()

    def __del__(self) -> None:
        """Discard a file that was left open, where `io` would close it."""
        with suppress(Exception):
            self.abort()

    def _request(self, request: Any) -> Any:
        try:
            return self._connection.call(self._url, request)
        except FileNotFoundError as error:
            raise StoreError(f"{self._url}: the bucket does not exist; create it, or correct the URL") from error


class RangeReader(io.RawIOBase):
    """File of a store, read by ranges: small reads from a block in memory, large ones straight into their target."""

    def __init__(self, connection: Connection, path: str, url: str) -> None:
        self._connection, self._path, self._url = connection, path, url
        self._size = int(connection.call(url, lambda: connection.filesystem.info(path))["size"])
        self._position = 0
        self._block, self._block_start = b"", 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, target: Any) -> int:
        view = memoryview(target).cast("B")
        count = min(len(view), max(0, self._size - self._position))
        if count >= _BLOCK_BYTES:
            count = min(count, _REQUEST_BYTES)
            data = self._fetch(self._position, count)
        else:
            data = self._from_block(count)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _from_block(self, count: int) -> bytes:
        start = self._position - self._block_start
        if not 0 <= start <= len(self._block) - count:
            self._block_start, start = self._position, 0
            self._block = self._fetch(self._position, min(_BLOCK_BYTES, self._size - self._position)) if count else b""
        return self._block[start : start + count]

    def _fetch(self, start: int, count: int) -> bytes:
        filesystem = self._connection.filesystem
        data: bytes = self._connection.call(
            self._url, lambda: filesystem.cat_file(self._path, start=start, end=start + count)
        )
        if len(data) != count:
            raise StoreError(f"{self._url}: {len(data):,} bytes were sent instead of {count:,}; try again")
        return data
