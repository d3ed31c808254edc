"""TextFile: the text of a file, decompressed, read on while records are taken from it."""

from __future__ import annotations

import csv
import io
import os
import re
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import pyarrow as pa

from tzrec.data.formats import columnar_format, format_of_bytes
from tzrec.data.paths import InputFile
from tzrec.errors import DataError
from tzrec.formatting import format_bytes
from tzrec.protos import data_pb2

MAX_RECORD_BYTES = 64 << 20
"""Longest record that is read: without a bound, a file without line breaks would fill the memory."""
_BOM = b"\xef\xbb\xbf"
_CODEC_BY_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"}
CODEC_BY_SUFFIX = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4", ".br": "brotli"}
_ENCODING_BY_MAGIC = {b"\xff\xfe": "UTF-16LE", b"\xfe\xff": "UTF-16BE"}
MAGIC_BYTES = 4
_COLUMNAR_BYTES = 64
"""Bytes that tell a columnar file from text."""
HEAD_BYTES = 64 << 10
"""Bytes that are read first, for the names of the columns."""
_SKIP_BYTES = 1 << 20
_COMPRESSED_BYTES = 4 << 20
"""Bytes of a compressed file that are requested at once."""
_CACHED_BYTES = 128 << 10
"""Bytes that fit into the cache of a core together with a mask of them."""
_LOOKAHEAD_BYTES = 16 << 10
"""Bytes that are read beyond a size to find the end of a line."""


@dataclass(frozen=True)
class TextSyntax:
    """Characters that structure delimited text.

    Attributes:
        delimiter: between cells.
        quote: around cells that contain delimiters or line breaks; "" if quotes are ordinary characters.
    """

    delimiter: str
    quote: str

    @classmethod
    def of(cls, config: data_pb2.DataConfig) -> TextSyntax:
        """Return the syntax of data_config."""
        return cls(config.delimiter, config.quote)

    def closes(self, line: bytes) -> bool:
        """True if no quoted cell goes on after the line; false as well for quotes inside of cells."""
        if not self.quote or self.quote.encode() not in line:
            return True
        text = io.StringIO(line.decode("utf-8", "replace"), newline="")
        try:
            next(csv.reader(text, delimiter=self.delimiter, quotechar=self.quote, strict=True))
        except csv.Error:
            return False
        return True

    def split(self, record: bytes) -> list[str]:
        """Split the text of one record into its cells; a cell over 128 kB keeps the record in one piece."""
        text = record.decode("utf-8", "replace")
        lines = io.StringIO(text, newline="")
        if self.quote:
            rows = csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote)
        else:
            rows = csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE)
        try:
            return next(rows, [])
        except csv.Error:
            return [text]


