"""DataLoader: from files to Batches, in an order that depends neither on the number of ranks nor of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from tzrec import env
from tzrec.data.bad_rows import BadRowLog, BadValue, bad_values, left_out, stop, unlike
from tzrec.data.batch import Batch, Cursor
from tzrec.data.collate import collate
from tzrec.data.feed import Job, contiguous, given, shared
from tzrec.data.labels import label_values, weight_values
from tzrec.data.masking import masked_rows
from tzrec.data.partition import BatchPartition
from tzrec.data.prefetch import PrefetchQueue
from tzrec.data.reader import open_reader
from tzrec.data.shuffle import in_order, shuffled
from tzrec.data.text_schema import TextSchema, typed
from tzrec.errors import DataError
from tzrec.features.arrays import BoolArray
from tzrec.features.bad_rows import BadRows
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.protos import data_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig

Mode = Literal["train", "eval", "predict"]

ALL_COLUMNS = "ALL_COLUMNS"
ALL_EFFECTIVE_COLUMNS = "ALL_EFFECTIVE_COLUMNS"


@dataclass(frozen=True)
class _Encoded:
    batch: Batch
    bad: list[BadValue]


class DataLoader:
    """One rank's view of a data set.

    In "train" and "eval", step s of all ranks together takes positions `s * G` to `(s + 1) * G` of the order of the
    pass, where G = batch size x ranks, and rank r the r-th part of them. "train" shuffles if the config says so. In
    "predict" every rank gets one contiguous range of the rows, and no label is read.

    Attributes:
        num_rows: rows of a pass over all ranks; None where only reading tells (CSV).
        batch_size: rows of a full batch on this rank.
        bad_rows_path: where a sample of bad rows goes, one JSON object a line; None (the default) keeps none.
    """

    def __init__(
        self,
        config: EasyRecConfig,
        encoder: FeatureEncoder,
        path: str,
        mode: Mode,
        rank: int = 0,
        world_size: int = 1,
        keep: Sequence[str] = (),
        batch_size: int | None = None,
        seed: int = 1,
    ) -> None:
        """Open the files of `path`; reads metadata and, of text, the first block.

        Args:
            config: its data_config says how to read.
            encoder: turns raw columns into features.
            path: comma list of globs.
            mode: what the batches are for.
            rank: this rank.
            world_size: number of ranks.
            keep: columns to hand through in `Batch.reserved`; ALL_COLUMNS and ALL_EFFECTIVE_COLUMNS stand for many.
            batch_size: rows per batch and rank, instead of what the config says.
            seed: of the shuffle.

        Raises:
            DataError: no such files, unreadable ones, missing columns, or no rows at all.
        """
        data = config.data_config
        self._data, self._encoder, self._mode = data, encoder, mode
        self._rank, self._world_size, self._seed = rank, world_size, seed
        self.batch_size = batch_size or _batch_size(data, mode)
        self._targets = [] if mode == "predict" else [*data.label_fields, *data.sample_weight_fields]
        every = open_reader(data, path).available if ALL_COLUMNS in keep else ()
        self._keep = _kept_names(keep, every, encoder.columns)
        self._reader = open_reader(data, path, [*encoder.columns, *self._targets, *self._keep])
        self._schema = TextSchema.of(data, self._reader, self._targets, self._keep)
        self._rows = self._reader.count() if mode == "predict" else self._reader.num_rows
        self._reader.malformed = 0  # what was met so far was met while looking around, and will be met again
        self._log = BadRowLog()
        self._queues: list[PrefetchQueue[_Encoded]] = []
        if self._rows == 0:
            raise DataError(f"{path}: no rows")

    @property
    def num_rows(self) -> int | None:
        return self._rows

    @property
    def bad(self) -> dict[tuple[str, str], int]:
        """How often each (column, reason) occurred in the batches taken so far."""
        counts = dict(self._log.counts)
        if self._reader.malformed and self._rank == 0:  # every rank reads every line
            counts["line", "wrong number of cells"] = self._reader.malformed
        return counts

    @property
    def bad_rows_path(self) -> str | None:
        return self._log.path

    @bad_rows_path.setter
    def bad_rows_path(self, path: str | None) -> None:
        self._log.path = path

    def epoch(self, cursor: Cursor | None = None, should_start: bool = False) -> Iterator[Batch]:
        """Iterate over the batches of one epoch.

        Args:
            cursor: position to start from; default: the first row of the first epoch.
            should_start: start reading now, not with the first batch.

        Raises:
            DataError: bad data under the ERROR policy, unreadable files, or a cursor beyond the end of the data.
        """
        start = cursor or Cursor()
        queue = PrefetchQueue(self._work(start), self._threads(), self._threads() + 2)
        self._queues.append(queue)
        if should_start:
            queue.start()
        return self._batches(queue, is_whole_epoch=start.row == 0)

    def close(self) -> None:
        """End the epochs that are not exhausted, and join their threads."""
        for queue in self._queues:
            queue.close()
        self._queues.clear()

    def _batches(self, queue: PrefetchQueue[_Encoded], is_whole_epoch: bool) -> Iterator[Batch]:
        is_empty = True
        try:
            for encoded in queue:
                self._log.add(encoded.bad, self._reader)
                is_empty = False
                yield encoded.batch
        finally:
            queue.close()
            if queue in self._queues:
                self._queues.remove(queue)
        if is_empty and is_whole_epoch:
            raise DataError(
                f"the data has fewer rows than one batch of all ranks ({self.batch_size} x {self._world_size}), and "
                "data_config.drop_remainder leaves such a batch out; lower data_config.batch_size or give more data"
                if self._data.drop_remainder and self._mode != "predict"
                else "the data has no rows"
            )

    def _threads(self) -> int:
        """Encoding threads: what the user asks for, no more than this rank's share of the cores."""
        share = max(1, env.cores() // env.rank_info().local_world_size)
        return min(self._data.num_workers, share)

    def _work(self, start: Cursor) -> Iterator[Callable[[], _Encoded]]:
        cursor = replace(start, window=self._window(start))
        if self._rows is not None and start.row > self._rows:
            raise DataError(
                f"the checkpoint has consumed {start.row:,} rows of this pass, but the data has only {self._rows:,}: "
                "it is not the data that the checkpoint was trained on"
            )
        for job in self._jobs(cursor):
            yield partial(self._encode, job, replace(cursor, row=job.step.after))

    def _window(self, start: Cursor) -> int:
        """Rows of a shuffle window. A pass that has begun keeps its own, whatever the number of ranks is now."""
        if start.row > 0:
            return start.window
        if self._mode != "train" or not self._data.shuffle:
            return 1
        return max(1, self._data.shuffle_buffer_size) * self.batch_size * self._world_size

    def _jobs(self, cursor: Cursor) -> Iterator[Job]:
        if self._mode == "predict":
            assert self._rows is not None
            steps = contiguous(self._rows, self.batch_size, self._rank, self._world_size)
            return given(in_order(self._reader, steps[0].begin), steps)
        share = BatchPartition(self.batch_size, self._rank, self._world_size, cursor.row)
        if cursor.window > 1:
            windows = shuffled(self._reader, cursor.window, share, self._seed, cursor.epoch)
        else:
            windows = in_order(self._reader, cursor.row)
        return shared(windows, share, self._data.drop_remainder)

    def _encode(self, job: Job, cursor: Cursor) -> _Encoded:
        """Gather the rows of a job and turn them into a Batch, as the bad-row policy says."""
        raw, numbers = job.gather()
        features, targets = BadRows(raw.num_rows), BadRows(raw.num_rows)
        batch = self._batch(raw, self._masked(numbers, cursor), features, targets)
        counts = job.step.rows > 0  # a repeated row is the business of the rank whose row it is
        found = bad_values(features, numbers) + bad_values(targets, numbers) if counts else []
        if found and self._data.bad_row_policy == data_pb2.ERROR:
            raise stop(found, self._reader.describe)
        out = left_out(features, targets, self._data.bad_row_policy)
        if out.any():
            # a rank must not come out empty: its collective operations are awaited, so one row stays and does not count
            counts = counts and not out.all()
            stays = ~out if counts else np.arange(raw.num_rows) == 0
            raw, numbers = raw.filter(pa.array(stays)), numbers[stays]
            masked = self._masked(numbers, cursor)
            batch = self._batch(raw, masked, BadRows(raw.num_rows), BadRows(raw.num_rows))
        kept = self._kept(raw, numbers) if self._keep else None
        return _Encoded(replace(batch, rows=raw.num_rows if counts else 0, reserved=kept, cursor=cursor), found)

    def _masked(self, numbers: npt.NDArray[np.int64], cursor: Cursor) -> BoolArray | None:
        """Rows whose features with use_mask are emptied, `(B,)`, None where none are."""
        probability = self._data.sample_mask_prob if self._mode == "train" else 0.0
        return masked_rows(numbers, self._seed, cursor.epoch, probability) if probability else None

    def _batch(self, raw: pa.RecordBatch, masked: BoolArray | None, features: BadRows, targets: BadRows) -> Batch:
        columns, found = self._encoder.encode(typed(raw, self._schema.features, features), masked)
        for report in found.reports:
            features.report(*report)
        meant = typed(raw.select(self._targets), self._schema.targets, targets)
        return replace(
            collate(columns, raw.num_rows),
            labels=_tensors(meant, self._data.label_fields, label_values, targets),
            weights=_tensors(meant, self._data.sample_weight_fields, weight_values, targets),
        )

    def _kept(self, raw: pa.RecordBatch, numbers: npt.NDArray[np.int64]) -> pa.Table:
        refused = BadRows(raw.num_rows)
        kept = typed(raw.select(self._keep), self._schema.kept, refused)
        if refused:
            raise unlike(bad_values(refused, numbers)[0], self._reader.describe)
        return pa.Table.from_batches([kept])


def _batch_size(data: data_pb2.DataConfig, mode: Mode) -> int:
    return data.eval_batch_size if mode != "train" and data.eval_batch_size else data.batch_size


def _kept_names(keep: Sequence[str], every: Sequence[str], effective: Sequence[str]) -> list[str]:
    groups = {ALL_COLUMNS: every, ALL_EFFECTIVE_COLUMNS: effective}
    return list(dict.fromkeys(column for name in keep for column in groups.get(name, (name,))))


def _tensors(
    batch: pa.RecordBatch,
    names: Sequence[str],
    convert: Callable[[str, pa.Array, BadRows], npt.NDArray[Any]],
    bad: BadRows,
) -> dict[str, torch.Tensor]:
    """Convert the columns that are there: none of them is in predict mode."""
    present = [name for name in names if name in batch.schema.names]
    return {name: torch.from_numpy(convert(name, batch.column(name), bad)) for name in present}
