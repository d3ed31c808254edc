"""PartScorer: score parts of a data set, each into a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain, groupby

import pyarrow as pa
import torch

from tzrec.data.batch import Batch
from tzrec.data.parts.counter import RowCounter
from tzrec.data.parts.loader import PartBatch, PartLoader
from tzrec.data.parts.part import Part, PartResult
from tzrec.data.writer import open_writer
from tzrec.serving.output import OutputColumns
from tzrec.serving.predictor import Scorer


class PartScorer:
    """Writer of the scores of parts.

    Args:
        scorer: the model.
        loader: of the rows.
        columns: of the output.
        directory: of the files.
        file_format: "parquet" or "csv".
        advance: called after each batch with the number of its rows.

    Attributes:
        num_rows: rows written so far.
    """

    def __init__(
        self,
        scorer: Scorer,
        loader: PartLoader,
        columns: OutputColumns,
        directory: str,
        file_format: str,
        advance: Callable[[int], None],
    ) -> None:
        self._scorer, self._loader, self._columns = scorer, loader, columns
        self._directory, self._file_format, self._advance = directory, file_format, advance
        self.num_rows = 0

    def write_parts(self, parts: Iterator[Part]) -> Iterator[tuple[Part, PartResult]]:
        """Score parts, and yield each with its result when its file is complete.

        Raises:
            DataError: the input cannot be read, or a bad value under the ERROR policy.
            UsageError: a column of the output does not exist, or exists twice.
        """
        with closing(self._loader.batches(parts)) as batches:
            for _, part_batches in groupby(batches, key=lambda batch: batch.part.number):
                yield self._write_part(part_batches)

    def _write_part(self, batches: Iterator[PartBatch]) -> tuple[Part, PartResult]:
        first = next(batches)  # each part has at least the batch that ends it
        counter, is_empty = RowCounter(first.part), True
        folder, _, name = first.part.name.rpartition("/")
        directory = f"{self._directory}/{folder}" if folder else self._directory
        with open_writer(directory, name, self._file_format, is_synced=True) as writer:
            for item in chain([first], batches):
                num_rows = item.batch.rows if item.batch else 0
                counter.add(item.read, num_rows, item.bad)
                if item.batch and num_rows:
                    writer.write(self._scored(item.batch))
                    is_empty = False
                    self.num_rows += num_rows
                    self._advance(num_rows)
            if is_empty:
                writer.write(self._scored(self._loader.null_batch()).slice(0, 0))
        return first.part, counter.result()

    def _scored(self, batch: Batch) -> pa.Table:
        with torch.inference_mode():
            outputs = self._scorer.predict(self._scorer.signature.from_batch(batch))
        return self._columns.table(outputs, batch)