class TextFile:
    """Unread text of a file. Line breaks are LF, CR LF or CR.

    Attributes:
        data: the next bytes, from the start of a record on.
        is_last: true if the file ends with `data`.
        line: number of the line with which `data` begins, from 1.
        offset: number of bytes of decompressed text before `data`.
        is_compressed: true if only its start can be read without reading what is before.
    """

    def __init__(self, file: InputFile, chunk_bytes: int) -> None:
        """Open a file; its compression follows from its first bytes, or from its suffix.

        Raises:
            DataError: the file cannot be read, or is UTF-16.
        """
        self.file, self._chunk_bytes = file, chunk_bytes
        self.data, self.is_last, self.line, self.offset = b"", False, 1, 0
        self._counted = (0, 0)
        self._stream, magic, self.is_compressed, self._raw = _open(file)
        encoding = _ENCODING_BY_MAGIC.get(magic[:2])
        if encoding:
            raise DataError(
                f"{file.name}: is {encoding}; convert it: iconv -f {encoding} -t UTF-8 {file.name} > NEW_FILE"
            )
        self.fill(min(chunk_bytes, HEAD_BYTES))
        if columnar_format(self.data[:_COLUMNAR_BYTES]):
            raise DataError(f"{file.name}: cannot be read as text. {format_of_bytes(self.data[:_COLUMNAR_BYTES])}")
        if self.data.startswith(_BOM):
            self.data, self.offset = self.data[len(_BOM) :], len(_BOM)

    def __enter__(self) -> TextFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def fill(self, size: int | None = None) -> None:
        """Read on, so that `data` becomes longer: by a chunk, or by `size` bytes.

        Raises:
            DataError: the file cannot be read, a compressed one is cut off, or a record is too long.
        """
        if len(self.data) > MAX_RECORD_BYTES:
            raise DataError(
                f"{self.file.name}, line {self.line + count_lines(self.data)}: more than "
                f"{format_bytes(MAX_RECORD_BYTES)} without an end of the row; the file is no text of rows, or "
                "data_config.delimiter or data_config.quote is not the one in use"
            )
        try:
            chunk = self._stream.read_buffer(size or self._chunk_bytes)
        except (pa.ArrowException, OSError) as error:
            raise _error(self.file, error) from error
        self.data = b"".join((self.data, chunk))
        self.is_last = not chunk.size

    @property
    def stored_bytes_read(self) -> int:
        """Number of bytes of the file, as they are stored, up to the end of `data`."""
        return int(self._raw.tell())

    def lines_end(self, size: int) -> int:
        """Return the end of the lines that begin in the next `size` bytes, or of the text; reads on until there."""
        while len(self.data) < size + _LOOKAHEAD_BYTES and not self.is_last:
            self.fill(size + _LOOKAHEAD_BYTES - len(self.data))
        while True:
            end = line_end(self.data, size - 1) if size <= len(self.data) else len(self.data)
            if end < len(self.data) or self.is_last:
                return end
            self.fill()

    def seek_line(self, offset: int) -> None:
        """Go on with the first line that begins at or after `offset`, of a file that is not compressed."""
        self._stream.seek(offset - 1)
        self.data, self.is_last, self.offset = b"", False, offset - 1
        self.skip_uncounted(self.lines_end(1))

    def skip(self, size: int, num_lines: int | None = None) -> None:
        """Drop the first bytes of `data`, which end with a line break or the file; None if their lines are unknown."""
        self.line += self.count_lines(size) if num_lines is None else num_lines
        self.skip_uncounted(size)

    def count_lines(self, stop: int) -> int:
        """Count the line breaks of `data` before `stop`, once."""
        if self._counted[0] != stop:
            self._counted = (stop, count_lines(self.data, stop))
        return self._counted[1]

    def skip_uncounted(self, size: int) -> None:
        """Drop the first bytes of `data`; `line` is wrong from then on."""
        self.offset += size
        self._counted = (0, 0)
        self.data = self.data[size:]


class TextSpans:
    """Parts of the decompressed text of a file, to be read in order."""

    def __init__(self, file: InputFile, is_plain: bool = False) -> None:
        """Open a file; see `TextFile`.

        Args:
            file: the file.
            is_plain: true if it is known not to be compressed, so that its start need not be read.

        Raises:
            DataError: the file cannot be read.
        """
        self._file = file
        self._stream, _, self._is_compressed, _ = _open(file, is_plain)
        self._offset = 0

    def __enter__(self) -> TextSpans:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def read(self, offset: int, size: int) -> bytes:
        """Read `size` bytes from `offset` on, fewer at the end of the file.

        Raises:
            DataError: the file cannot be read, or a compressed one is cut off.
        """
        try:
            if not self._is_compressed:
                self._stream.seek(offset)
            while self._is_compressed and self._offset < offset:
                self._offset += self._stream.read_buffer(min(offset - self._offset, _SKIP_BYTES)).size
            self._offset += size
            return self._stream.read(size)  # type: ignore[no-any-return]
        except (pa.ArrowException, OSError) as error:
            raise _error(self._file, error) from error


