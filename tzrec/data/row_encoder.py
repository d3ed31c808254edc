"""RowEncoder: encode raw rows, one RecordBatch at a time.

`tzrec fg` runs it in its processes, and distributed engines accept it as a function:

    tzrec.ray.encode(dataset, "my.config")
    tzrec.spark.encode(frame, "my.config")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa

from tzrec.config.sequences import feature_members
from tzrec.data.bad_rows import BadValue, bad_value_error, bad_values, check_copied, skipped_rows
from tzrec.data.label_values import LabelValues
from tzrec.data.labels import LabelReader, weight_values
from tzrec.data.raw_rows import raw_rows
from tzrec.data.task_spaces import TaskSpaces
from tzrec.data.text_schema import TextSchema, cast_text
from tzrec.errors import ConfigError, Problem, UsageError
from tzrec.features.arrow import is_single, to_arrow
from tzrec.features.bad_rows import BadRows
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.features.unbucketized import encode_unbucketized
from tzrec.protos import data_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig

Rows = TypeVar("Rows", pa.RecordBatch, pa.Table)


@dataclass(frozen=True)
class EncodedRows:
    """Encoded rows.

    Attributes:
        batch: the features in config order, labels and weights, reserved columns; without skipped rows.
        bad: the bad values.
    """

    batch: pa.RecordBatch
    bad: list[BadValue]


class RowEncoder:
    """Encoder of raw rows to rows that training reads without encoding (FG_NONE), or only bucketizes (FG_BUCKETIZE).

    Rows keep their order, and data_config.bad_row_policy applies to bad values. It can be pickled, and has no state
    between batches.

    Attributes:
        columns: the raw columns that it reads.
        feature_columns: those of them that the features read.
        arguments: of the constructor.
    """

    def __init__(
        self,
        config: EasyRecConfig,
        reserved: Sequence[str] = (),
        schema: TextSchema | None = None,
        fg_mode: int = data_pb2.FG_NONE,
    ) -> None:
        """
        Args:
            config: a checked config, see `config.check.load_checked`.
            reserved: raw columns to copy.
            schema: types of text columns; None if all columns have types.
            fg_mode: the mode to read the result with, FG_NONE or FG_BUCKETIZE.

        Raises:
            ConfigError: the features cannot be built, or the data is encoded already.
            UsageError: two columns would have the same name.
        """
        data = config.data_config
        if data.fg_mode in (data_pb2.FG_NONE, fg_mode):
            name = data_pb2.FgMode.Name(data.fg_mode)
            raise ConfigError([Problem("data_config.fg_mode", f"{name}: the data is already encoded")])
        self.arguments = (config, reserved, schema, fg_mode)
        self._fg_mode = fg_mode
        self._data = data
        self._label_values = LabelValues(data)
        self._read_label, self._task_spaces = LabelReader(config), TaskSpaces(config)
        self._schema = schema or TextSchema({}, {}, {})
        self._encoder = FeatureEncoder.from_config(config.feature_configs, data)
        self._targets = [*data.label_fields, *data.sample_weight_fields]
        self._reserved = [name for name in dict.fromkeys(reserved) if name not in self._targets]
        self._entries = {
            feature.name: member
            for feature, member in zip(
                self._encoder.features.values(),
                (member for feature in config.feature_configs for member in feature_members(feature)),
                strict=True,
            )
        }
        self._validate_names()
        self.feature_columns = self._encoder.columns
        self.columns = tuple(dict.fromkeys([*self._encoder.columns, *self._targets, *self._reserved]))

    def __reduce__(self) -> tuple[type[RowEncoder], tuple[EasyRecConfig, Sequence[str], TextSchema | None, int]]:
        return RowEncoder, self.arguments

    def _validate_names(self) -> None:
        for origin, names in (("--reserved_columns", self._reserved), ("data_config.label_fields", self._targets)):
            for name in names:
                if name in self._entries and not self._encoder.features[name].is_stub:
                    message = f'{origin}: "{name}" is also the name of a feature'
                    raise UsageError(f"{message}; remove it or rename the feature")

    def __call__(self, rows: Rows) -> Rows:
        """Encode a RecordBatch or Table; returns the same type.

        Raises:
            DataError: a column is missing or has a type that cannot be read, or a bad value under the ERROR policy.
        """
        batch = self.encode(raw_rows(rows, self.columns, self._data.null_values)).batch
        return batch if isinstance(rows, pa.RecordBatch) else pa.Table.from_batches([batch])

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """Return the schema of the output for rows with a schema.

        Raises:
            DataError: see `__call__`.
        """
        return self(schema.empty_table()).schema

    def encode(self, raw: pa.RecordBatch, first: int = 0, describe: Callable[[int], str] | None = None) -> EncodedRows:
        """Encode rows.

        Args:
            raw: at least `columns`, of the types that a Reader yields.
            first: number of the first row, for errors about bad rows.
            describe: formats the location of a row.

        Raises:
            DataError: see `__call__`.
        """
        describe = describe or (lambda row: f"row {row} of the batch")
        features, targets, reserved = (BadRows(raw.num_rows) for _ in range(3))
        arrays, encoding = self._encoded(cast_text(raw, self._schema.features, features))
        for report in encoding.reports:
            features.report(*report)
        arrays |= self._checked_targets(raw, targets)
        copied = cast_text(raw.select(self._reserved), self._schema.reserved, reserved)
        arrays |= dict(zip(copied.schema.names, copied.columns, strict=True))
        numbers = first + np.arange(raw.num_rows)
        bad_copies = bad_values(reserved, numbers)
        check_copied(bad_copies, self._data.bad_row_policy, describe)
        bad = bad_values(features, numbers) + bad_values(targets, numbers)
        if bad and self._data.bad_row_policy == data_pb2.ERROR:
            raise bad_value_error(bad, describe, self._schema.is_text)
        bad += [value for value in bad_copies if value not in bad]
        batch = pa.RecordBatch.from_arrays(list(arrays.values()), list(arrays))
        is_skipped = skipped_rows(features, targets, self._data.bad_row_policy)
        return EncodedRows(batch.filter(pa.array(~is_skipped)) if is_skipped.any() else batch, bad)

    def _encoded(self, batch: pa.RecordBatch) -> tuple[dict[str, pa.Array], BadRows]:
        """Encode the features as Arrow columns; returns them with the bad rows."""
        if self._fg_mode == data_pb2.FG_BUCKETIZE:
            return encode_unbucketized(self._encoder, self._entries, batch)
        columns, bad = self._encoder.encode(batch)
        return {name: to_arrow(column, is_single(self._entries[name])) for name, column in columns.items()}, bad

    def _checked_targets(self, raw: pa.RecordBatch, bad: BadRows) -> dict[str, pa.Array]:
        """Validate label and weight columns and return them unchanged."""
        batch = cast_text(raw.select(self._targets), self._schema.targets, bad)
        filled = self._task_spaces.fill(self._label_values.to_numbers(batch, bad))
        for names, convert in (
            (self._data.label_fields, self._read_label),
            (self._data.sample_weight_fields, weight_values),
        ):
            for name in names:
                convert(name, filled.column(name), bad)
        return dict(zip(batch.schema.names, batch.columns, strict=True))
