"""Columnar file formats: one interface over files that store rows in blocks and columns that can be read alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.fs as pafs

from tzrec.data.paths import FileVersion, InputFile, reading
from tzrec.errors import DataError

_IDLE_FILES = 16
"""Open files that wait for their next block; a reader of eight streams returns to the same few."""
_METADATA_BYTES = 16 << 20
"""Encoded metadata of closed files that is kept, so that opening them again does not parse it again."""


class ColumnarFile(ABC):
    """An open file of a columnar format; of one thread at a time.

    Attributes:
        schema: names and types of the columns, as they are stored.
    """

    schema: pa.Schema

    @property
    @abstractmethod
    def block_rows(self) -> npt.NDArray[np.int64]:
        """Number of rows of each block `(blocks,)`."""

    @abstractmethod
    def read(self, first: int, after: int, columns: Sequence[str], piece_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the blocks `first` to `after - 1` in order, at most `piece_rows` at a time.

        Args:
            first: first block.
            after: the block after the last one.
            columns: names of columns of the file, at least one, in any order; so are the columns of the batches.
            piece_rows: largest number of rows of a batch.
        """

    def bounds(self, column: str) -> Iterator[float]:
        """Yield the least and the greatest value of a column in each block, if the file stores them."""
        yield from ()

    @property
    def metadata(self) -> Any:
        """Parsed metadata that opens the file again without parsing it; None if there is nothing to gain."""
        return None

    @property
    def metadata_bytes(self) -> int:
        """Encoded size of `metadata`."""
        return 0

    @abstractmethod
    def close(self) -> None:
        """Close the file."""


class ColumnarFormat(ABC):
    """A columnar file format.

    Attributes:
        name: in messages.
        dataset_type: value of data_config.dataset_type.
        magic: first bytes of every file.
        extension: usual end of the names of its files.
    """

    name: str
    dataset_type: str
    magic: bytes
    extension: str

    @abstractmethod
    def write(self, table: pa.Table, path: str) -> None:
        """Write a table to a local file."""

    @abstractmethod
    def open(self, file: InputFile, metadata: Any = None) -> ColumnarFile:
        """Open a file.

        Args:
            file: to open.
            metadata: `ColumnarFile.metadata` of the same file, if it was open before.
        """

    @contextmanager
    def opened(self, file: InputFile, metadata: Any = None) -> Iterator[ColumnarFile]:
        """Open a file for the block; every error in it names the file, and its real format if that is another one.

        Raises:
            DataError: the file cannot be read.
        """
        with self.naming(file):
            opened = self.open(file, metadata)
            try:
                yield opened
            finally:
                opened.close()

    @contextmanager
    def naming(self, file: InputFile) -> Iterator[None]:
        """Turn every error in the block into a DataError that names the file, and its real format if another.

        Raises:
            DataError: the file cannot be read.
        """
        try:
            with reading(file, self.name):
                yield
        except DataError as error:
            hint = self._format_hint(file) if isinstance(error.__cause__, (pa.ArrowException, OSError)) else ""
            if hint:
                raise DataError(f"{error}{hint}") from error.__cause__
            raise

    def _format_hint(self, file: InputFile) -> str:
        """Name the format of a file by its first bytes; "" if it is this format, empty or unreadable."""
        begin = b""
        with suppress(Exception), file.filesystem.open_input_stream(file.path, compression=None) as stream:
            begin = bytes(stream.read(64))
        if not begin or begin.startswith(self.magic):
            return ""
        from tzrec.data.formats import format_of_bytes  # it imports the formats, which import this module

        text = format_of_bytes(begin)
        return f". {text}" if text else ""


class FilePool:
    """Open files of a reader: kept for their next block, and opened again from their parsed metadata.

    A file is lent to one caller at a time, so callers on several threads need no lock of their own.
    """

    def __init__(self, file_format: ColumnarFormat) -> None:
        self._format = file_format
        self._idle: OrderedDict[str, list[ColumnarFile]] = OrderedDict()
        self._num_idle = 0
        self._metadata: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._metadata_bytes = 0
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[FilePool], tuple[ColumnarFormat]]:
        return FilePool, (self._format,)

    @contextmanager
    def lend(self, file: InputFile, version: FileVersion) -> Iterator[ColumnarFile]:
        """Lend an open file for the block; all errors name it.

        Args:
            file: to read.
            version: of its footer.

        Raises:
            DataError: the file cannot be read, or is no longer the same version.
        """
        with self._format.naming(file):
            opened = self._take(file.name)
            try:
                if opened is None:
                    opened = self._format.open(file, self._known_metadata(file.name))
                file.ensure_unchanged(version)
                yield opened
            except BaseException:
                if opened is not None:
                    opened.close()
                raise
            self._give_back(file.name, opened)

    def _take(self, name: str) -> ColumnarFile | None:
        with self._lock:
            files = self._idle.get(name)
            if not files:
                return None
            opened = files.pop()
            self._num_idle -= 1
            if not files:
                del self._idle[name]
            return opened

    def _known_metadata(self, name: str) -> Any:
        with self._lock:
            if name not in self._metadata:
                return None
            self._metadata.move_to_end(name)
            return self._metadata[name][0]

    def _give_back(self, name: str, opened: ColumnarFile) -> None:
        excess: list[ColumnarFile] = []
        with self._lock:
            if name not in self._metadata and opened.metadata is not None:
                self._metadata[name] = opened.metadata, opened.metadata_bytes
                self._metadata_bytes += opened.metadata_bytes
                while self._metadata_bytes > _METADATA_BYTES:
                    self._metadata_bytes -= self._metadata.popitem(last=False)[1][1]
            self._idle.setdefault(name, []).append(opened)
            self._idle.move_to_end(name)
            self._num_idle += 1
            while self._num_idle > _IDLE_FILES:
                oldest = next(iter(self._idle))
                excess.append(self._idle[oldest].pop(0))
                self._num_idle -= 1
                if not self._idle[oldest]:
                    del self._idle[oldest]
        for other in excess:
            other.close()


def is_local(file: InputFile) -> bool:
    """Return true for a file of this machine's filesystem."""
    return isinstance(file.filesystem, pafs.LocalFileSystem)
