"""Sample of raw rows for an export: given rows, else those of the training data, else synthetic ones."""

from __future__ import annotations

import pyarrow as pa

from tzrec.data.reader import open_reader
from tzrec.data.synthetic import make_table
from tzrec.data.text_schema import TextSchema, cast_text
from tzrec.errors import DataError, TzrecError
from tzrec.features.bad_rows import BadRows
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.log import logger
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.serving.sample import NUM_ITEMS, SampleRows

NUM_ROWS = 4096
"""Rows that are read of a path: enough to see a change of the AUC in the fourth decimal place."""


def read_sample(config: EasyRecConfig, encoder: FeatureEncoder, path: str = "") -> SampleRows:
    """Read the first rows of a path.

    Args:
        config: of the model.
        encoder: of its features.
        path: comma list of globs. Default: the training data, or synthetic rows if it cannot be read.

    Raises:
        DataError: the rows of `path` cannot be read.
    """
    if path:
        return SampleRows(_first_rows(config, encoder, path), path, is_given=True)
    try:
        return SampleRows(_first_rows(config, encoder, config.train_input_path), config.train_input_path, is_given=True)
    except TzrecError as error:
        reason = str(error).splitlines()[0]
        logger.info("data   the sample request is of synthetic rows: %s (--sample_input_path reads others)", reason)
    table = make_table(config, NUM_ITEMS)
    return SampleRows(table.combine_chunks().to_batches()[0], "synthetic", is_given=False)


def _first_rows(config: EasyRecConfig, encoder: FeatureEncoder, path: str) -> pa.RecordBatch:
    """Read the columns of features, and of the labels that are there, of the types that training reads."""
    data = config.data_config
    files = open_reader(data, path, [])
    targets = [name for name in data.label_fields if name in files.available]
    reader = files.select(list(dict.fromkeys([*encoder.columns, *targets])))
    piece = next(reader.read(), None)
    if piece is None:
        raise DataError(f"{path} has no rows{reader.bad_lines.describe()}")
    schema = TextSchema.of(data, reader, encoder.columns, targets)
    rows = piece.batch.slice(0, NUM_ROWS)
    return cast_text(rows, {**schema.features, **schema.targets}, BadRows(rows.num_rows))
