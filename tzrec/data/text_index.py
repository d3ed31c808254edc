"""Index of text files: blocks of whole records, each of which can be read without reading what is before it.

The ranks share the scan of the bytes. A part of a file begins with a line; it began with a record if the part before
ends there. Where it does not, as in a quoted cell that goes on over the bound of two parts, one rank scans the whole
file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import pairwise

import numpy as np

from tzrec.data.bad_lines import SAMPLE_LINES, BadLine
from tzrec.data.exchange import Exchange
from tzrec.data.paths import FileVersion, InputFile
from tzrec.data.text_chunk import CHUNK_BYTES, ChunkFormat
from tzrec.data.text_file import HEAD_BYTES, TextFile, codec_of
from tzrec.data.text_header import HeaderReader
from tzrec.data.text_scan import PartScan
from tzrec.errors import DataError
from tzrec.features.arrays import Int64Array
from tzrec.log import logger
from tzrec.protos import data_pb2

_MIN_BLOCK_BYTES = 256 << 10
_BLOCKS = 1024
"""Blocks of all files together, if they are neither too short to be parsed fast nor longer than a chunk."""
_SETTINGS = (
    *("with_header", "delimiter", "quote", "null_values", "input_fields", "input_fields_str"),
    *("label_fields", "sample_weight_fields", "bad_row_policy"),
)


@dataclass(frozen=True)
class FileIndex:
    """Blocks of one file, which have one row at least.

    Attributes:
        names: of the cells of a row; none if the file is empty.
        offsets: of the first byte of each block in the decompressed text, and of the end of the last one `(B + 1,)`.
        rows: rows of the file before each block, and in all `(B + 1,)`.
        lines: number of the first line of each block `(B,)`.
        left_out: offsets of the begins and ends of the records that hold no row `(N, 2)`.
        is_compressed: true if only its start can be read without reading what is before.
        bad_counts: number of lines left out by reason.
        bad_sample: the first lines left out.
    """

    names: Sequence[str]
    offsets: Int64Array
    rows: Int64Array
    lines: Int64Array
    left_out: Int64Array
    is_compressed: bool
    bad_counts: Counter[str]
    bad_sample: Sequence[BadLine]

    @property
    def num_rows(self) -> int:
        return int(self.rows[-1])

    def block_starts(self) -> Int64Array:
        """First rows of the blocks that can be read alone."""
        return self.rows[: min(1, len(self.lines))] if self.is_compressed else self.rows[:-1]

    def spans(self, start: int, stop: int, most_rows: int) -> Iterator[tuple[int, int]]:
        """Yield the first and the last block, exclusive, of what to read at once for a range of rows.

        One block at least, and no more than `most_rows` rows and a chunk of text.
        """
        block = int(np.searchsorted(self.rows, start, side="right")) - 1
        end = int(np.searchsorted(self.rows, stop, side="left"))
        while block < end:
            last = np.searchsorted(self.rows, self.rows[block] + most_rows, side="right") - 1
            last = min(last, np.searchsorted(self.offsets, self.offsets[block] + CHUNK_BYTES, side="right") - 1, end)
            after = max(block + 1, int(last))
            yield block, after
            block = after

    def left_out_between(self, begin: int, end: int) -> list[tuple[int, int]]:
        """List the parts of the text from `begin` to `end` that hold no row, counted from `begin`."""
        first, last = np.searchsorted(self.left_out[:, 0], (begin, end))
        return [(low - begin, high - begin) for low, high in self.left_out[first:last].tolist()]


@dataclass(frozen=True)
class _Part:
    """Chunks of a file from `first` to `after`, exclusive, of `num_chunks`; `is_whole` if they are not to be split."""

    file: int
    first: int
    after: int
    num_chunks: int
    is_whole: bool


_indexes: dict[tuple[str, str], tuple[FileVersion, FileIndex]] = {}
"""Of this process, by the name of the file and the settings: a run opens the data of its evaluations repeatedly."""


class TextIndexer:
    """Index of the text files of a data set; a file is read only if this version of it is not indexed yet."""

    def __init__(
        self,
        config: data_pb2.DataConfig,
        files: Sequence[InputFile],
        versions: Sequence[FileVersion],
        chunk_bytes: int = CHUNK_BYTES,
        block_bytes: int | None = None,
    ) -> None:
        """Prepare the index.

        Args:
            config: describes the files.
            files: to index.
            versions: of the files.
            chunk_bytes: distance between the bounds of chunks.
            block_bytes: distance between the bounds of blocks, a divisor of it; default: by the size of all files.
        """
        self._config, self._files, self._versions = config, files, versions
        self._chunk_bytes = chunk_bytes
        self._block_bytes = block_bytes or _block_bytes(sum(version.size for version in versions))
        self._headers = HeaderReader(config)
        self._settings = repr(([str(getattr(config, name)) for name in _SETTINGS], chunk_bytes, self._block_bytes))

    def run(self, exchange: Exchange, num_threads: int) -> list[FileIndex]:
        """Return the indexes of all files; the ranks of `exchange` call it together, and scan a share each.

        Raises:
            DataError: the same on all ranks: a file cannot be read, has changed or is not the same on all ranks, or a
                line holds no row and the policy is ERROR.
        """
        missing = self._missing(exchange)
        scans = self._scan([self._part(file) for file in missing], exchange, num_threads)
        unsplit = [file for file in missing if not _fit_together(scans[file])]
        scans |= self._scan([self._part(file, is_whole=True) for file in unsplit], exchange, num_threads)
        for file in missing:
            index = _join(self._files[file], scans[file])
            _indexes[self._files[file].name, self._settings] = (self._versions[file], index)
        indexes = [_indexes[file.name, self._settings][1] for file in self._files]
        slow = {*unsplit, *(file for file in missing if indexes[file].is_compressed)}
        if slow and exchange.world_size > 1 and exchange.rank == 0:
            logger.info(
                "data   %d of %d text files are compressed, or have line breaks in quotes where ranks would share "
                "them: one rank alone finds the rows of such a file; `tzrec fg` or Parquet is faster on several ranks",
                *(len(slow), len(indexes)),
            )
        return indexes

    def _missing(self, exchange: Exchange) -> list[int]:
        """The files that one of the ranks has not indexed yet."""
        known = [_indexes.get((file.name, self._settings)) for file in self._files]
        missing = [
            index
            for index, (entry, version) in enumerate(zip(known, self._versions, strict=True))
            if entry is None or entry[0] != version
        ]
        sizes = [version.size for version in self._versions]
        ranks = exchange.gather({"missing": missing, "sizes": sizes})
        for rank, other in enumerate(ranks):
            _validate_sizes(self._files, ranks[0]["sizes"], other["sizes"], rank)
        return sorted({index for other in ranks for index in other["missing"]})

    def _part(self, file: int, is_whole: bool = False) -> _Part:
        num_chunks = max(1, -(-self._versions[file].size // self._chunk_bytes))
        return _Part(file, 0, num_chunks, num_chunks, is_whole or bool(codec_of(self._files[file].path, b"")))

    def _scan(self, parts: Sequence[_Part], exchange: Exchange, num_threads: int) -> dict[int, list[PartScan]]:
        """Scan this rank's share of the parts, and return the scans of all ranks by file, in their order."""
        if not parts:
            return {}
        own = _split(_split(parts, exchange.world_size)[exchange.rank], num_threads)
        with ThreadPoolExecutor(num_threads) as pool:
            results = list(pool.map(lambda share: [asdict(self._scan_part(part, exchange)) for part in share], own))
        scans: dict[int, list[PartScan]] = {}
        for values in exchange.gather([scan for share in results for scan in share]):
            for value in values:
                scan = PartScan.from_json(value)
                scans.setdefault(scan.file, []).append(scan)
        return scans

    def _scan_part(self, part: _Part, exchange: Exchange) -> PartScan:
        scan, file = PartScan(part.file), self._files[part.file]
        try:
            with TextFile(file, HEAD_BYTES) as text:
                header = self._headers.read(text)
                scan.names, scan.is_compressed = list(header.names), text.is_compressed
                if scan.is_compressed and part.after - part.first < part.num_chunks:
                    return scan
                if part.first * self._chunk_bytes > text.offset:
                    text.seek_line(part.first * self._chunk_bytes)
                null_values, stop = list(self._config.null_values), part.after * self._chunk_bytes
                scan.run(
                    text,
                    ChunkFormat(header, self._headers.syntax, null_values, self._chunk_bytes),
                    stop if part.after < part.num_chunks else None,
                    self._block_bytes,
                    self._config.bad_row_policy == data_pb2.ERROR,
                    exchange.advance,
                )
            file.ensure_unchanged(self._versions[part.file])
        except DataError as error:
            scan.error = str(error)
        return scan


