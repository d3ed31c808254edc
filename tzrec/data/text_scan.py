"""PartScan: the blocks of a part of a text file, found without parsing cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tzrec.data.bad_lines import SAMPLE_LINES, BadLine
from tzrec.data.record_scan import find_records
from tzrec.data.text_chunk import Chunk, ChunkFormat
from tzrec.data.text_file import TextFile, count_lines
from tzrec.features.arrays import Int64Array


@dataclass
class PartScan:
    """Blocks of a part of a file, which begins with a record. Rows and lines are counted from its begin.

    Attributes:
        file: index of the file.
        names: of the cells of a row.
        is_compressed: true for a compressed file.
        begin, end: offsets of the first record and of the byte after the last one.
        first_line: number of the first line, right for the first part of a file.
        num_rows, num_lines: of the part.
        offsets, rows, lines: of the first byte, row and line of every block; a block may have no row.
        left_out: offsets of the begins and ends of the records that hold no row.
        bad_counts: number of lines left out by reason.
        bad_sample: the first of them.
        bad_line: the line that ended the scan, for it holds no row.
        error: the reason why the part cannot be read; "" if it can.
    """

    file: int
    names: Sequence[str] = ()
    is_compressed: bool = False
    begin: int = 0
    end: int = 0
    first_line: int = 1
    num_rows: int = 0
    num_lines: int = 0
    offsets: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    left_out: list[tuple[int, int]] = field(default_factory=list)
    bad_counts: dict[str, int] = field(default_factory=dict)
    bad_sample: list[BadLine] = field(default_factory=list)
    bad_line: BadLine | None = None
    error: str = ""

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> PartScan:
        """Create a scan from its fields, as `dataclasses.asdict` returns them."""
        sample = [BadLine(**line) for line in value["bad_sample"]]
        bad_line = BadLine(**value["bad_line"]) if value["bad_line"] else None
        return cls(**{**value, "bad_sample": sample, "bad_line": bad_line})

    def run(
        self,
        text: TextFile,
        chunks: ChunkFormat,
        stop: int | None,
        block_bytes: int,
        should_stop: bool,
        advance: Callable[[], None],
    ) -> None:
        """Scan the chunks from the present position on.

        Args:
            text: its next bytes are a record.
            chunks: format of the file.
            stop: offset at which no chunk begins any more; None for the end of the file.
            block_bytes: distance between the bounds of blocks.
            should_stop: stop at the first line that holds no row.
            advance: called after every chunk.

        Raises:
            DataError: the file cannot be read.
        """
        self.begin, self.first_line = text.offset, text.line
        while stop is None or text.offset < stop:
            chunk = chunks.next_chunk(text, lambda end: _plain_blocks(text, end, chunks, block_bytes))
            if not chunk.end:
                break
            if chunk.bad and should_stop:
                self.bad_line = self._relative(chunk.bad[0])
                return
            blocks = chunk.plain or _blocks(text, chunk, chunks, block_bytes)
            self._add(text, blocks, chunk)
            text.skip(chunk.end, blocks.num_rows if chunk.plain else None)
            advance()
        self.end, self.num_lines = text.offset, text.line - self.first_line

    def _add(self, text: TextFile, blocks: _Blocks, chunk: Chunk[_Blocks]) -> None:
        """Add the blocks of the chunk at the present position."""
        line = text.line - self.first_line
        self.offsets += [text.offset, *(blocks.starts + text.offset).tolist()]
        self.rows += [self.num_rows, *(blocks.rows + self.num_rows).tolist()]
        self.lines += [line, *(blocks.lines + line).tolist()]
        self.num_rows += blocks.num_rows
        self.left_out += [(begin + text.offset, end + text.offset) for begin, end in chunk.left_out]
        self.bad_counts = dict(Counter(self.bad_counts) + Counter(line.reason for line in chunk.bad))
        self.bad_sample += map(self._relative, chunk.bad[: SAMPLE_LINES - len(self.bad_sample)])

    def _relative(self, line: BadLine) -> BadLine:
        return replace(line, line=line.line - self.first_line)


@dataclass(frozen=True)
class _Blocks:
    """Blocks of a chunk: its number of rows, and start, rows before and lines before of all blocks but the first."""

    num_rows: int
    starts: Int64Array
    rows: Int64Array
    lines: Int64Array


def _plain_blocks(text: TextFile, end: int, chunks: ChunkFormat, block_bytes: int) -> _Blocks | None:
    """Find the blocks of records of one line each; None if the lines need a closer look."""
    from tzrec.features.kernels import records as kernels

    syntax, header, quote = chunks.syntax, chunks.header, chunks.syntax.quote
    num_lines, starts, lines = kernels.scan_lines(
        np.frombuffer(text.data, np.uint8)[:end],
        ord(syntax.delimiter),
        ord(quote) if quote and text.data.find(quote.encode(), 0, end) >= 0 else kernels.NO_QUOTE,
        len(header.names),
        np.frombuffer(header.line, np.uint8),
        text.offset,
        block_bytes,
    )
    return _Blocks(num_lines, starts, lines, lines) if num_lines >= 0 else None


def _blocks(text: TextFile, chunk: Chunk[_Blocks], chunks: ChunkFormat, block_bytes: int) -> _Blocks:
    """Find the blocks of any records."""
    data = text.data[: chunk.end]
    records, _, _ = find_records(data, chunks.syntax, chunk.left_out)
    bounds = np.arange(block_bytes - text.offset % block_bytes, chunk.end, block_bytes)
    rows = np.unique(np.searchsorted(records, bounds))
    rows = rows[(rows > 0) & (rows < len(records))]
    starts = records[rows]
    lines = np.array([count_lines(data, start) for start in starts.tolist()], np.int64)
    return _Blocks(len(records), starts, rows, lines)
