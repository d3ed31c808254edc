"""Parts: consecutive rows of one input file whose result is one file of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from tzrec import env
from tzrec.data.exchange import Exchange
from tzrec.data.hive import partition_folder
from tzrec.data.paths import InputFile
from tzrec.data.reader import Piece, Reader

NUM_PARTS = 64
"""Number of parts aimed at, so that the ranks end at about the same time; `MIN_ROWS` and `MAX_ROWS` take precedence."""
MIN_ROWS = 1 << 15
"""Minimum rows of a part that does not end with its file; fewer do not amortize the cost of a file."""
MAX_ROWS = 1 << 18
"""Rows from which a part ends with the next block of the input; a restart repeats at most about so many."""
_INDEX_BYTES = 1 << 26
"""Size from which a file of text is worth an index, which allows to cut it."""
_ORIGIN_SIZE = 100


@dataclass(frozen=True)
class Part:
    """Consecutive rows of one input file.

    Attributes:
        number: among all parts, in the order of the input.
        name: of its output file, without extension; sorted by name, parts are in the order of the input. It may begin
            with a folder.
        reader: of this file alone.
        first: the first row, counted in the file.
        after: the row after the last one; None for the end of the file.
        weight: estimate of the work, comparable with that of the other parts.
    """

    number: int
    name: str
    reader: Reader
    first: int = 0
    after: int | None = None
    weight: int = 1

    def pieces(self, rows: int) -> Iterator[Piece]:
        """Yield the rows, `rows` at a time; only the last piece may be smaller."""
        return regroup(self.reader.read(self.first, self.after), rows)

    def estimate_rows(self) -> float | None:
        """Return the number of rows, of text that is not indexed by what was read of it; None before the first."""
        after = self.reader.estimate_rows() if self.after is None else self.after
        return None if after is None else after - self.first

    def to_json(self) -> dict[str, Any]:
        """Its form in a manifest."""
        return {"name": self.name, "input": self.reader.files[0].name, "first": self.first, "after": self.after}


@dataclass
class PartResult:
    """Row counts of a finished part.

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

    def to_json(self) -> dict[str, Any]:
        """Its form in a manifest, without the sample."""
        bad = [{"column": column, "reason": reason, "count": count} for column, reason, count in self.bad]
        return {"rows_read": self.read, "rows": self.rows, "bad": bad}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PartResult:
        """The inverse of `to_json`; also reads a sample."""
        bad = [(entry["column"], entry["reason"], entry["count"]) for entry in value["bad"]]
        return cls(value["rows_read"], value["rows"], bad, value.get("sample", []))


def index_large_files(reader: Reader, exchange: Exchange) -> None:
    """Find the blocks of files of text, if one is so large that it should be cut; all ranks of `exchange` call it.

    Raises:
        DataError: a file cannot be read, or a line holds no row and the policy is ERROR.
    """
    if reader.is_text and any(file.version().size >= _INDEX_BYTES for file in reader.files):
        reader.make_index(exchange, env.cpu_share())


@dataclass(frozen=True)
class PartNames:
    """Names of parts that tell their origin.

    Attributes:
        first_number: number in the name of the first part.
        has_folders: put each part into the partition folders of its file, `dt=2024-05-01/part-000000-clicks`.
    """

    first_number: int = 0
    has_folders: bool = False

    def origins(self, files: Sequence[InputFile]) -> list[str]:
        """Format of the name of the parts of each file, in which `{}` stands for the number."""
        if self.has_folders:
            return [f"{partition_folder(file.partitions)}part-{{:06d}}-{_file_name(file.path)}" for file in files]
        return [f"part-{{:06d}}-{origin}" for origin in _origins(files)]


