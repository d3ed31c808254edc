"""Footers of columnar files: read once per process and version of a file, on several threads, before the first row."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.data.columnar_format import ColumnarFormat
from tzrec.data.paths import FileVersion, InputFile

_THREADS = 16
_CHUNK_FILES = 16
"""Files that a thread reads one after the other, so that handing them over costs little."""
_MAX_FOOTERS = 200_000
_RECENT_SCHEMAS = 16


@dataclass(frozen=True, eq=False)
class Footer:
    """Content of the footer of one file.

    Attributes:
        schema: types as they are stored.
        block_rows: number of rows of each block `(blocks,)`.
        version: of the file when its footer was read.
    """

    schema: pa.Schema
    block_rows: npt.NDArray[np.int64]
    version: FileVersion

    @property
    def num_rows(self) -> int:
        """Rows of the file."""
        return int(self.block_rows.sum())


class FooterCache:
    """Footers by file, of the files that were read last."""

    def __init__(self) -> None:
        self._footers: OrderedDict[tuple[str, str], Footer] = OrderedDict()
        self._lock = Lock()

    def find(self, kind: str, name: str, version: FileVersion) -> Footer | None:
        """Return the footer of a file; None if it is unknown, or of another version of the file."""
        with self._lock:
            footer = self._footers.get((kind, name))
            if footer is None or footer.version != version:
                return None
            self._footers.move_to_end((kind, name))
            return footer

    def add(self, kind: str, name: str, footer: Footer) -> None:
        """Keep a footer."""
        with self._lock:
            self._footers[kind, name] = footer
            if len(self._footers) > _MAX_FOOTERS:
                self._footers.popitem(last=False)


_cache = FooterCache()


def read_footers(
    files: Sequence[InputFile], file_format: ColumnarFormat, advance: Callable[[], None] = lambda: None
) -> list[Footer]:
    """Read the footers of all files, on several threads; those that this process has read before are not read again.

    Args:
        files: to read.
        file_format: their format.
        advance: called now and then.

    Returns:
        the footer of each file; equal schemas are one object.

    Raises:
        DataError: a file cannot be read.
    """
    versions = [file.listed or file.version() for file in files]
    footers = [_cache.find(file_format.name, file.name, version) for file, version in zip(files, versions, strict=True)]
    unknown = [index for index, footer in enumerate(footers) if footer is None]

    def read(indices: Sequence[int]) -> list[Footer]:
        new = []
        for index in indices:
            with file_format.opened(files[index]) as opened:
                new.append(Footer(opened.schema.remove_metadata(), opened.block_rows, versions[index]))
        return new

    schemas = list({id(footer.schema): footer.schema for footer in footers if footer}.values())
    chunks = [unknown[first : first + _CHUNK_FILES] for first in range(0, len(unknown), _CHUNK_FILES)]
    with ThreadPoolExecutor(_THREADS) as pool:
        for indices, new in zip(chunks, map(read, chunks) if len(chunks) == 1 else pool.map(read, chunks)):
            for index, footer in zip(indices, new, strict=True):
                footer = footers[index] = _with_known_schema(footer, schemas)
                _cache.add(file_format.name, files[index].name, footer)
            advance()
    return [footer for footer in footers if footer]


def _with_known_schema(footer: Footer, schemas: list[pa.Schema]) -> Footer:
    """Replace the schema of a footer by an equal one that another file has; `schemas` is extended."""
    for schema in reversed(schemas[-_RECENT_SCHEMAS:]):
        if footer.schema is schema:
            return footer
        if footer.schema.equals(schema, check_metadata=True):
            return replace(footer, schema=schema)
    schemas.append(footer.schema)
    return footer
