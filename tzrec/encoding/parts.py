"""The parts of an encoded data set: which rows each holds, how one is written, and whether it is there already.

A part is one Parquet file whose footer says of which run it is and what became of its rows. It appears whole, by a
rename, or not at all; so what is there when a run is started again need not be done again.
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

from tzrec.data.bad_rows import SAMPLE_ROWS, record
from tzrec.data.encode import RowEncoder
from tzrec.data.paths import filesystem
from tzrec.data.reader import PIECE_ROWS, Piece, Reader
from tzrec.data.writer import ParquetWriter

PART_ROWS = 1 << 18
"""Rows of a part, about: it ends with a row group of the input or with its file."""

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
        """Of its file, without extension; in sorted order the rows are those of the input."""
        return f"part-{self.number:06d}"

    def pieces(self, rows: int) -> Iterator[Piece]:
        """The rows, at most so many at a time."""
        for piece in self.reader.read(self.first):
            stop = piece.batch.num_rows if self.after is None else min(piece.batch.num_rows, self.after - piece.first)
            for begin in range(0, stop, rows):
                yield Piece(piece.batch.slice(begin, min(rows, stop - begin)), piece.first + begin)
            if stop < piece.batch.num_rows:
                return


@dataclass
class Done:
    """What became of the rows of a part.

    Attributes:
        read: rows of the input.
        rows: rows written: those that are not left out.
        bad: how often each (column, reason) occurred.
        sample: the first bad values.
    """

    read: int = 0
    rows: int = 0
    bad: list[tuple[str, str, int]] = field(default_factory=list)
    sample: list[dict[str, Any]] = field(default_factory=list)


def plan(reader: Reader) -> list[Part]:
    """Parts of all files of a reader, in its order."""
    parts: list[Part] = []
    for index in range(len(reader.files)):
        one = reader.only(index)
        cuts = _cuts(one.starts())
        for first, after in zip(cuts, [*cuts[1:], None], strict=True):
            parts.append(Part(len(parts), one, first, after))
    return parts


def _cuts(starts: list[int]) -> list[int]:
    """Where parts of a file start: every row group that ends a part of at least PART_ROWS."""
    cuts = starts[:1]
    for start in starts[1:]:
        if start - cuts[-1] >= PART_ROWS:
            cuts.append(start)
    return cuts


class _PartWriter(ParquetWriter):
    """Writes Parquet with a note in its footer."""

    def note(self, text: str) -> None:
        self._out.add_key_value_metadata({_KEY: text.encode()})


def write_part(encoder: RowEncoder, part: Part, directory: str, stamp: str, batch_size: int = PIECE_ROWS) -> Done:
    """Encode a part and write its file.

    Args:
        encoder: encodes the rows.
        part: which rows.
        directory: where the file goes.
        stamp: of the run, which `find_part` has to see again.
        batch_size: rows to encode at a time.

    Raises:
        DataError: the input cannot be read, or a bad value under the ERROR policy.
    """
    reader, done, counts = part.reader, Done(), Counter[tuple[str, str]]()
    with _PartWriter(directory, part.name, is_synced=True) as writer:
        for piece in part.pieces(batch_size):
            encoded = encoder.encode(piece.batch, piece.first, reader.describe)
            writer.write(pa.Table.from_batches([encoded.batch]))
            counts.update((value.column, value.reason) for value in encoded.bad)
            done.sample += [record(value, reader) for value in encoded.bad[: SAMPLE_ROWS - len(done.sample)]]
            done.read += piece.batch.num_rows
            done.rows += encoded.batch.num_rows
        if not done.read:  # nothing but broken lines
            nothing = pa.RecordBatch.from_pylist([], schema=reader.schema)
            writer.write(pa.Table.from_batches([encoder.encode(nothing).batch]))
        if reader.malformed:
            counts["line", "wrong number of cells"] = reader.malformed
        done.bad = [(column, reason, count) for (column, reason), count in counts.items()]
        writer.note(json.dumps({"stamp": stamp, "done": asdict(done)}))
    return done


def find_part(part: Part, directory: str, stamp: str) -> Done | None:
    """What became of the rows of a part that was written with this stamp; None where it is not there."""
    where, inner = filesystem(f"{directory}/{part.name}.{ParquetWriter.extension}")
    if where.get_file_info(inner).type != pafs.FileType.File:
        return None
    try:
        with where.open_input_file(inner) as stream:
            noted = json.loads((pq.read_metadata(stream).metadata or {}).get(_KEY, b"{}"))
    except (pa.ArrowException, ValueError):
        return None  # damaged: write it again
    if noted.get("stamp") != stamp:
        return None
    done = noted["done"]
    return Done(done["read"], done["rows"], [(c, r, n) for c, r, n in done["bad"]], done["sample"])
