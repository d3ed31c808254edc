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
_NUM_LINES = 20


def set_data_format(data: DataConfig, path: str, labels: Sequence[str]) -> None:
    """Set dataset type, header and delimiter of data_config.

    Args:
        data: to change.
        path: comma list of globs; where no file is found, the suffix alone decides.
        labels: columns that the header names.

    Raises:
        DataError: the cells of text are separated by more than one character.
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
            data.delimiter = _delimiter(file, labels) or data.delimiter


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


def _delimiter(file: InputFile, labels: Sequence[str]) -> str:
    """Return the delimiter with which the header names the labels, else the one that is equally often on all lines."""
    with TextFile(file, HEAD_BYTES) as text:
        stop = len(text.data) if text.is_last or len(text.data) < HEAD_BYTES else text.data.rfind(b"\n")
        lines = [line for line in first_lines(text.data, 0, max(stop, 0), _NUM_LINES) if line]
    if not lines:
        return ""
    while len(lines) > 1 and lines[0].count(b'"') % 2:  # a quoted name that goes on in the next line
        lines[:2] = [b"\n".join(lines[:2])]
    for delimiter in _DELIMITERS:
        if {*labels} <= {*TextSyntax(delimiter, '"').split(lines[0])}:
            return delimiter
    if all(line.count(b"::") == lines[0].count(b"::") > 0 for line in lines):
        raise DataError(
            f"{file.name}: its cells are separated by '::', and a delimiter is one character; replace it, "
            f"e.g. sed 's/::/|/g' {file.name} > NEW_FILE"
        )
    for delimiter in _DELIMITERS:
        counts = {len(TextSyntax(delimiter, '"').split(line)) for line in lines}
        if len(counts) == 1 and counts != {1}:
            return delimiter
    return ""
