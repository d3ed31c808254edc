"""PartLoader: encoded batches of rows to score, part by part."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from tzrec import env
from tzrec.data.bad_rows import BadValue
from tzrec.data.batch import Batch
from tzrec.data.batch_encoder import BatchEncoder
from tzrec.data.exchange import ALONE, Exchange
from tzrec.data.parts.part import Part, PartNames, index_large_files, split_into_parts
from tzrec.data.prefetch import PrefetchQueue
from tzrec.data.reader import Piece, open_reader
from tzrec.data.samplers.base import SampledRows
from tzrec.data.text_schema import TextSchema
from tzrec.errors import DataError
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.protos.pipeline_pb2 import EasyRecConfig

ALL_COLUMNS = "ALL_COLUMNS"
ALL_EFFECTIVE_COLUMNS = "ALL_EFFECTIVE_COLUMNS"


@dataclass(frozen=True)
class PartBatch:
    """Rows of a part.

    Attributes:
        part: the part.
        batch: the encoded rows; None after the last rows of the part.
        read: number of rows of the input.
        bad: bad values of the rows.
    """

    part: Part
    batch: Batch | None = None
    read: int = 0
    bad: Sequence[BadValue] = ()


class PartLoader:
    """Rows of files without labels, for scoring. Threads read and encode ahead, also across the end of a part.

    Attributes:
        reader: of the columns of the features and of the columns to copy.
        reserved: names of the columns to copy.
    """

    def __init__(
        self,
        config: EasyRecConfig,
        encoder: FeatureEncoder,
        path: str,
        reserved: Sequence[str] = (),
        batch_size: int | None = None,
        exchange: Exchange = ALONE,
        has_folders: bool = False,
    ) -> None:
        """Open the files of `path`: read the metadata, or the first block of text.

        Args:
            config: its data_config describes the files.
            encoder: encodes the features.
            path: comma list of globs.
            reserved: columns to copy to `Batch.reserved`; ALL_COLUMNS stands for all columns, ALL_EFFECTIVE_COLUMNS
                for those that the features read.
            batch_size: rows per batch; default: `eval_batch_size` of the config, or else `batch_size`.
            exchange: the ranks that open these files together; default: this one alone.
            has_folders: the output has the partition folders of the input, so their columns are not copied.

        Raises:
            DataError: no such files, unreadable ones, missing columns, or no rows at all.
        """
        data = config.data_config
        self.batch_size = batch_size or data.eval_batch_size or data.batch_size
        self._threads = min(data.num_workers, env.cpu_share())
        files = open_reader(data, path, [], exchange)
        self.reserved = reserved_names(reserved, files.available, encoder.columns)
        if has_folders:
            in_folders = {key for file in files.files for key, _ in file.partitions}
            self.reserved = [name for name in self.reserved if name not in in_folders]
        self.reader = files.select([*encoder.columns, *self.reserved])
        index_large_files(self.reader, exchange)
        schema = TextSchema.of(data, self.reader, encoder.columns, reserved=self.reserved)
        self._encoder = BatchEncoder(config, encoder, schema, reserved=self.reserved)
        if self.reader.num_rows == 0:
            raise DataError(f"{path}: no rows{self.reader.bad_lines.describe()}")
        if not self.reader.is_text:
            self.null_batch()

    def null_batch(self) -> Batch:
        """Encode a row without values: it fails where a type cannot be read, and shows the types of the output.

        Raises:
            DataError: a feature cannot read the type of its column.
        """
        try:
            return self._encoder.encode_nulls(self.reader.schema)
        except DataError as error:
            raise DataError(f"{self.reader.files[0].name}: {error}") from error

    def split(
        self, num_rows: int | None = None, names: PartNames | None = None, left_out: Collection[str] = ()
    ) -> list[Part]:
        """Split the files, or the first `num_rows` rows of them, into parts; see `split_into_parts`."""
        return split_into_parts(self.reader, num_rows, names or PartNames(), left_out)

    def batches(self, parts: Iterator[Part]) -> Generator[PartBatch, None, None]:
        """Yield the batches of parts in order, and after each part one without rows.

        Args:
            parts: drawn from when their turn comes to be read.

        Raises:
            DataError: bad data under the ERROR policy, or unreadable files.
        """
        queue = PrefetchQueue(self._jobs(parts), self._threads, self._threads + 2)
        try:
            yield from queue
        finally:
            queue.close()

    def _jobs(self, parts: Iterator[Part]) -> Iterator[Callable[[], PartBatch]]:
        for part in parts:
            for piece in part.pieces(self.batch_size):
                yield partial(self._encode, part, piece)
            yield partial(PartBatch, part)

    def _encode(self, part: Part, piece: Piece) -> PartBatch:
        rows = np.arange(piece.first, piece.first + piece.batch.num_rows)
        encoded = self._encoder.encode(SampledRows.unchanged(piece.batch), rows, part.reader.describe)
        return PartBatch(part, encoded.batch, piece.batch.num_rows, encoded.bad)


def reserved_names(names: Sequence[str], all_columns: Sequence[str], effective: Sequence[str]) -> list[str]:
    """Replace ALL_COLUMNS and ALL_EFFECTIVE_COLUMNS by the names that they stand for; each name once."""
    groups = {ALL_COLUMNS: all_columns, ALL_EFFECTIVE_COLUMNS: effective}
    return list(dict.fromkeys(column for name in names for column in groups.get(name, (name,))))
