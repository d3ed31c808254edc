"""RowEncoder: raw rows to encoded ones, a RecordBatch at a time, for whoever drives it.

It is what `tzrec fg` runs in its processes, and what engines that scale out take as a function:

    dataset.map_batches(RowEncoder, fn_constructor_args=(config,), batch_format="pyarrow", compute=...)   # Ray Data
    frame.mapInArrow(lambda batches: map(RowEncoder(config), batches), schema)                             # Spark
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa

from tzrec.config.sequences import feature_members
from tzrec.data.bad_rows import BadValue, bad_values, left_out, stop, unlike
from tzrec.data.labels import label_values, weight_values
from tzrec.data.parquet import plain
from tzrec.data.text_schema import TextSchema, typed
from tzrec.errors import ConfigError, DataError, Problem, UsageError
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
        batch: the features in config order, labels and weights, reserved columns; without rows that are left out.
        bad: the values that could not be used.
    """

    batch: pa.RecordBatch
    bad: list[BadValue]


class RowEncoder:
    """Turns raw rows into the rows that training reads without encoding them again (FG_NONE), or but for making ids.

    Rows keep their order. What happens to bad values is what data_config.bad_row_policy says. It can be pickled, and
    holds no state between batches.

    Attributes:
        columns: the raw columns it reads.
        made_of: its arguments.
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
            config: its features and its data_config; see `config.check.load_checked`.
            reserved: raw columns to hand through.
            schema: types of columns that come as text; None where all columns have types.
            fg_mode: how the rows are to be read: FG_NONE as they are, FG_BUCKETIZE to make ids of them.

        Raises:
            ConfigError: the features cannot be built, or the data is encoded already.
            UsageError: two columns would have one name.
        """
        data = config.data_config
        if data.fg_mode in (data_pb2.FG_NONE, fg_mode):
            name = data_pb2.FgMode.Name(data.fg_mode)
            raise ConfigError([Problem("data_config.fg_mode", f"{name}: this data is encoded already")])
        self.made_of = (config, reserved, schema, fg_mode)
        self._fg_mode = fg_mode
        self._data = data
        self._schema = schema or TextSchema({}, {}, {})
        self._encoder = FeatureEncoder.from_config(config.feature_configs, data)
        self._targets = [*data.label_fields, *data.sample_weight_fields]
        self._reserved = [name for name in dict.fromkeys(reserved) if name not in self._targets]
        self._entries = {
            feature.name: member
            for feature, member in zip(
                self._encoder.features.values(),
                (member for each in config.feature_configs for member in feature_members(each)),
                strict=True,
            )
        }
        self._refuse_namesakes()
        self.columns = tuple(dict.fromkeys([*self._encoder.columns, *self._targets, *self._reserved]))

    def __reduce__(self) -> tuple[type[RowEncoder], tuple[EasyRecConfig, Sequence[str], TextSchema | None, int]]:
        return RowEncoder, self.made_of

    def _refuse_namesakes(self) -> None:
        for what, names in (("--reserved_columns", self._reserved), ("data_config.label_fields", self._targets)):
            for name in names:
                if name in self._entries and not self._encoder.features[name].is_stub:
                    message = f'{what}: "{name}" is a feature as well, and an encoded row has one column of a name'
                    raise UsageError(f"{message}; leave it out or rename the feature")

    def __call__(self, rows: Rows) -> Rows:
        """Encode rows as an engine hands them over; what comes out is of the same kind.

        Raises:
            DataError: a column is missing or has a type that cannot be read, or a bad value under the ERROR policy.
        """
        table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        missing = [name for name in self.columns if name not in table.column_names]
        if missing:
            raise DataError(f"no column {', '.join(missing)} in the rows; there are {', '.join(table.column_names)}")
        table = table.select(self.columns)
        schema = pa.schema([(field.name, plain(field.type)) for field in table.schema])
        batch = self.encode(_whole(table.cast(schema))).batch
        return batch if isinstance(rows, pa.RecordBatch) else pa.Table.from_batches([batch])

    def encode(self, raw: pa.RecordBatch, first: int = 0, describe: Callable[[int], str] | None = None) -> EncodedRows:
        """Encode rows.

        Args:
            raw: at least `columns`, of the types that a Reader yields.
            first: number of the first row, in what is said about bad rows.
            describe: says in words where a row stands.

        Raises:
            DataError: see `__call__`.
        """
        describe = describe or (lambda row: f"row {row} of the batch")
        features, targets, reserved = (BadRows(raw.num_rows) for _ in range(3))
        arrays, found = self._encoded(typed(raw, self._schema.features, features))
        for report in found.reports:
            features.report(*report)
        arrays |= self._checked_targets(raw, targets)
        kept = typed(raw.select(self._reserved), self._schema.kept, reserved)
        arrays |= dict(zip(kept.schema.names, kept.columns, strict=True))
        numbers = first + np.arange(raw.num_rows)
        if reserved:
            raise unlike(bad_values(reserved, numbers)[0], describe)
        bad = bad_values(features, numbers) + bad_values(targets, numbers)
        if bad and self._data.bad_row_policy == data_pb2.ERROR:
            raise stop(bad, describe)
        batch = pa.RecordBatch.from_arrays(list(arrays.values()), list(arrays))
        out = left_out(features, targets, self._data.bad_row_policy)
        return EncodedRows(batch.filter(pa.array(~out)) if out.any() else batch, bad)

    def _encoded(self, batch: pa.RecordBatch) -> tuple[dict[str, pa.Array], BadRows]:
        """The features as Arrow columns, and which rows hold bad values."""
        if self._fg_mode == data_pb2.FG_BUCKETIZE:
            return encode_unbucketized(self._encoder, self._entries, batch)
        columns, bad = self._encoder.encode(batch)
        return {name: to_arrow(column, is_single(self._entries[name])) for name, column in columns.items()}, bad

    def _checked_targets(self, raw: pa.RecordBatch, bad: BadRows) -> dict[str, pa.Array]:
        """Label and weight columns as they are; bad values are reported."""
        meant = typed(raw.select(self._targets), self._schema.targets, bad)
        for names, convert in (
            (self._data.label_fields, label_values),
            (self._data.sample_weight_fields, weight_values),
        ):
            for name in names:
                convert(name, meant.column(name), bad)
        return dict(zip(meant.schema.names, meant.columns, strict=True))


def _whole(table: pa.Table) -> pa.RecordBatch:
    """All rows as one batch, also none."""
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
