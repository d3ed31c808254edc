"""DataLoader: Batches from files, in an order that depends neither on the number of ranks nor of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import pyarrow as pa
import torch

from tzrec import env
from tzrec.data.bad_rows import BadRowLog
from tzrec.data.batch import Batch, Cursor, Deal
from tzrec.data.batch_encoder import BatchEncoder, EncodedBatch, null_row
from tzrec.data.batch_jobs import BatchJob, global_batch_jobs
from tzrec.data.cost import cut_by_cost, row_costs
from tzrec.data.exchange import ALONE, Exchange
from tzrec.data.held_out import HeldOutRows
from tzrec.data.identity import DataIdentity
from tzrec.data.job_timer import JobTimer
from tzrec.data.masking import RowMasks, batch_key, masked_positions, masked_rows
from tzrec.data.partition import BatchPartition
from tzrec.data.prefetch import PrefetchQueue, ReadAhead
from tzrec.data.reader import open_reader
from tzrec.data.samplers.base import SampledRows, make_sampler, warn_of_unknown_attributes
from tzrec.data.shuffle import shuffled_windows, unshuffled_windows
from tzrec.data.stream_jobs import StreamJob, stream_jobs
from tzrec.data.streams import continue_deals, num_streams
from tzrec.data.text_schema import TextSchema
from tzrec.errors import DataError
from tzrec.features.arrays import Int64Array
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.log import logger
from tzrec.protos import data_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig

Mode = Literal["train", "eval", "held_out"]

CPU = torch.device("cpu")


@dataclass(frozen=True)
class _EncodedStep:
    """Batches of this rank for the rows of one step of all ranks; several where they are cut by cost.

    Attributes:
        batches: with the position after the step.
        before: position before it.
    """

    batches: list[EncodedBatch]
    before: Cursor


class DataLoader:
    """Iterable batches of one rank, to train on or to evaluate.

    The rows of an epoch are divided into streams, of which each rank reads its own. A step takes batch size x ranks
    rows, equally many from every stream, so that it has the same rows on any number of ranks that divides the number
    of streams. "train" shuffles if the config has `shuffle`, and leaves out the rows of `eval_split`, which "held_out"
    has. An epoch that a version without streams has begun goes on in its order, that of the files, and every rank reads
    all rows. With `batch_cost_size` a rank cuts its rows of a step into several batches.

    Attributes:
        num_rows: rows of an epoch over all ranks; None if it is unknown.
        batch_size: rows of a full batch on this rank.
        device: to which the batches will be copied; the CPU unless it is set.
        timer: time that the threads have spent, on jobs `read` and `encode`.
        bad_rows_path: file for a sample of bad rows, one JSON object per line; None (the default) for no file.
    """

    def __init__(
        self,
        config: EasyRecConfig,
        encoder: FeatureEncoder,
        path: str,
        mode: Mode,
        rank: int = 0,
        world_size: int = 1,
        batch_size: int | None = None,
        seed: int = 1,
        exchange: Exchange = ALONE,
    ) -> None:
        """Open the files of `path`: read the metadata, or find the rows of text.

        Args:
            config: its data_config describes the files.
            encoder: encodes the features.
            path: comma list of globs.
            mode: "train", "eval", or "held_out" to evaluate the rows of the training data that are not trained on.
            rank: this rank.
            world_size: number of ranks.
            batch_size: rows per batch and rank; default: that of the config.
            seed: of the shuffle.
            exchange: the ranks that open these files together, and share the work; default: this one does all of it.

        Raises:
            DataError: no such files, unreadable ones, missing columns, or no rows at all; of text also lines that hold
                no row if the policy is ERROR.
        """
        data = config.data_config
        self._data, self._encoder, self._mode = data, encoder, mode
        self._rank, self._world_size, self._seed = rank, world_size, seed
        self._exchange, self._is_cut = exchange, data.HasField("batch_cost_size")
        self.batch_size = batch_size or _batch_size(data, mode)
        targets = [*data.label_fields, *data.sample_weight_fields]
        self._sampler = make_sampler(data, "train" if mode == "train" else "eval")
        has_split = data.HasField("eval_split") and mode != "eval"
        self._held_out = HeldOutRows(data.eval_split) if has_split else None
        more = [*(self._held_out.columns if self._held_out else ())]
        more += [*(self._sampler.columns if self._sampler else ()), *([data.sample_cost_field] if self._is_cut else ())]
        self._reader = open_reader(data, path, [*encoder.columns, *more, *targets], exchange)
        self._reader.make_index(exchange, env.cpu_share())
        warn_of_unknown_attributes(data, self._reader.available)
        schema = TextSchema.of(data, self._reader, encoder.columns, targets)
        self._batch_encoder = BatchEncoder(config, encoder, schema, targets)
        self._rows = self._reader.num_rows
        self.device = CPU
        self.timer = JobTimer()
        self._log = BadRowLog()
        self._queues: list[PrefetchQueue[_EncodedStep]] = []
        if self._rows == 0:
            raise DataError(f"{path}: no rows{self._reader.bad_lines.describe()}")
        if not self._reader.is_text:
            self._check_types()

    @property
    def num_rows(self) -> int | None:
        return self._rows

    @property
    def table_versions(self) -> dict[str, str]:
        """Tables of a lake that are read, each with the path that names its version."""
        return self._reader.table_versions

    def identity(self) -> DataIdentity:
        """Describe the files, and the settings that determine the order of their rows; reads a sample of each file."""
        return DataIdentity.of(self._reader, self._seed)

    @property
    def bad_value_counts(self) -> dict[tuple[str, str], int]:
        """Number of bad values by (column, reason) in the batches returned so far."""
        counts = dict(self._log.counts)
        if self._rank == 0:  # every rank knows those of all files
            counts |= {("line", reason): count for reason, count in self._reader.bad_lines.counts.items()}
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
        threads, read_ahead = min(self._data.num_workers, env.cpu_share()), ReadAhead(self.timer)
        queue = PrefetchQueue(self._work(start, read_ahead), threads, threads + 2, read_ahead)
        self._queues.append(queue)
        if should_start:
            queue.start()
        return self._batches(queue, start)

    def close(self) -> None:
        """End the epochs that are not exhausted, and join their threads."""
        for queue in self._queues:
            queue.close()
        self._queues.clear()

    def _batches(self, queue: PrefetchQueue[_EncodedStep], start: Cursor) -> Iterator[Batch]:
        is_empty, num_consumed = True, start.part
        try:
            for step in queue:
                for encoded in self._level(step)[num_consumed:]:
                    self._log.add(encoded.bad, self._reader)
                    self._add_bad_lines()
                    is_empty = False
                    yield encoded.batch
                num_consumed = 0
            self._add_bad_lines()  # after the last row
        finally:
            queue.close()
            if queue in self._queues:
                self._queues.remove(queue)
        if is_empty and not start.row:
            raise DataError(
                f"the data has fewer rows than one batch of all ranks ({self.batch_size} x {self._world_size}), and "
                "data_config.drop_remainder skips such a batch; lower data_config.batch_size or provide more data"
                if self._data.drop_remainder
                else "the data has no rows"
            )

    def _check_types(self) -> None:
        """Encode a row without values, before any other: it fails where a type cannot be read.

        Raises:
            DataError: a feature, label or weight cannot read the type of its column.
        """
        try:
            self._batch_encoder.encode_nulls(self._reader.schema)
            if self._sampler:
                self._sampler.sample(null_row(self._reader.schema), 0)
        except DataError as error:
            raise DataError(f"{self._reader.files[0].name}: {error}") from error

    def _add_bad_lines(self) -> None:
        if self._rank == 0:  # each rank has those of all ranks
            self._log.add_lines(self._reader.bad_lines)

    def _level(self, step: _EncodedStep) -> list[EncodedBatch]:
        """Return the batches of a step, as many as on every other rank: the last one is repeated, uncounted."""
        batches = step.batches
        num_batches = max(self._exchange.gather(len(batches))) if self._is_cut else 1
        uncounted = EncodedBatch(replace(batches[-1].batch, rows=0), [])
        batches = [*batches, *[uncounted] * (num_batches - len(batches))]
        cursors = [replace(step.before, part=number) for number in range(1, num_batches)]
        inner = [
            replace(encoded, batch=replace(encoded.batch, cursor=cursor))
            for encoded, cursor in zip(batches, cursors, strict=False)
        ]
        return [*inner, batches[-1]]

    def _work(self, start: Cursor, read_ahead: ReadAhead) -> Iterator[Callable[[], _EncodedStep]]:
        if self._rows is not None and start.row > self._rows:
            raise DataError(
                f"the checkpoint is at row {start.row:,} of this epoch, but the data has only {self._rows:,} rows: "
                "it is not the data that the checkpoint was trained on"
            )
        cursor = replace(start, window=self._window(start), deals=self._deals(start))
        for job in self._jobs(cursor, read_ahead):
            after = cursor.at(job.after)
            yield partial(self.timer.call, "encode", partial(self._encode_step, job, cursor, after))
            cursor = after

    def _window(self, start: Cursor) -> int:
        """Rows of a shuffle window. A resumed epoch keeps its window size when the number of ranks changes."""
        if start.row > 0:
            return start.window
        if self._mode != "train" or not self._data.shuffle:
            return 1
        return max(2, max(1, self._data.shuffle_buffer_size) * self.batch_size * self._world_size)

    def _deals(self, start: Cursor) -> tuple[Deal, ...]:
        """Divisions of the epoch into streams, none where rows are read in the order of the files."""
        if start.row > 0 and not start.deals:
            logger.info(
                "epoch %d goes on from row %d in the order of the older version that wrote the checkpoint: every rank "
                "reads all rows. From the next epoch on, a rank reads only its own streams",
                start.epoch + 1,
                start.row,
            )
            return ()
        streams = num_streams(self._data.num_streams, self._world_size)
        return continue_deals(start.deals, streams, self._world_size, self.batch_size * self._world_size)

    def _jobs(self, cursor: Cursor, read_ahead: ReadAhead) -> Iterator[BatchJob] | Iterator[StreamJob]:
        rank, world_size, is_dropping = self._rank, self._world_size, self._data.drop_remainder
        if cursor.deals:
            return stream_jobs(self._reader, cursor, rank, world_size, self._seed, is_dropping, read_ahead)
        partition = BatchPartition(self.batch_size, rank, world_size, cursor.row)
        if cursor.window > 1:
            windows = shuffled_windows(self._reader, cursor.window, partition, self._seed, cursor.epoch)
        else:
            windows = unshuffled_windows(self._reader, cursor.row)
        return global_batch_jobs(windows, partition, is_dropping)

    def _encode_step(self, job: BatchJob | StreamJob, before: Cursor, after: Cursor) -> _EncodedStep:
        """Gather the rows of a job and encode them, as one batch or as several of limited cost."""
        raw, numbers = job.gather()
        is_counted = job.rows > 0  # a repeated row is counted on the rank that owns it
        if self._held_out:
            is_read = self._held_out.mask(raw, numbers) == (self._mode == "held_out")
            if not is_read.any():  # other ranks wait for the collective operations of this one: one row stays
                is_read, is_counted = np.arange(len(numbers)) == 0, False
            raw, numbers = raw.filter(pa.array(is_read)), numbers[is_read]
        cuts = [(0, raw.num_rows)]
        if self._is_cut:
            name = self._data.sample_cost_field
            cuts = cut_by_cost(row_costs(raw.column(name), name), self._data.batch_cost_size)
        batches = [self._encode(raw.slice(i, j - i), numbers[i:j], is_counted, after) for i, j in cuts]
        return _EncodedStep(batches, before)

    def _encode(self, raw: pa.RecordBatch, numbers: Int64Array, is_counted: bool, cursor: Cursor) -> EncodedBatch:
        """Sample and encode rows; the bad-row policy applies."""
        key = batch_key(numbers, self._seed, cursor.epoch, self._mode)
        rows = self._sampler.sample(raw, key) if self._sampler else SampledRows.unchanged(raw)
        masks = self._masks(rows, numbers, key, cursor)
        numbers = numbers[rows.origin]
        encoded = self._batch_encoder.encode(rows, numbers, self._reader.describe, masks, is_counted)
        return replace(encoded, batch=self._pinned(replace(encoded.batch, cursor=cursor)))

    def _pinned(self, batch: Batch) -> Batch:
        if self.device.type != "cuda" or not self._data.pin_memory:
            return batch
        with torch.cuda.device(self.device):  # this thread would open the first GPU instead
            return batch.pin_memory()

    def _masks(self, rows: SampledRows, numbers: Int64Array, key: int, cursor: Cursor) -> RowMasks | None:
        """Draw the rows whose features with use_mask are emptied; None for no rows."""
        of_rows, of_negatives = self._data.sample_mask_prob, self._data.negative_sample_mask_prob
        if self._mode != "train" or not (of_rows or of_negatives):
            return None
        if rows.is_negative is None:
            masked = masked_rows(numbers, self._seed, cursor.epoch, of_rows)
        else:
            masked = masked_positions(len(rows.origin), key, np.where(rows.is_negative, of_negatives, of_rows))
        num_negatives = rows.appended.num_rows if rows.appended else 0
        return RowMasks(masked, masked_positions(num_negatives, key, of_negatives))


def _batch_size(data: data_pb2.DataConfig, mode: Mode) -> int:
    return data.eval_batch_size if mode != "train" and data.eval_batch_size else data.batch_size
