"""RowScorer: score raw rows with a package, one RecordBatch at a time, as `tzrec predict` does.

Distributed engines accept it as a function; `tzrec.ray` and `tzrec.spark` do so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import torch

from tzrec.data.batch_encoder import BatchEncoder
from tzrec.data.parts.loader import reserved_names
from tzrec.data.paths import absolute
from tzrec.data.raw_rows import raw_rows
from tzrec.data.samplers.base import SampledRows
from tzrec.data.text_schema import TextSchema
from tzrec.features.column_types import decoded_type
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.serving.fetch import local_package
from tzrec.serving.output import OutputColumns
from tzrec.serving.package import Program, open_package
from tzrec.serving.package_manifest import MODEL, PackageManifest
from tzrec.serving.predictor import package_config

Rows = TypeVar("Rows", pa.RecordBatch, pa.Table)


class RowScorer:
    """Scorer of raw rows with the model of a package; labels are not read.

    Rows keep their order, and data_config.bad_row_policy applies to bad values: SKIP_ROW leaves rows out. It can be
    pickled and has no state between batches. The weights are loaded with the first batch, once per object.

    Attributes:
        arguments: of the constructor.
    """

    def __init__(
        self,
        package: str,
        reserved_columns: Sequence[str] = (),
        output_columns: Sequence[str] = (),
        edit: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Args:
            package: directory of an exported package.
            reserved_columns: raw columns to copy; ALL_COLUMNS and ALL_EFFECTIVE_COLUMNS stand for many.
            output_columns: outputs to write; all if empty.
            edit: changes to the config of the package: path -> value.

        Raises:
            PackageError: it is missing or damaged.
            ConfigError: an edit does not fit the config.
        """
        self.arguments = (absolute(package), tuple(reserved_columns), tuple(output_columns), edit)
        self._directory = local_package(package)
        self._config = package_config(self._directory, edit)
        self._encoder = FeatureEncoder.from_config(self._config.feature_configs, self._config.data_config)
        self._reserved, self._columns = tuple(reserved_columns), OutputColumns(tuple(output_columns))
        self._batch_encoders: dict[tuple[str, ...], BatchEncoder] = {}

    def __reduce__(self) -> tuple[type[RowScorer], tuple[Any, ...]]:
        return RowScorer, self.arguments

    def __call__(self, rows: Rows) -> Rows:
        """Score a RecordBatch or Table; returns the same type.

        Raises:
            DataError: a column is missing or has a type that cannot be read, or a bad value under the ERROR policy.
            UsageError: a column of the output does not exist, or exists twice.
        """
        table = self._scores(rows, rows.schema)
        if not isinstance(rows, pa.RecordBatch):
            return table
        batches = table.to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)

    def _scores(self, rows: Any, schema: pa.Schema) -> pa.Table:
        """Score rows with a schema, some at a time, as one contiguous table."""
        columns, reserved = self.columns(schema.names)
        raw = raw_rows(rows, columns, self._config.data_config.null_values)
        encoder = self._batch_encoder(reserved)
        tables = [self.schema(schema).empty_table()]
        batch_size = self._config.export_config.max_batch_size
        for first in range(0, raw.num_rows, batch_size):
            tables.append(self._scored(raw.slice(first, batch_size), first, encoder))
        return pa.concat_tables(tables).combine_chunks()

    def columns(self, names: Sequence[str]) -> tuple[list[str], list[str]]:
        """List the raw columns that are read from rows with these columns, and those of them that are copied."""
        reserved = reserved_names(self._reserved, names, self._encoder.columns)
        return list(dict.fromkeys([*self._encoder.columns, *reserved])), reserved

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """Return the schema of the output for rows with a schema, without scoring any.

        Raises:
            DataError: a column to copy is missing.
            UsageError: a column of the output does not exist, or exists twice.
        """
        columns, reserved = self.columns(schema.names)
        raw_rows(schema.empty_table(), columns)
        copies = {name: decoded_type(schema.field(name).type) for name in reserved}
        return self._columns.schema(self._output_types, copies)

    @cached_property
    def _output_types(self) -> dict[str, pa.DataType]:
        manifest = PackageManifest.read(self._directory)
        return {spec.name: _arrow_type(spec.dtype, spec.shape) for spec in manifest.programs[MODEL].outputs}

    @cached_property
    def _program(self) -> Program:
        return open_package(self._directory).program()

    def _batch_encoder(self, reserved: Sequence[str]) -> BatchEncoder:
        key = tuple(reserved)
        if key not in self._batch_encoders:
            schema = TextSchema({}, {}, {})
            self._batch_encoders[key] = BatchEncoder(self._config, self._encoder, schema, reserved=key)
        return self._batch_encoders[key]

    def _scored(self, raw: pa.RecordBatch, first: int, encoder: BatchEncoder) -> pa.Table:
        numbers = first + np.arange(raw.num_rows)
        batch = encoder.encode(SampledRows.unchanged(raw), numbers, lambda row: f"row {row} of the batch").batch
        with torch.inference_mode():
            outputs = self._program.predict(self._program.signature.from_batch(batch))
        table = self._columns.table(outputs, batch)
        return table if batch.rows else table.slice(0, 0)  # all rows are skipped


def _arrow_type(dtype: str, shape: Sequence[int]) -> pa.DataType:
    """Type of the column of an output, see `predictor.to_arrow`."""
    kind = pa.float32() if "float" in dtype else pa.from_numpy_dtype(np.dtype(dtype))
    return pa.list_(kind) if shape else kind
