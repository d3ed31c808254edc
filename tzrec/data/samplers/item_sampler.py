"""ItemSampler: negatives from a table of items, shared by the rows of a batch, and hard negatives of each row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import torch

from tzrec.data.batch import SampledNegatives
from tzrec.data.samplers.attributes import SEPARATOR, convert_attributes
from tzrec.data.samplers.base import AppendedRows, SampledRows, Sampler, Stage
from tzrec.data.samplers.edge_table import EdgeTable
from tzrec.data.samplers.node_table import NodeTable
from tzrec.data.samplers.proposal import Proposal
from tzrec.features.arrays import Int32Array, Int64Array
from tzrec.features.bad_rows import BadRows
from tzrec.protos import data_pb2
from tzrec.protos.data_pb2 import DataConfig


class ItemSampler(Sampler):
    """Sampler of the items of a table.

    The items of the batch are not drawn, and with positive edges neither are those of the users of the batch. All rows
    share the M simple negatives. With hard edges each row also has the first items to which the edges of its user lead.

    Attributes:
        nodes: the items.
        num_sampled: M.
    """

    def __init__(
        self, config: Any, data: DataConfig, stage: Stage, path: str, edges: str = "", hard_edges: str = ""
    ) -> None:
        """Open the tables.

        Args:
            config: message of the sampler.
            data: the data_config.
            stage: in evaluation, num_eval_sample is in force.
            path: of the items.
            edges: path of the positive edges; "" for none.
            hard_edges: path of the hard edges; "" for none.

        Raises:
            DataError: a table cannot be read.
        """
        self.nodes = NodeTable.open(path, config.attr_fields, config.attr_delimiter, config.field_delimiter)
        self._positive = EdgeTable.open(edges, self.nodes, config.field_delimiter) if edges else None
        self._hard = EdgeTable.open(hard_edges, self.nodes, config.field_delimiter) if hard_edges else None
        self._proposal = Proposal(self.nodes, self._positive, is_uniform=bool(getattr(config, "is_uniform", False)))
        self.num_sampled = (config.num_eval_sample if stage == "eval" else 0) or config.num_sample
        self._num_hard = int(getattr(config, "num_hard_sample", 0))
        self._item_id, self._user_id = config.item_id_field, str(getattr(config, "user_id_field", ""))
        self._separator = data.fg_encoded_multival_sep if data.fg_mode == data_pb2.FG_NONE else SEPARATOR
        self.columns = tuple(name for name in (self._item_id, self._user_id) if name)

    def sample(self, raw: pa.RecordBatch, key: int) -> SampledRows:
        bad = BadRows(raw.num_rows)
        keys, rows = self.nodes.find_column(raw.column(self._item_id), self._item_id, bad)
        excluded = [rows]
        if self._positive is not None:
            users = self._positive.find_column(raw.column(self._user_id), self._user_id, bad)
            excluded.append(self._positive.neighbours(users)[1].astype(np.int64))
        drawn, log_probability = self._proposal.draw(self.num_sampled, key, np.concatenate(excluded))
        hard_index, hard = self._hard_rows(raw, bad)
        sampled = np.concatenate([drawn, hard])
        negatives = SampledNegatives(
            num_sampled=len(drawn),
            hard_index=torch.from_numpy(hard_index),
            log_probability=torch.from_numpy(log_probability),
            positive_ids=torch.from_numpy(np.array(keys)),
            sampled_ids=torch.from_numpy(self.nodes.keys[sampled]),
        )
        bad_attributes = BadRows(len(sampled))
        types = {name: raw.schema.field(name).type for name in self.nodes.fields if name in raw.schema.names}
        columns = convert_attributes(self.nodes.attributes(sampled), types, self._separator, bad_attributes)
        appended = AppendedRows(columns, self.nodes, sampled, bad_attributes, negatives)
        return SampledRows(raw, np.arange(raw.num_rows), bad, appended)

    def _hard_rows(self, raw: pa.RecordBatch, bad: BadRows) -> tuple[Int64Array, Int32Array]:
        """Return query row and slot of each hard negative `(H, 2)`, and its row in the table `(H,)`."""
        if self._hard is None:
            return np.empty((0, 2), np.int64), np.empty(0, np.int32)
        users = self._hard.find_column(raw.column(self._user_id), self._user_id, bad)
        offsets, targets = self._hard.neighbours(users, self._num_hard)
        counts = np.diff(offsets)
        row = np.repeat(np.arange(raw.num_rows), counts)
        return np.stack([row, np.arange(len(targets)) - offsets[row]], axis=1), targets
