"""Encode a part of a data set into a Parquet file."""

from __future__ import annotations

import pyarrow as pa

from tzrec.data.parts.counter import RowCounter
from tzrec.data.parts.part import Part, PartResult
from tzrec.data.reader import PIECE_ROWS
from tzrec.data.row_encoder import RowEncoder
from tzrec.data.writer import ParquetWriter


def write_part(encoder: RowEncoder, part: Part, directory: str, batch_size: int = PIECE_ROWS) -> PartResult:
    """Encode a part and write its file.

    Args:
        encoder: encodes the rows.
        part: the rows to encode.
        directory: of the data set.
        batch_size: rows to encode at a time.

    Raises:
        DataError: the input cannot be read, or a bad value under the ERROR policy.
    """
    reader, counter, is_empty = part.reader, RowCounter(part), True
    with ParquetWriter(directory, part.name, is_synced=True) as writer:
        for piece in part.pieces(batch_size):
            encoded = encoder.encode(piece.batch, piece.first, reader.describe)
            writer.write(pa.Table.from_batches([encoded.batch]))
            counter.add(piece.batch.num_rows, encoded.batch.num_rows, encoded.bad)
            is_empty = False
        if is_empty:  # an empty file, or malformed lines only
            empty = pa.RecordBatch.from_pylist([], schema=reader.schema)
            writer.write(pa.Table.from_batches([encoder.encode(empty).batch]))
    return counter.result()
