"""Parts of an encoded data set: split the input into parts, write a part, find a part that is already written.

A part is one Parquet file. Its footer holds the stamp of its data set and its row counts, and it is published by a
rename. A job that is run again therefore keeps the parts that exist.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from tzrec.data.bad_rows import SAMPLE_ROWS, to_record
from tzrec.data.paths import filesystem
from tzrec.data.reader import PIECE_ROWS, Piece, Reader
from tzrec.data.row_encoder import RowEncoder
from tzrec.data.writer import ParquetWriter

PART_ROWS = 1 << 18
"""Minimum rows of a part, which ends with a row group of the input or with its file."""

_KEY = b"tzrec.fg"


@dataclass(frozen=True)
class Part:
    """Consecutive rows of one input file.

    Attributes:
        number: among all parts, in the order of the input.
        reader: of this file alone.
        first: the first row, counted in the file.
        after: the row after the last one; None for the end of the file.
    """

    number: int
    reader: Reader
    first: int = 0
    after: int | None = None

    @property
    def name(self) -> str:
        """Name of its file without extension; sorted by name, parts are in the order of the input."""
        return f"part-{self.number:06d}"

    def pieces(self, rows: int) -> Iterator[Piece]:
        """Yield the rows, at most `rows` at a time."""
        for piece in self.reader.read(self.first):
            stop = piece.batch.num_rows if self.after is None else min(piece.batch.num_rows, self.after - piece.first)
            for begin in range(0, stop, rows):
                yield Piece(piece.batch.slice(begin, min(rows, stop - begin)), piece.first + begin)
            if stop < piece.batch.num_rows:
                return


@dataclass
class PartResult:
    """Row counts of an encoded part.

    Attributes:
        read: rows of the input.
        rows: rows written, without those skipped by the bad-row policy.
        bad: (column, reason, count) of bad values.
        sample: the first bad values.
    """

    read: int = 0
    rows: int = 0
    bad: list[tuple[str, str, int]] = field(default_factory=list)
    sample: list[dict[str, Any]] = field(default_factory=list)


def split_into_parts(reader: Reader) -> list[Part]:
    """Split the files of a reader into parts, in its order."""
    parts: list[Part] = []
    for index in range(len(reader.files)):
        file_reader = reader.for_file(index)
        blocks = file_reader.block_starts()
        starts = [0] if blocks is None else _part_starts([0, *blocks[1:-1].tolist()])
        for first, after in zip(starts, [*starts[1:], None], strict=True):
            parts.append(Part(len(parts), file_reader, first, after))
    return parts


def _part_starts(block_starts: list[int]) -> list[int]:
    """First rows of the parts of a file: the first block that starts at least PART_ROWS after the last one."""
    starts = block_starts[:1]
    for start in block_starts[1:]:
        if start - starts[-1] >= PART_ROWS:
            starts.append(start)
    return starts


class _PartWriter(ParquetWriter):
    """Parquet writer that adds a note to the footer."""

    def note(self, text: str) -> None:
        self._out.add_key_value_metadata({_KEY: text.encode()})


def write_part(encoder: RowEncoder, part: Part, directory: str, stamp: str, batch_size: int = PIECE_ROWS) -> PartResult:
    """Encode a part and write its file.

    Args:
        encoder: encodes the rows.
        part: the rows to encode.
        directory: of the data set.
        stamp: of the data set, which `find_part` compares.
        batch_size: rows to encode at a time.

    Raises:
        DataError: the input cannot be read, or a bad value under the ERROR policy.
    """
    reader, result, counts = part.reader, PartResult(), Counter[tuple[str, str]]()
    with _PartWriter(directory, part.name, is_synced=True) as writer:
        for piece in part.pieces(batch_size):
            encoded = encoder.encode(piece.batch, piece.first, reader.describe)
            writer.write(pa.Table.from_batches([encoded.batch]))
            counts.update((value.column, value.reason) for value in encoded.bad)
            result.sample += [to_record(value, reader) for value in encoded.bad[: SAMPLE_ROWS - len(result.sample)]]
            result.read += piece.batch.num_rows
            result.rows += encoded.batch.num_rows
        if not result.read:  # malformed lines only
            empty = pa.RecordBatch.from_pylist([], schema=reader.schema)
            writer.write(pa.Table.from_batches([encoder.encode(empty).batch]))
        counts.update({("line", reason): count for reason, count in reader.bad_lines.counts.items()})
        result.bad = [(column, reason, count) for (column, reason), count in counts.items()]
        writer.note(json.dumps({"stamp": stamp, "done": asdict(result)}))
    return result


def find_part(part: Part, directory: str, stamp: str) -> PartResult | None:
    """Read the result of a part that was written with this stamp; None if there is no such part."""
    remote, inner = filesystem(f"{directory}/{part.name}.{ParquetWriter.extension}")
    if remote.get_file_info(inner).type != pafs.FileType.File:
        return None
    try:
        with remote.open_input_file(inner) as stream:
            note = json.loads((pq.read_metadata(stream).metadata or {}).get(_KEY, b"{}"))
    except (pa.ArrowException, ValueError):
        return None  # damaged: it is written again
    if note.get("stamp") != stamp:
        return None
    done = note["done"]
    return PartResult(done["read"], done["rows"], [(c, r, n) for c, r, n in done["bad"]], done["sample"])
