"""Ids of text files that are written as decimals: 7.0, as pandas writes integers of a column with gaps.

Text is hashed as it is written, so 7.0 is another id than 7. A column declared as INT64 is read as integers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.data.reader import Reader
from tzrec.data.text_schema import valid_text

_MAX_FILES = 32
_MAX_ROWS = 10_000
_DECIMAL = r"^[+-]?[0-9]+\.0*$"
_INTEGER = r"^[+-]?[0-9]+$"


def first_rows(reader: Reader) -> Iterator[pa.RecordBatch]:
    """Yield the first rows of some files: of all, or of as many as can be read in a moment, evenly spread."""
    indices = np.unique(np.linspace(0, len(reader.files) - 1, _MAX_FILES).round().astype(int))
    for index in indices.tolist():
        piece = next(reader.for_file(index).read(), None)
        if piece is not None:
            yield piece.batch.slice(0, _MAX_ROWS)


def decimal_ids_note(reader: Reader, columns: Collection[str]) -> list[str]:
    """Describe each column of whole numbers some of which are written as decimals.

    Args:
        reader: reads text.
        columns: those of ids.
    """
    decimals, integers, present = (dict.fromkeys(columns, 0) for _ in range(3))
    examples: dict[str, str] = {}
    for batch in first_rows(reader):
        for name in columns:
            cells = valid_text(batch.column(name))[0].drop_null()
            is_decimal = pc.match_substring_regex(cells, _DECIMAL)
            decimals[name] += pc.sum(is_decimal).as_py() or 0
            integers[name] += pc.sum(pc.match_substring_regex(cells, _INTEGER)).as_py() or 0
            present[name] += len(cells)
            if name not in examples and pc.any(is_decimal).as_py():
                examples[name] = str(cells.filter(is_decimal)[0].as_py())
    return [
        f'{100 * decimals[name] / present[name]:.3g} % of the ids of "{name}" are written as decimals, such as '
        f"{example}, which is another id than {example.split('.')[0]}; to read them as integers, add data_config "
        f'{{ input_fields {{ input_name: "{name}" input_type: INT64 }} }}'
        for name, example in examples.items()
        if decimals[name] + integers[name] == present[name]
    ]
