"""Chunks: the whole records of a text, some megabytes at a time, and the lines among them that hold no row.

A chunk ends with the first line end at or after a multiple of `chunk_bytes` of the file, wherever reading started, so
that several ranks find the same rows in a file as one. Only where its last quote does not close it ends earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tzrec.data.bad_lines import BadLine
from tzrec.data.record_scan import RecordScan
from tzrec.data.text_file import TextFile, TextSyntax
from tzrec.data.text_header import TextHeader

CHUNK_BYTES = 4 << 20
T = TypeVar("T")


@dataclass(frozen=True)
class Chunk(Generic[T]):
    """Whole records at the start of `TextFile.data`.

    Attributes:
        end: number of bytes.
        plain: result for records of one line each; None if the lines need a closer look, which `scan` is then.
        scan: the closer look.
    """

    end: int
    plain: T | None
    scan: RecordScan | None = None

    @property
    def bad(self) -> Sequence[BadLine]:
        """The lines that hold no row."""
        return self.scan.bad if self.scan else ()

    @property
    def left_out(self) -> list[tuple[int, int]]:
        """Begins and ends of the records that hold no row."""
        return [(line.begin, line.end) for line in self.bad]


@dataclass(frozen=True)
class ChunkFormat:
    """Columns and syntax of a file.

    Attributes:
        header: of the file.
        syntax: of the file.
        null_values: words for a missing value.
        chunk_bytes: distance between the bounds of chunks.
    """

    header: TextHeader
    syntax: TextSyntax
    null_values: Sequence[str]
    chunk_bytes: int

    def next_chunk(self, text: TextFile, parse_plain: Callable[[int], T | None]) -> Chunk[T]:
        """Find the next chunk; the caller drops it.

        Args:
            text: its next bytes are a record.
            parse_plain: parses so many bytes of `text.data`; returns None unless each line is a record.

        Raises:
            DataError: the file cannot be read, or a record is too long.
        """
        size = self.chunk_bytes - text.offset % self.chunk_bytes
        while True:
            end = text.lines_end(size)
            plain = parse_plain(end) if end else None
            if plain is not None or not end:
                return Chunk(end, plain)
            is_last = text.is_last and end == len(text.data)
            names = self.header.names
            scan = RecordScan(
                text.data[:end], is_last, text.line, self.syntax, len(names), self.header.line, self.null_values
            )
            scan.run()
            if scan.end or is_last:
                return Chunk(scan.end, None, scan)
            size = 2 * end  # the record goes on


def without(data: bytes, parts: Sequence[tuple[int, int]]) -> bytes:
    """Return a text without some parts of it, which are in order."""
    if not parts:
        return data
    begins = [0, *(end for _, end in parts)]
    ends = [*(begin for begin, _ in parts), len(data)]
    return b"".join(data[begin:end] for begin, end in zip(begins, ends, strict=True))
