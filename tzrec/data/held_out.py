"""HeldOutRows: the rows of the training data that are evaluated instead of trained on."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.data.masking import masked_rows
from tzrec.errors import DataError
from tzrec.features.arrays import BoolArray, Int64Array
from tzrec.protos.data_pb2 import EvalSplit

_SEED = 0x5EED
"""Of the hash of row numbers: the rows do not depend on the seed of a run."""


class HeldOutRows:
    """Rows that `data_config.eval_split` holds out.

    Args:
        split: of a checked config.

    Attributes:
        columns: that must be read to tell the rows apart.
    """

    def __init__(self, split: EvalSplit) -> None:
        self._split = split
        self.columns = (split.column,) if split.column else ()

    def mask(self, raw: pa.RecordBatch, numbers: Int64Array) -> BoolArray:
        """Tell which rows are held out, `(B,)`; a row without a value of the column is not.

        Args:
            raw: rows with the columns.
            numbers: of the rows over all files, `(B,)`.

        Raises:
            DataError: the value from which rows are held out is not of the type of the column.
        """
        if not self._split.column:
            return masked_rows(numbers, _SEED, 0, self._split.fraction)
        column = raw.column(self._split.column)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        bound = getattr(self._split, "from")  # a keyword of Python
        try:
            is_late = pc.greater_equal(column, pa.scalar(bound).cast(column.type))
        except (pa.ArrowException, TypeError) as error:
            raise DataError(
                f"data_config.eval_split.from: {bound!r} cannot be compared with the column "
                f'"{self._split.column}", which is {column.type}: {error}'
            ) from None
        return np.asarray(is_late.fill_null(False))
