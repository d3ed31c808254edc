"""Measure the hit rate of retrieval: the function behind `tzrec.tools.hitrate`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec import env
from tzrec.data.reader import PIECE_ROWS, Reader
from tzrec.data.writer import Writer, open_writer
from tzrec.distributed import group
from tzrec.env import RankInfo
from tzrec.errors import DataError, first_line
from tzrec.log import logger
from tzrec.retrieval.hit_rate import HitRate, to_ground_truth
from tzrec.retrieval.index import build_index
from tzrec.retrieval.options import IndexOptions
from tzrec.retrieval.table import describe_rows, open_table
from tzrec.retrieval.vectors import DescribeRow, Floats, to_interests
from tzrec.run.index import ItemSource
from tzrec.serving.output import OutputDirectory


@dataclass(frozen=True)
class UserTable:
    """Requests: vectors of users, and the items that they chose.

    Attributes:
        input_path: comma list of globs.
        request_id_field: column that is copied.
        gt_items_field: column of the items that the user chose.
        embedding_field: column of the vectors.
        num_interests: I, greatest number of vectors of a request.
        num_interests_field: column of the number of vectors that count; "" if all that are not zero count.
        reader: format of the files, one of READERS; None to choose it by the extension.
        batch_rows: number of requests at a time.
    """

    input_path: str
    request_id_field: str
    gt_items_field: str
    embedding_field: str
    num_interests: int = 1
    num_interests_field: str = ""
    reader: str | None = None
    batch_rows: int = 1024

    def open(self) -> Reader:
        """Open the files.

        Raises:
            DataError: the files cannot be read, or lack a column.
        """
        columns = [self.request_id_field, self.gt_items_field, self.embedding_field, self.num_interests_field]
        return open_table(self.input_path, list(filter(None, columns)), self.reader)

    def interests(self, batch: pa.RecordBatch, dimension: int, describe: DescribeRow) -> Floats:
        """Vectors of requests, `(B, I, dimension)`; those that do not count are zero.

        Raises:
            DataError: a column holds something else.
        """
        name, number = self.embedding_field, self.num_interests
        interests = to_interests(batch[name], name, dimension, number, describe)
        if self.num_interests_field:
            counts = _counts(batch[self.num_interests_field], self.num_interests_field, describe)
            interests[np.arange(number) >= counts[:, None]] = 0
        return interests


@dataclass(frozen=True)
class HitRateJob:
    """Measurement of the hit rate of all requests of a table, which the ranks share.

    Attributes:
        items: the items; each rank builds an index of all of them.
        users: the requests.
        options: type of the index.
        count: K, how many items are retrieved.
        is_merged: K items for all interests of a request together, instead of K for each.
        total_path: new directory of a table with one row, `hitrate`; "" for none.
        details_path: new directory of a table with a row per request, a file of each rank; "" for none.
        file_format: "parquet" or "csv".
    """

    items: ItemSource
    users: UserTable
    options: IndexOptions
    count: int
    is_merged: bool = False
    total_path: str = ""
    details_path: str = ""
    file_format: str = "parquet"

    def run(self) -> float | None:
        """Measure, write and log the hit rate.

        Returns:
            hits of all requests over the items of their ground truth; None if no request has any.

        Raises:
            UsageError: an output directory is not empty.
            DataError: a table cannot be read, or there is no request.
            TrainingError: another rank failed.
        """
        flags = {"--total_hitrate_output": self.total_path, "--hitrate_details_output": self.details_path}
        outputs = {flag: OutputDirectory(path, flag) for flag, path in flags.items() if path}
        for output in outputs.values():
            output.ensure_unoccupied()
        rank_info = env.rank_info()
        group.init(rank_info)
        try:
            rate = self._run(outputs, rank_info)
        except BaseException as error:
            for output in outputs.values():
                output.discard()
            lost = group.close(error)
            raise lost or error from error
        group.close()
        return rate

    def _run(self, outputs: Mapping[str, OutputDirectory], rank_info: RankInfo) -> float | None:
        if rank_info.is_main:
            for output in outputs.values():
                output.create()
                output.clear()
        group.barrier()
        total, details = (outputs.get(flag) for flag in ("--total_hitrate_output", "--hitrate_details_output"))
        with ExitStack() as stack:
            writer = stack.enter_context(self._writer(details, rank_info.rank)) if details else None
            num_hits, num_items = group.total(self._count(rank_info, writer))
        rate = num_hits / num_items if num_items else None
        if total and rank_info.is_main:
            with self._writer(total, 0) as writer:
                writer.write(pa.table({"hitrate": pa.array([rate], pa.float64())}))
        group.barrier()
        if rank_info.is_main:
            for output in outputs.values():
                output.publish()
        text = "no request has items in its ground truth" if rate is None else f"{rate:.6f}"
        logger.info("hitrate@%d  %s  (%s of %s items)", self.count, text, f"{num_hits:,.0f}", f"{num_items:,.0f}")
        return rate

    def _count(self, rank_info: RankInfo, writer: Writer | None) -> list[float]:
        """Hits of the requests of this rank, and items of their ground truth; `writer` gets the details."""
        items, _ = self.items.read()
        index, ids = build_index(items.values, self.options), items.ids.cast(pa.large_string())
        measure = HitRate(index, ids, self.count, self.is_merged)
        table = self.users.open()
        num_rows = table.count() if table.num_rows is None else table.num_rows
        if not num_rows:
            raise DataError(f"{self.users.input_path}: the table of requests has no rows")
        rank, world_size = rank_info.rank, rank_info.world_size
        start, stop = num_rows * rank // world_size, num_rows * (rank + 1) // world_size
        num_hits = num_items = 0
        for piece in table.read(start, stop, min(self.users.batch_rows, PIECE_ROWS)):
            describe = describe_rows(table, piece)
            interests = self.users.interests(piece.batch, index.dimension, describe)
            truth = to_ground_truth(piece.batch[self.users.gt_items_field], self.users.gt_items_field, describe)
            hits = measure.measure(interests, truth)
            num_hits, num_items = num_hits + hits.num_hits, num_items + hits.num_items
            if writer:
                writer.write(hits.details.add_column(0, "id", piece.batch[self.users.request_id_field]))
        return [num_hits, num_items]

    def _writer(self, output: OutputDirectory, rank: int) -> Writer:
        return open_writer(str(output.draft), f"part-{rank}", self.file_format)


def _counts(column: pa.Array, name: str, describe: DescribeRow) -> npt.NDArray[np.int64]:
    """Numbers of interests of requests.

    Raises:
        DataError: one is missing or no whole number.
    """
    try:
        counts = column.cast(pa.int64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f'column "{name}" of numbers of interests holds something else: {first_line(error)}') from None
    if counts.null_count:
        row = int(np.flatnonzero(counts.is_null().to_numpy(zero_copy_only=False))[0])
        raise DataError(f'{describe(row)}: column "{name}" has no number of interests; fill it in')
    return counts.to_numpy()
