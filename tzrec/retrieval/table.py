"""Tables of vectors, as files that no config describes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from tzrec.config.datasets import dataset_of_files
from tzrec.data.paths import expand
from tzrec.data.reader import PIECE_ROWS, Piece, Reader, open_reader
from tzrec.data.row_progress import ReadProgress
from tzrec.errors import DataError
from tzrec.protos import data_pb2
from tzrec.retrieval.vectors import DescribeRow, ItemVectors, to_ids, to_vectors


def open_table(path: str, columns: Sequence[str] | None, reader: str | None = None) -> Reader:
    """Open the files of a table.

    Args:
        path: comma list of files, folders and globs.
        columns: to read; None for all.
        reader: one of READERS; None to choose by the extension of the first file.

    Raises:
        DataError: no file, an unreadable one, or a missing column.
    """
    if reader:
        dataset = f"{reader.removesuffix('Reader')}Dataset"
    else:
        number = dataset_of_files(expand(path)[0].name) or data_pb2.ParquetDataset
        dataset = data_pb2.DatasetType.Name(number)  # type: ignore[arg-type]
    return open_reader(data_pb2.DataConfig(dataset_type=dataset, with_header=True), path, columns)


def read_items(
    path: str, id_field: str, embedding_field: str, reader: str | None = None, piece_rows: int | None = None
) -> ItemVectors:
    """Read the ids and vectors of items.

    Args:
        path: comma list of files, folders and globs.
        id_field: column of ids.
        embedding_field: column of vectors.
        reader: one of READERS; None to choose by the extension of the first file.
        piece_rows: number of rows that are read at a time.

    Raises:
        DataError: the files cannot be read or hold no row, or a column is missing or holds something else.
    """
    table = open_table(path, [id_field, embedding_field], reader)
    ids, blocks = [], []
    dimension = 0
    for piece in ReadProgress("index", table).watch(table.read(piece_rows=piece_rows or PIECE_ROWS)):
        describe = describe_rows(table, piece)
        ids.append(to_ids(piece.batch[id_field], id_field, describe))
        blocks.append(to_vectors(piece.batch[embedding_field], embedding_field, dimension, describe))
        dimension = blocks[-1].shape[1]
    if not ids:
        raise DataError(f"{path}: the table of items has no rows, so there is nothing to index")
    return ItemVectors.of(pa.concat_arrays(ids), np.concatenate(blocks))


def describe_rows(table: Reader, piece: Piece) -> DescribeRow:
    """Return a function that names a row of a piece by its file and its number in the file."""
    return lambda row: table.describe(piece.first + row)