def split_into_parts(
    reader: Reader,
    num_rows: int | None = None,
    names: PartNames | None = None,
    left_out: Collection[str] = (),
) -> list[Part]:
    """Split the files of a reader into parts, in its order: each file, and large files at their blocks.

    The split depends on the files alone, not on the number of ranks.

    Args:
        reader: of the input.
        num_rows: end after so many rows; None for all rows.
        names: of the parts; None for names without an origin.
        left_out: names of files that become no parts.
    """
    patterns = names.origins(reader.files) if names else ["part-{:06d}"] * len(reader.files)
    first_number = names.first_number if names else 0
    parts: list[Part] = []
    rest = num_rows
    for index, file in enumerate(reader.files):
        if rest == 0:
            break
        if file.name in left_out:
            continue
        ranges = _ranges(reader.for_file(index), reader.num_rows, rest)
        for first, after in ranges:
            of_file = reader.for_file(index)  # each part counts the lines that it leaves out
            number = len(parts)
            name = patterns[index].format(first_number + number)
            if names and len(ranges) > 1:
                name += f"-row-{first}"
            weight = after - first if after is not None else file.version().size
            is_end = after is None or after == of_file.num_rows
            parts.append(Part(number, name, of_file, first, None if is_end else after, weight))
        if rest is not None:
            rest -= ranges[-1][1] or 0
    return parts


def _ranges(reader: Reader, total: int | None, limit: int | None) -> list[tuple[int, int | None]]:
    """Split one file into ranges of rows; the last one has no end if the number of rows is not known.

    Args:
        reader: of the file.
        total: number of rows of all files, None if it is not known.
        limit: end after so many rows.
    """
    blocks = reader.block_starts()
    if blocks is None:
        return [(0, None if limit is None else min(limit, reader.count()))]
    starts = blocks.tolist()
    num_rows = starts[-1]
    target = MAX_ROWS if total is None else min(max(total // NUM_PARTS, MIN_ROWS), MAX_ROWS)
    bounds = [0]
    for start, end in zip(starts, starts[1:]):
        if start - bounds[-1] >= target:
            bounds.append(start)
        if end - start >= 2 * target:  # a block that would keep one rank busy while the others wait
            cuts = np.linspace(start, end, (end - start) // target + 1).astype(np.int64)[1:-1]
            bounds += cuts.tolist()
    if limit is not None and limit < num_rows:
        bounds, num_rows = [bound for bound in bounds if bound < limit], limit
    return list(zip(bounds, [*bounds[1:], num_rows]))


def _origins(files: Sequence[InputFile]) -> list[str]:
    """Names of files below their common folder, without extension, as parts of a file name."""
    names = [file.name for file in files]
    base = os.path.commonpath([os.path.dirname(name) for name in names])
    paths = [os.path.split(os.path.relpath(name, base or ".") if base else name) for name in names]
    return [_safe_name(os.path.join(folder, _stem(name))) for folder, name in paths]


def _file_name(path: str) -> str:
    """Name of a file without its folders and its extension, as a part of a file name."""
    return _safe_name(_stem(os.path.basename(path)))


def _stem(name: str) -> str:
    return name.partition(".")[0] or name


def _safe_name(path: str) -> str:
    """Replace what a file name should not contain: only the end of a long path is kept."""
    return re.sub(r"[^A-Za-z0-9._=]+", "-", path).strip("-.")[-_ORIGIN_SIZE:]


def regroup(pieces: Iterator[Piece], rows: int) -> Iterator[Piece]:
    """Regroup consecutive pieces into pieces of `rows` rows; only the last one may be smaller."""
    kept: list[Piece] = []
    num_kept = 0
    for piece in pieces:
        begin = 0
        while begin < piece.batch.num_rows:
            part = Piece(piece.batch.slice(begin, rows - num_kept), piece.first + begin)
            kept.append(part)
            begin += part.batch.num_rows
            num_kept += part.batch.num_rows
            if num_kept == rows:
                yield _joined(kept)
                kept, num_kept = [], 0
    if kept:
        yield _joined(kept)


def _joined(pieces: Sequence[Piece]) -> Piece:
    """Concatenate consecutive pieces."""
    if len(pieces) == 1:
        return pieces[0]
    table = pa.Table.from_batches([piece.batch for piece in pieces]).combine_chunks()
    return Piece(table.to_batches()[0], pieces[0].first)
