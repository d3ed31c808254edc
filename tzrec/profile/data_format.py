"""Format of data files that no config describes yet: a columnar format or delimited text, by first bytes and suffix."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tzrec.data.formats import COLUMNAR, columnar_format
from tzrec.data.paths import InputFile, expand
from tzrec.data.text_file import CODEC_BY_SUFFIX, HEAD_BYTES, TextFile, TextSyntax, first_lines
from tzrec.errors import DataError
from tzrec.protos import data_pb2
from tzrec.protos.data_pb2 import DataConfig, DatasetType

_HEAD_BYTES = 64
_SUFFIXES = {".csv": ",", ".tsv": "\t", ".txt": ","}
_DELIMITERS = ("\t", ",", "|", ";", "\x01", " ")
_QUOTES = ('"', "'")
_NUM_LINES = 20
_ARCHIVE = b"PK\x03\x04"


def set_data_format(data: DataConfig, path: str, labels: Sequence[str]) -> None:
    """Set dataset type, header, delimiter and quote of data_config.

    Args:
        data: to change.
        path: comma list of globs; where no file is found, the suffix alone decides.
        labels: columns that the header names.

    Raises:
        DataError: the cells of text are separated by more than one character, or the file is an archive or JSON lines.
    """
    ending = _ending(path)
    by_suffix = next((item.dataset_type for item in COLUMNAR if ending == f".{item.extension}"), "")
    file = _first_file(path)
    begin = _begin(file) if file else b""
    known = columnar_format(begin)
    is_text = begin and not by_suffix if file else ending in _SUFFIXES
    kind = known.dataset_type if known else by_suffix or ("CsvDataset" if is_text else "ParquetDataset")
    data.dataset_type = getattr(data_pb2, kind)
    if data.dataset_type == DatasetType.CsvDataset:
        data.with_header = True
        data.delimiter = _SUFFIXES.get(ending, ",")
        if file is not None:
            _refuse_other_files(file, begin)
            syntax = _syntax(file, labels)
            data.delimiter = syntax.delimiter or data.delimiter
            if syntax.quote != _QUOTES[0]:
                data.quote = syntax.quote


def _ending(path: str) -> str:
    """Return the suffix under that of a compression, of the first glob: `.csv` for `a/*.csv.gz`."""
    stem, ending = os.path.splitext(path.split(",")[0].strip().rstrip("*").lower())
    return os.path.splitext(stem)[1] if ending in CODEC_BY_SUFFIX else ending


def _first_file(path: str) -> InputFile | None:
    """Return the first file that holds anything, None if there is none; reading reports that later."""
    try:
        return next((file for file in expand(path) if file.version().size), None)
    except DataError:
        return None


def _begin(file: InputFile) -> bytes:
    try:
        with file.filesystem.open_input_stream(file.path, compression=None) as stream:
            return bytes(stream.read(_HEAD_BYTES))
    except OSError:
        return b""


def _refuse_other_files(file: InputFile, begin: bytes) -> None:
    """Raise an error for files that are not delimited text, and say what to do with them."""
    if begin.startswith(_ARCHIVE):
        raise DataError(f"{file.name}: is a zip archive; unpack it, e.g. unzip {file.name}")
    if begin.lstrip()[:2] in (b'{"', b"[{"):
        convert = 'pandas.read_json("FILE", lines=True).to_parquet("NEW.parquet")'
        raise DataError(f"{file.name}: holds JSON; tables are read from Parquet, ORC, Arrow or text, e.g. {convert}")


def _syntax(file: InputFile, labels: Sequence[str]) -> TextSyntax:
    """Return the delimiter with which the header names the labels, else the one that is equally often on all lines.

    The quote is the one with which the lines have equally many cells. No delimiter is "".
    """
    lines = _first_lines(file)
    if not lines:
        return TextSyntax("", _QUOTES[0])
    for syntax in (TextSyntax(delimiter, quote) for delimiter in _DELIMITERS for quote in _QUOTES):
        if {*labels} <= {*syntax.split(lines[0])}:
            return TextSyntax(syntax.delimiter, _quote(syntax.delimiter, lines))
    if all(line.count(b"::") == lines[0].count(b"::") > 0 for line in lines):
        raise DataError(
            f"{file.name}: its cells are separated by '::', and a delimiter is one character; replace it, "
            f"e.g. sed 's/::/|/g' {file.name} > NEW_FILE"
        )
    for delimiter in _DELIMITERS:
        if _num_cells(TextSyntax(delimiter, _QUOTES[0]), lines) > 1:
            return TextSyntax(delimiter, _QUOTES[0])
    return TextSyntax("", _QUOTES[0])


def _first_lines(file: InputFile) -> list[bytes]:
    """First lines that are not empty; a quoted name in the first one may go on in the next one."""
    with TextFile(file, HEAD_BYTES) as text:
        stop = len(text.data) if text.is_last or len(text.data) < HEAD_BYTES else text.data.rfind(b"\n")
        lines = [line for line in first_lines(text.data, 0, max(stop, 0), _NUM_LINES) if line]
    while len(lines) > 1 and lines[0].count(b'"') % 2:
        lines[:2] = [b"\n".join(lines[:2])]
    return lines


def _quote(delimiter: str, lines: Sequence[bytes]) -> str:
    """Return the quote with which all lines have as many cells; of two the one that begins more cells."""
    fits = [quote for quote in _QUOTES if _num_cells(TextSyntax(delimiter, quote), lines)]
    starts = b"".join(delimiter.encode() + line for line in lines)
    return max(fits, key=lambda quote: starts.count(f"{delimiter}{quote}".encode()), default=_QUOTES[0])


def _num_cells(syntax: TextSyntax, lines: Sequence[bytes]) -> int:
    """Return the number of cells of each line, 0 if they differ."""
    counts = {len(syntax.split(line)) for line in lines}
    return counts.pop() if len(counts) == 1 else 0