def _block_bytes(total: int) -> int:
    size = _MIN_BLOCK_BYTES
    while size < CHUNK_BYTES and size * _BLOCKS < total:
        size *= 2
    return size


def _split(parts: Sequence[_Part], num_shares: int) -> list[list[_Part]]:
    """Split parts into shares of about the same number of chunks."""
    total = sum(part.after - part.first for part in parts)
    shares: list[list[_Part]] = [[] for _ in range(num_shares)]
    base = 0
    for part in parts:
        after = base + part.after - part.first
        for share in range(base * num_shares // total, num_shares):
            low, high = total * share // num_shares, total * (share + 1) // num_shares
            if low >= after:
                break
            if part.is_whole:
                if low <= base < high:
                    shares[share].append(part)
            elif max(low, base) < min(high, after):
                begin, end = max(low, base) - base, min(high, after) - base
                shares[share].append(replace(part, first=part.first + begin, after=part.first + end))
        base = after
    return shares


def _fit_together(scans: Sequence[PartScan]) -> bool:
    """Return true if every part of a file begins where the one before ends, or an error makes the rest superfluous."""
    for before, scan in pairwise(scans):
        if before.bad_line or before.error:
            return True
        if scan.error or scan.begin != before.end or scan.is_compressed:
            return False
    return True


def _join(file: InputFile, scans: Sequence[PartScan]) -> FileIndex:
    """Join the scans of the parts of a file.

    Raises:
        DataError: the first error of them.
    """
    offsets, rows, lines, left_out = [], [], [], []
    counts: Counter[str] = Counter()
    sample: list[BadLine] = []
    num_rows, line = 0, scans[0].first_line
    for scan in scans:
        if scan.error:
            raise DataError(scan.error)
        if scan.bad_line:
            raise replace(scan.bad_line, line=scan.bad_line.line + line).error(file.name)
        offsets += scan.offsets
        rows += [row + num_rows for row in scan.rows]
        lines += [number + line for number in scan.lines]
        left_out += scan.left_out
        counts.update(scan.bad_counts)
        sample += [replace(bad, line=bad.line + line) for bad in scan.bad_sample]
        num_rows, line = num_rows + scan.num_rows, line + scan.num_lines
    has_rows = np.diff([*rows, num_rows]) > 0
    kept = [np.array(values, np.int64)[has_rows] for values in (offsets, rows, lines)]
    return FileIndex(
        scans[0].names,
        np.append(kept[0], scans[-1].end),
        np.append(kept[1], num_rows),
        kept[2],
        np.array(left_out, np.int64).reshape(-1, 2),
        scans[0].is_compressed,
        counts,
        sample[:SAMPLE_LINES],
    )


def _validate_sizes(files: Sequence[InputFile], sizes: Sequence[int], other: Sequence[int], rank: int) -> None:
    """Raise an error if two ranks do not have the same files.

    Raises:
        DataError: names the first file that is not the same on rank 0 and another one.
    """
    if len(sizes) != len(other):
        raise DataError(
            f"rank 0 has {len(sizes):,} input files, rank {rank} {len(other):,}: all ranks need the same files"
        )
    for file, size, other_size in zip(files, sizes, other, strict=True):
        if size != other_size:
            raise DataError(
                f"{file.name}: rank 0 has {size:,} bytes of it, rank {rank} {other_size:,}: "
                "all ranks need the same files"
            )
