"""SampledFeatures: encoding of the features of a batch, of which some also have the rows of sampled negatives."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tzrec.data.masking import RowMasks
from tzrec.data.samplers.attributes import readable_type
from tzrec.data.samplers.base import AppendedRows, SampledRows
from tzrec.data.text_schema import TextSchema, cast_text
from tzrec.errors import DataError
from tzrec.features.bad_rows import BadRows
from tzrec.features.column import Column
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.formatting import shorten
from tzrec.log import logger
from tzrec.protos import data_pb2


class SampledFeatures:
    """Encoder of all features of a batch; threads may share it.

    Attributes:
        data_groups: data group of each feature that it returns.

    Args:
        encoder: encodes the features.
        data: the data_config.
        schema: types of text columns.
    """

    def __init__(self, encoder: FeatureEncoder, data: data_pb2.DataConfig, schema: TextSchema) -> None:
        self.data_groups = {name: encoder.features[name].data_group for name in encoder.outputs}
        self._encoder, self._data, self._schema = encoder, data, schema
        sampled = [name for name in encoder.outputs if name in encoder.sampled]
        self._of_batch = encoder.select_features([name for name in encoder.outputs if name not in encoder.sampled])
        self._of_all = encoder.select_features(sampled)
        self._warned: set[tuple[str, str]] = set()

    def encode(self, raw: pa.RecordBatch, rows: SampledRows, masks: RowMasks | None, bad: BadRows) -> dict[str, Column]:
        """Encode the features.

        Args:
            raw: the columns of `rows.raw`, with the types of the schema.
            rows: the rows of the batch, R, and those of the negatives below them, N.
            masks: rows whose features with use_mask are emptied; None for no rows.
            bad: receives the bad values of the rows of the batch.

        Returns:
            a Column of every feature: of R + N rows for one that depends on sampled columns, and for every one with
            force_base_data_group; of R rows otherwise.

        Raises:
            DataError: a column is missing or has a type that cannot be read, or under the ERROR policy a negative has a
                bad value.
        """
        if rows.appended is None:
            columns, reports = self._encoder.encode(raw, None if masks is None else masks.batch)
            bad.merge(reports)
            return columns
        appended = rows.appended
        columns, reports = self._of_batch.encode(raw, None if masks is None else masks.batch)
        bad.merge(reports)
        extended, bad_cells = self._extend(raw, appended)
        sampled, reports = self._of_all.encode(extended, None if masks is None else masks.all)
        bad_in_batch, bad_in_negatives = reports.split(raw.num_rows)
        bad.merge(bad_in_batch)
        for part in (appended.bad, bad_cells, bad_in_negatives):
            self._check_negatives(appended, part)
        columns |= sampled
        if self._data.force_base_data_group:
            columns = {name: column.pad(extended.num_rows) for name, column in columns.items()}
        return {name: columns[name] for name in self._encoder.outputs}

    def _extend(self, raw: pa.RecordBatch, appended: AppendedRows) -> tuple[pa.RecordBatch, BadRows]:
        """Append the rows of the negatives.

        Other columns are null in simple negatives, and have the value of its row in a hard one.

        Returns:
            the columns that sampled features read, R + N rows, and the bad values of the negatives.
        """
        bad = BadRows(appended.num_rows)
        below = cast_text(appended.columns, self._schema.features, bad)
        num_rows, num_simple = raw.num_rows, appended.negatives.num_sampled
        hard_rows = appended.negatives.hard_index[:, 0].numpy()
        indices = np.concatenate([np.arange(num_rows), np.zeros(num_simple, np.int64), hard_rows])
        is_null = (np.arange(len(indices)) >= num_rows) & (np.arange(len(indices)) < num_rows + num_simple)
        take = pa.array(indices, mask=is_null)
        arrays = []
        for name in self._of_all.columns:
            above = raw.column(name)
            if name in below.schema.names:
                arrays.append(pa.concat_arrays([above.cast(readable_type(above.type)), below.column(name)]))
            else:
                arrays.append(above.take(take))
        return pa.RecordBatch.from_arrays(arrays, list(self._of_all.columns)), bad

    def _check_negatives(self, appended: AppendedRows, bad: BadRows) -> None:
        """Raise an error for a bad value of a negative, or warn once of each kind: a negative cannot be left out."""
        for column, reason, rows, values in bad.reports:
            received = "is missing" if values[0] is None else f"has {shorten(str(values[0]))!r}"
            item = appended.id_text(int(rows[0]))
            message = f'item {item} of the sampler\'s table: attribute "{column}" {received}: {reason}'
            if self._data.bad_row_policy == data_pb2.ERROR:
                raise DataError(
                    f"{message}. Correct the table, or set data_config.bad_row_policy to DEFAULT (use the feature's "
                    "default_value)"
                )
            if (column, reason) not in self._warned:
                self._warned.add((column, reason))
                logger.warning("%s; such values are replaced by the feature's default_value", message)
