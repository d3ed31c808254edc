"""Retrieve items from a tree for the users of files: the function behind `tzrec.tools.tdm.retrieval`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.data.parts.loader import reserved_names
from tzrec.data.reader import PIECE_ROWS, Piece, Reader, open_reader
from tzrec.data.text_schema import TextSchema, cast_text, declared_types
from tzrec.data.writer import open_writer
from tzrec.distributed import group
from tzrec.errors import DataError
from tzrec.features.bad_rows import BadRows
from tzrec.log import logger
from tzrec.protos import data_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run.session import Session
from tzrec.serving.beam_search import BeamSearch
from tzrec.serving.output import OutputDirectory

RECALL_IDS = "recall_ids"
"""Column of the items found, the best first."""


@dataclass(frozen=True)
class TreeRetrieval:
    """Retrieval from a tree for all rows of files, which the ranks share.

    Attributes:
        config: of the package; its tdm_sampler names the tables of the tree.
        package_path: exported package with the model that scores nodes.
        input_path: comma list of globs: the users, and the items that they chose if the files have the column.
        output_path: new directory with a file of each rank: copied columns, and `recall_ids`.
        count: k, how many items are found.
        num_children: n, for the level at which the search begins; None for that of the tree.
        reserved_columns: columns to copy; ALL_COLUMNS and ALL_EFFECTIVE_COLUMNS stand for many.
        batch_rows: number of users at a time.
        file_format: "parquet" or "csv"; "" as the input.
    """

    config: EasyRecConfig
    package_path: str
    input_path: str
    output_path: str
    count: int = 200
    num_children: int | None = None
    reserved_columns: Sequence[str] = ()
    batch_rows: int | None = None
    file_format: str = ""

    def run(self) -> float | None:
        """Find and write the items.

        Returns:
            share of the rows whose item was found; None if the files have no column of items.

        Raises:
            UsageError: the output directory is not empty.
            PackageError: there is no package, it is damaged, or its model gives no probabilities.
            DataError: a file cannot be read, or a bad value under the ERROR policy.
            TrainingError: another rank failed.
        """
        output = OutputDirectory(self.output_path)
        output.ensure_unoccupied()
        with Session.load(self.config, package_path=self.package_path, purpose="serving") as session:
            reader = self._open(session)
            search = BeamSearch(session.scorer(), session.encoder, self.config)
            try:
                recall = self._write(session, reader, search, output)
            except BaseException:
                output.discard()
                raise
        text = "" if recall is None else f"  recall@{self.count} {recall:.6f}"
        logger.info("retrieve %s  (level %d first)%s", self.output_path, search.first_layer(self.count), text)
        return recall

    def _open(self, session: Session) -> Reader:
        """Open the files: columns of users, attributes that the files have too, and columns to copy."""
        data, item_id = self.config.data_config, self.config.data_config.tdm_sampler.item_id_field
        files = open_reader(data, self.input_path, [], group.exchange(session.rank_info))
        reserved = reserved_names(self.reserved_columns, files.available, session.encoder.columns)
        attributes = {*data.tdm_sampler.attr_fields, item_id}
        columns = [name for name in session.encoder.columns if name not in attributes or name in files.available]
        labels = [item_id] if item_id in files.available else []
        reader = files.select([*columns, *labels, *reserved])
        if reader.num_rows == 0:
            raise DataError(f"{self.input_path}: no rows")
        return reader

    def _write(self, session: Session, reader: Reader, search: BeamSearch, output: OutputDirectory) -> float | None:
        rank, world_size = session.rank_info.rank, session.rank_info.world_size
        if session.rank_info.is_main:
            output.create()
            output.clear()
        group.barrier()
        reserved = reserved_names(self.reserved_columns, reader.available, session.encoder.columns)
        schema = TextSchema.of(self.config.data_config, reader, search.columns, reserved=reserved)
        num_rows = reader.count() if reader.num_rows is None else reader.num_rows
        start, stop = num_rows * rank // world_size, num_rows * (rank + 1) // world_size
        data, num_hits = self.config.data_config, 0
        batch_rows = min(self.batch_rows or data.eval_batch_size or data.batch_size, PIECE_ROWS)
        with open_writer(str(output.draft), f"part-{rank}", self._format(reader)) as writer:
            for piece in reader.read(start, stop, batch_rows):
                ids = self._retrieved(reader, piece, search, schema)
                copies = cast_text(piece.batch.select(reserved), schema.reserved, BadRows(piece.batch.num_rows))
                writer.write(pa.Table.from_batches([copies]).append_column(RECALL_IDS, ids))
                num_hits += self._hits(piece, ids)
        total = group.total([num_hits, stop - start])
        group.barrier()
        if session.rank_info.is_main:
            output.publish()
        group.barrier()
        return total[0] / total[1] if self._item_id in reader.columns else None

    @property
    def _item_id(self) -> str:
        return self.config.data_config.tdm_sampler.item_id_field

    def _format(self, reader: Reader) -> str:
        return self.file_format or ("csv" if reader.is_text else "parquet")

    def _retrieved(self, reader: Reader, piece: Piece, search: BeamSearch, schema: TextSchema) -> pa.Array:
        """Items of each row of a piece, lists of ids."""
        bad = BadRows(piece.batch.num_rows)
        users = cast_text(piece.batch.select(list(search.columns)), schema.features, bad)
        types = dict(zip(reader.schema.names, reader.schema.types, strict=True))
        types |= declared_types(self.config.data_config)
        items, more = search.search(users, self.count, types, self.num_children)
        reports = [*bad.reports, *more.reports]
        if reports and self.config.data_config.bad_row_policy == data_pb2.ERROR:
            column, reason, rows, values = reports[0]
            row = reader.describe(piece.first + int(rows[0]))
            raise DataError(f'{row}: column "{column}" is {values[0]!r}: {reason}')
        return search.to_table(items, piece.batch.num_rows)["ids"].combine_chunks()

    def _hits(self, piece: Piece, ids: pa.Array) -> int:
        """Number of rows whose item was found."""
        if self._item_id not in piece.batch.schema.names:
            return 0
        owner = pc.list_parent_indices(ids)
        chosen = piece.batch.column(self._item_id).cast(pa.string()).take(owner)
        is_hit = pc.equal(chosen, ids.flatten().cast(pa.string()))
        return len(np.unique(owner.filter(pc.fill_null(is_hit, False)).to_numpy()))
