"""First rows of the data of a config, read as training reads them, with what is wrong with them so far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from tzrec.config.checker import Checker
from tzrec.config.names import did_you_mean
from tzrec.config.rules.data import ENCODED, used_columns
from tzrec.config.rules.feature_entry import FeatureEntry, feature_entries
from tzrec.data.held_out import HeldOutRows
from tzrec.data.label_values import has_mostly_words, num_by_text
from tzrec.data.reader import Reader, open_reader
from tzrec.data.text_file import TextSyntax
from tzrec.data.text_ids import decimal_ids_note
from tzrec.data.text_schema import TextSchema, cast_text, declared_types, valid_text
from tzrec.errors import DataError
from tzrec.features.arrays import BoolArray
from tzrec.features.bad_rows import BadRows
from tzrec.features.column_types import readable
from tzrec.formatting import shorten
from tzrec.protos.data_pb2 import DatasetType, FgMode
from tzrec.protos.feature_pb2 import ComboFeature, IdFeature

_NUM_ROWS = 10_000
"""Rows that are read, at least: enough to see a label that is 1 in a row of a hundred."""
_DELIMITERS = (",", "\t", ";", "|", "\x01", " ")


@dataclass
class Sample:
    """First rows of the data.

    Attributes:
        checker: collects problems.
        path: comma list of globs that was read.
        batch: raw columns.
        notes: lines about the files.
        is_all: True if the data has no more rows.
        held_out: rows that `eval_split` holds out by a column, `(B,)`; None without such a column.
        bad_rows: collects invalid values.
    """

    checker: Checker
    path: str
    batch: pa.RecordBatch
    notes: list[str]
    is_all: bool
    held_out: BoolArray | None = None
    bad_rows: BadRows = field(init=False)

    def __post_init__(self) -> None:
        self.bad_rows = BadRows(self.batch.num_rows)

    @property
    def is_training(self) -> bool:
        """True for the rows that are trained on, or that the user asks to check, false for those of evaluations."""
        config = self.checker.config
        return self.path == config.train_input_path or self.path != config.eval_input_path

    @property
    def extent(self) -> str:
        """The rows in words, for after "in"."""
        return f"{'all' if self.is_all else 'the first'} {self.batch.num_rows:,} rows"


def read_sample(checker: Checker, path: str) -> Sample | None:
    """Read the first rows; None, with a problem for each, if columns are missing.

    Raises:
        DataError: there are no rows, or they cannot be read.
    """
    data = checker.config.data_config
    files = open_reader(data, path, [])
    column_by_field = dict(used_columns(checker))
    _check_columns(checker, column_by_field, files)
    if checker.problems:
        return None
    reader = files.select(list(column_by_field.values()))
    rows, is_all = _first_rows(reader, max(data.batch_size, _NUM_ROWS))
    if rows is None:
        raise DataError(f"no rows{reader.bad_lines.describe()}")
    notes = [f"       {note}; a value that is not of this type will stop training" for note in reader.notes]
    if reader.is_text:
        notes += [f"       {note}" for note in decimal_ids_note(reader, _text_id_columns(checker))]
    if reader.bad_lines.counts:
        notes.append(f"       rows are missing{reader.bad_lines.describe()}")
    sample = Sample(checker, path, rows, notes, is_all)
    sample.held_out = _held_out(checker, rows)
    sample.batch = _convert_text(sample, reader)
    arrays = [readable(column, name, sample.bad_rows) for name, column in zip(reader.columns, sample.batch.columns)]
    sample.batch = pa.RecordBatch.from_arrays(arrays, list(reader.columns))
    return sample


def column_features(checker: Checker) -> Iterator[FeatureEntry]:
    """Yield the features that read only columns of the data."""
    mode = checker.config.data_config.fg_mode
    is_encoded = mode in ENCODED
    for entry in feature_entries(checker):
        is_derived = mode == FgMode.FG_DAG and any(text.startswith(("feature:", "const:")) for text in entry.reads)
        if not (entry.message.stub_type if is_encoded else is_derived):
            yield entry


def _check_columns(checker: Checker, column_by_field: dict[str, str], files: Reader) -> None:
    """Report columns that are missing, or what is wrong with the first line of text if all of them are."""
    available = files.available
    missing = {path: name for path, name in column_by_field.items() if name not in available}
    data = checker.config.data_config
    if len(missing) == len(column_by_field) and data.dataset_type == DatasetType.CsvDataset and data.with_header:
        line = shorten(data.delimiter.join(available))
        for delimiter in _DELIMITERS:
            if {*missing.values()} <= {*TextSyntax(delimiter, data.quote).split(line.encode())}:
                received = f"{data.delimiter!r} does not divide the names in the first line, {line!r}"
                checker.error("data_config.delimiter", f"{received}; set it to {delimiter!r}")
                return
        if len(missing) > 1:
            received = f"the first line of the data holds none of the {len(missing)} columns of the config: {line!r}"
            advice = 'if it is a row, set with_header: false and input_fields_str: "NAME;NAME;..."'
            checker.error("data_config.with_header", f"{received}; {advice} with all columns in file order")
            return
    for path, name in missing.items():
        checker.error(path, f'no column "{name}" in the data{did_you_mean(name, available)}')


def _first_rows(reader: Reader, num_rows: int) -> tuple[pa.RecordBatch | None, bool]:
    """Read the first rows; returns them, None if there are none, and True if there are no more."""
    pieces: list[pa.RecordBatch] = []
    for piece in reader.read():
        pieces.append(piece.batch)
        if sum(batch.num_rows for batch in pieces) > num_rows:
            break
    if not pieces:
        return None, True
    rows = pa.Table.from_batches(pieces)
    return rows.slice(0, num_rows).combine_chunks().to_batches()[0], rows.num_rows <= num_rows


def _held_out(checker: Checker, rows: pa.RecordBatch) -> BoolArray | None:
    """Mask of the rows that are held out by a column `(B,)`; reports a value that the column cannot have."""
    split = checker.config.data_config.eval_split
    if not split.column:
        return None
    try:
        return HeldOutRows(split).mask(rows, np.arange(rows.num_rows))
    except DataError as error:
        checker.error("data_config.eval_split.from", str(error).partition(": ")[2])
        return None


def _convert_text(sample: Sample, reader: Reader) -> pa.RecordBatch:
    """Convert the text of CSV to the types that training reads; labels of words stay text, which is reported later."""
    data = sample.checker.config.data_config
    targets = [*data.label_fields, *data.sample_weight_fields]
    if reader.is_text:
        known = {*declared_types(data), *data.sample_weight_fields}
        targets = [name for name in targets if name in known or not _has_words(sample.batch.column(name))]
    schema = TextSchema.of(data, reader, reader.columns, targets)
    return cast_text(sample.batch, {**schema.features, **schema.targets}, sample.bad_rows)


def _has_words(cells: pa.Array) -> bool:
    return has_mostly_words(num_by_text(valid_text(cells)[0]))


def _text_id_columns(checker: Checker) -> list[str]:
    """Columns of text that features hash or look up as they are written."""
    declared = declared_types(checker.config.data_config)
    return [
        name
        for entry in column_features(checker)
        if isinstance(entry.message, (IdFeature, ComboFeature)) and not getattr(entry.message, "num_buckets", 0)
        for _, text in entry.inputs
        if (name := text.partition(":")[2]) and declared.get(name, pa.string()) == pa.string()
    ]