def _open(file: InputFile, is_plain: bool = False) -> tuple[pa.NativeFile, bytes, bool, pa.NativeFile]:
    """Open a file: decompressed text, the first bytes as they are stored, true if compressed, and the stored bytes."""
    try:
        raw = file.filesystem.open_input_file(file.path)
        if is_plain:
            return raw, b"", False, raw
        magic = raw.read(MAGIC_BYTES)
        raw.seek(0)
        codec = codec_of(file.path, magic)
        is_compressed = bool(codec and magic)
        if not is_compressed:
            return raw, magic, False, raw
        return pa.CompressedInputStream(pa.BufferedInputStream(raw, _COMPRESSED_BYTES), codec), magic, True, raw
    except (pa.ArrowException, OSError) as error:
        raise _error(file, error) from error


def _error(file: InputFile, error: Exception) -> DataError:
    return DataError(f"{file.name}: cannot be read as CSV: {error}")


def codec_of(path: str, magic: bytes) -> str:
    """Return the name of the compression of a file, "" if it has none, by its first bytes, else by its suffix."""
    for prefix, codec in _CODEC_BY_MAGIC.items():
        if magic.startswith(prefix):
            return codec
    return CODEC_BY_SUFFIX.get(os.path.splitext(path)[1].lower(), "")


def count_lines(data: bytes, stop: int | None = None) -> int:
    """Count the line breaks before `stop`."""
    text = np.frombuffer(data, np.uint8)[:stop]
    parts = (text[begin : begin + _CACHED_BYTES] for begin in range(0, len(text), _CACHED_BYTES))
    num_lines = sum(int(np.count_nonzero(part == _NEWLINE)) for part in parts)
    if b"\r" in data:
        returns = text == _RETURN
        num_lines += int(np.count_nonzero(returns)) - int(np.count_nonzero(returns[:-1] & (text[1:] == _NEWLINE)))
    return num_lines


def line_end(data: bytes, at: int) -> int:
    """Return the position after the line that contains `at`, its line break included."""
    match = _LINE.match(data, at)
    assert match is not None
    return match.end()


def first_lines(data: bytes, at: int, stop: int, most: int) -> list[bytes]:
    """Return the first lines that begin before `stop`, the one that contains `at` included, without line breaks."""
    lines: list[bytes] = []
    while at < stop and len(lines) < most:
        end = line_end(data, at)
        lines.append(data[at:end].rstrip(b"\r\n"))
        at = end
    return lines


def last_line(data: bytes, stop: int) -> bytes:
    """Return the last line before `stop`, without line breaks."""
    while stop and data[stop - 1] in b"\r\n":
        stop -= 1
    start = max(data.rfind(b"\n", 0, stop), data.rfind(b"\r", 0, stop)) + 1
    return data[start:stop]


def last_line_break(data: bytes, start: int = 0) -> int:
    """Return the position after the last line break from `start` on, 0 if there is none.

    A CR at the end counts only after others: it may be half of a CR LF.
    """
    return data.rfind(b"\n", start) + 1 or data.rfind(b"\r", start, -1) + 1


def find_line(data: bytes, line: bytes, at: int, stop: int) -> int:
    """Return the position of a line that is equal to `line`, -1 if there is none.

    It begins between `at`, the start of a line, and `stop`. In text with LF, a CR alone does not begin a line.
    """
    if data.startswith(line, at) and data[at + len(line) : at + len(line) + 1] in (b"\r", b"\n", b""):
        return at
    line_break = b"\n" if data.find(b"\n", at, stop) >= 0 else b"\r"
    while (at := data.find(line_break + line, at, stop)) >= 0:
        at += 1
        if data[at + len(line) : at + len(line) + 1] in (b"\r", b"\n", b""):
            return at
    return -1


_NEWLINE, _RETURN = ord("\n"), ord("\r")
_LINE = re.compile(rb"[^\r\n]*(?:\r\n?|\n)?")
