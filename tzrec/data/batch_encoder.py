"""BatchEncoder: encode rows of a reader as a Batch, under the bad-row policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from tzrec.data.bad_rows import BadValue, bad_value_error, bad_values, check_copied, skipped_rows
from tzrec.data.batch import Batch
from tzrec.data.collate import collate
from tzrec.data.label_values import LabelValues
from tzrec.data.labels import LabelReader, weight_values
from tzrec.data.masking import RowMasks
from tzrec.data.sampled_features import SampledFeatures
from tzrec.data.samplers.base import SampledRows
from tzrec.data.task_spaces import TaskSpaces
from tzrec.data.text_schema import TextSchema, cast_text
from tzrec.features.bad_rows import BadRows
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.protos import data_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig


@dataclass(frozen=True)
class EncodedBatch:
    """A batch, and the bad values of its rows."""

    batch: Batch
    bad: list[BadValue]


class BatchEncoder:
    """Encoder of raw rows to a Batch: features, labels, weights and the columns to copy. Threads may share it.

    Args:
        config: its data_config names labels and weights, and sets the bad-row policy.
        encoder: encodes the features.
        schema: types of text columns.
        targets: columns of labels and weights; none for prediction.
        reserved: columns to copy to `Batch.reserved`.
    """

    def __init__(
        self,
        config: EasyRecConfig,
        encoder: FeatureEncoder,
        schema: TextSchema,
        targets: Sequence[str] = (),
        reserved: Sequence[str] = (),
    ) -> None:
        self._data, self._schema = config.data_config, schema
        self._features = SampledFeatures(encoder, config.data_config, schema)
        self._targets, self._reserved = list(targets), list(reserved)
        self._label_values = LabelValues(config.data_config)
        self._read_label, self._task_spaces = LabelReader(config), TaskSpaces(config)

    def encode(
        self,
        rows: SampledRows,
        numbers: npt.NDArray[np.int64],
        describe: Callable[[int], str],
        masks: RowMasks | None = None,
        is_counted: bool = True,
    ) -> EncodedBatch:
        """Encode rows. If all rows are skipped, one stays in the batch, with `rows` 0.

        Args:
            rows: the columns of features, targets and copies, R rows, and the rows of negatives.
            numbers: number of every row `(R,)`.
            describe: formats the location of a row.
            masks: rows whose features with use_mask are emptied; None for no rows.
            is_counted: False for a row that another rank owns: the batch then has `rows` 0.

        Raises:
            DataError: a bad value under the ERROR policy, a cell that cannot be copied, or a type that cannot be read.
        """
        features, targets = BadRows(rows.raw.num_rows), BadRows(rows.raw.num_rows)
        features.merge(rows.bad)
        batch = self._batch(rows, masks, features, targets)
        bad = bad_values(features, numbers) + bad_values(targets, numbers) if is_counted else []
        if bad and self._data.bad_row_policy == data_pb2.ERROR:
            raise bad_value_error(bad, describe, self._schema.is_text)
        is_skipped = skipped_rows(features, targets, self._data.bad_row_policy)
        if is_skipped.any():
            # other ranks wait for the collective operations of this one: of no rows, one stays and is not counted
            is_counted = is_counted and not is_skipped.all()
            is_kept = ~is_skipped if is_counted else np.arange(len(numbers)) == 0
            rows, numbers = rows.keep(is_kept), numbers[is_kept]
            masks = None if masks is None else masks.keep(is_kept)
            batch = self._batch(rows, masks, BadRows(len(numbers)), BadRows(len(numbers)))
        raw = rows.raw
        reserved, bad_copies = self._copies(raw, numbers, describe) if self._reserved else (None, [])
        bad += [value for value in bad_copies if value not in bad and is_counted]
        return EncodedBatch(replace(batch, rows=raw.num_rows if is_counted else 0, reserved=reserved), bad)

    def encode_nulls(self, schema: pa.Schema) -> Batch:
        """Encode a row without values: it fails where a type cannot be read.

        Args:
            schema: of the columns of features, targets and copies.

        Raises:
            DataError: a feature, label or weight cannot read the type of its column.
        """
        row = null_row(schema)
        batch = self._batch(SampledRows.unchanged(row), None, BadRows(1), BadRows(1))
        copies = cast_text(row.select(self._reserved), self._schema.reserved, BadRows(1))
        return replace(batch, reserved=pa.Table.from_batches([copies]) if self._reserved else None)

    def _batch(self, rows: SampledRows, masks: RowMasks | None, features: BadRows, targets: BadRows) -> Batch:
        columns = self._features.encode(cast_text(rows.raw, self._schema.features, features), rows, masks, features)
        labeled = cast_text(rows.raw.select(self._targets), self._schema.targets, targets)
        labeled = self._task_spaces.fill(self._label_values.to_numbers(labeled, targets))
        return replace(
            collate(columns, rows.raw.num_rows, self._features.data_groups),
            labels=_tensors(labeled, self._data.label_fields, self._read_label, targets),
            weights=_tensors(labeled, self._data.sample_weight_fields, weight_values, targets),
            negatives=None if rows.appended is None else rows.appended.negatives,
        )

    def _copies(
        self, raw: pa.RecordBatch, numbers: npt.NDArray[np.int64], describe: Callable[[int], str]
    ) -> tuple[pa.Table, list[BadValue]]:
        """Columns to copy, and their cells that were left out."""
        bad = BadRows(raw.num_rows)
        columns = cast_text(raw.select(self._reserved), self._schema.reserved, bad)
        values = bad_values(bad, numbers)
        check_copied(values, self._data.bad_row_policy, describe)
        return pa.Table.from_batches([columns]), values


def null_row(schema: pa.Schema) -> pa.RecordBatch:
    """Create a row without values."""
    return pa.RecordBatch.from_arrays([pa.nulls(1, field.type) for field in schema], schema=schema)


def _tensors(
    batch: pa.RecordBatch,
    names: Sequence[str],
    convert: Callable[[str, pa.Array, BadRows], npt.NDArray[Any]],
    bad: BadRows,
) -> dict[str, torch.Tensor]:
    """Convert the columns that the batch has: none for prediction."""
    present = [name for name in names if name in batch.schema.names]
    return {name: torch.from_numpy(convert(name, batch.column(name), bad)) for name in present}
