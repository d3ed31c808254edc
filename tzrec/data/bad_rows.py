"""Bad rows: the rows that a batch skips, the error that stops a run, and counts of bad values."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tzrec.data.atomic import append_lines
from tzrec.data.bad_lines import BadLines
from tzrec.data.null_words import null_values_hint
from tzrec.data.reader import Reader
from tzrec.data.text_schema import NOT_UTF8
from tzrec.errors import DataError
from tzrec.features.bad_rows import BadRows
from tzrec.formatting import shorten
from tzrec.log import side_output
from tzrec.protos import data_pb2

SAMPLE_ROWS = 100
_VALUE_SIZE = 1000
_ICONV = "Convert the file from its encoding to UTF-8, e.g. iconv -f LATIN1 -t UTF-8 FILE > NEW_FILE"


@dataclass(frozen=True)
class BadValue:
    """A value that cannot be used, with the number of its row over all files."""

    column: str
    reason: str
    value: Any
    row: int


def bad_values(bad: BadRows, rows: npt.NDArray[np.int64]) -> list[BadValue]:
    """List the bad values of a batch, sorted by row.

    Args:
        bad: reports of the encoders.
        rows: number over all files of every row of the batch.
    """
    result = [
        BadValue(column, reason, value, int(rows[index]))
        for column, reason, indices, values in bad.reports
        for index, value in zip(indices, values, strict=True)
    ]
    return sorted(result, key=lambda value: value.row)


def bad_value_error(values: Sequence[BadValue], describe: Callable[[int], str], is_text: bool = False) -> DataError:
    """Create the error for the first bad value of a batch.

    Args:
        values: of the batch, by row.
        describe: formats the location of a row.
        is_text: true for delimited text, whose words for missing values the config can declare.
    """
    first = values[0]
    received = "is missing" if first.value is None else f"has {_quoted(first.value)}"
    more = f" ({len(values) - 1:,} more in this batch)" if len(values) > 1 else ""
    hint = null_values_hint([first.value]) if is_text else ""
    fix = _ICONV if first.reason == NOT_UTF8 else f"{hint[:1].upper()}{hint[1:]}" or "Correct the data"
    return DataError(
        f'{describe(first.row)}: column "{first.column}" {received}: {first.reason}{more}. {fix}, or set '
        "data_config.bad_row_policy to DEFAULT (use the feature's default_value) or SKIP_ROW (skip the row)"
    )


def _quoted(value: object) -> str:
    return repr(shorten(str(value)))


def text_type_error(value: BadValue, describe: Callable[[int], str]) -> DataError:
    """Create the error for a cell of a copied column that does not have the type inferred from earlier cells."""
    cell = f'{describe(value.row)}: column "{value.column}" has {_quoted(value.value)}: {value.reason}'
    if value.reason == NOT_UTF8:
        return DataError(f"{cell}, so it cannot be copied. {_ICONV}")
    return DataError(
        f"{cell}, unlike earlier cells; declare the column as STRING in data_config.input_fields to keep it as text"
    )


def check_copied(values: Sequence[BadValue], policy: int, describe: Callable[[int], str]) -> None:
    """Check the bad values of copied columns: a cell that is not UTF-8 may be left out, unless the policy is ERROR.

    Raises:
        DataError: a value cannot be copied.
    """
    for value in values:
        if policy == data_pb2.ERROR or value.reason != NOT_UTF8:
            raise text_type_error(value, describe)


def skipped_rows(features: BadRows, targets: BadRows, policy: int) -> npt.NDArray[np.bool_]:
    """Mask of rows to skip `(B,)`: those without a valid label or weight, and with SKIP_ROW all bad rows."""
    return features.mask | targets.mask if policy == data_pb2.SKIP_ROW else targets.mask


@dataclass
class BadRowLog:
    """Counts of bad values, and a file with a sample of them.

    Attributes:
        counts: number of bad values by (column, reason).
        path: file for the sample, one JSON object per line; None for no file.
    """

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    path: str | None = None
    _num_sampled: int = 0
    _num_lines: int = 0

    def add(self, values: Sequence[BadValue], reader: Reader) -> None:
        """Add the bad values of one batch."""
        self.counts.update((value.column, value.reason) for value in values)
        sample = values[: SAMPLE_ROWS - self._num_sampled]
        if self.path is None or not sample:
            return
        self._num_sampled += len(sample)
        self._write(to_record(value, reader) for value in sample)

    def add_lines(self, lines: BadLines) -> None:
        """Add the lines that were left out since the last call to the sample; the reader counts them."""
        sample = lines.sample[self._num_lines :]
        self._num_lines = len(lines.sample)
        if self.path is not None and sample:
            self._write(
                {"file": name, "line": line.line, "reason": line.reason, "value": line.text} for name, line in sample
            )

    def _write(self, records: Iterable[dict[str, Any]]) -> None:
        assert self.path is not None
        path, self.path = self.path, None  # no further attempt after an error
        with side_output(path, "bad rows are counted, but not listed"):
            append_lines(path, [json.dumps(record, ensure_ascii=False) for record in records])
            self.path = path


def to_record(value: BadValue, reader: Reader) -> dict[str, Any]:
    """Convert a bad value to an object of the sample file."""
    location = reader.locate(value.row)
    text = None if value.value is None else shorten(str(value.value), _VALUE_SIZE)
    return {
        "file": location.file,
        "row": location.row,
        "column": value.column,
        "reason": value.reason,
        "value": text,
    }
