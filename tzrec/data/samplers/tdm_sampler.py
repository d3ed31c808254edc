"""TDMSampler: ancestors of the items of a batch in a tree, and negatives on every level of it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tzrec.data.label_values import LabelValues
from tzrec.data.samplers.attributes import SEPARATOR, convert_attributes, readable_type
from tzrec.data.samplers.base import SampledRows, Sampler, Stage
from tzrec.data.samplers.edge_table import EdgeTable
from tzrec.data.tree.draws import LevelProposal
from tzrec.data.tree.tables import TreeNodes
from tzrec.errors import ConfigError, DataError, Problem
from tzrec.features.arrays import Int64Array
from tzrec.features.bad_rows import BadRows
from tzrec.protos import data_pb2, sampler_pb2
from tzrec.protos.data_pb2 import DataConfig

_FIELD = "data_config.tdm_sampler.layer_num_sample"
NO_LEAF = "not an item of the tree"
"""Reason of a bad id."""


class TDMSampler(Sampler):
    """Sampler of the nodes of a tree (Zhu et al., KDD 2018, section 3.2).

    A row becomes several: itself, a positive for each ancestor of its item below the root, and negatives of the levels
    of these ancestors and of the leaves. The rows of a batch come first, then all positives, then all negatives. The
    columns of the item have the attributes of the nodes, and labels are 1 and 0; all other columns are repeated.
    """

    def __init__(self, config: sampler_pb2.TDMSampler, data: DataConfig, stage: Stage) -> None:
        self.tree = TreeNodes(config)
        self._edges = EdgeTable.open(config.edge_input_path, self.tree.table, config.field_delimiter)
        self._counts = list(config.layer_num_sample)
        _check_counts(self._counts, self.tree)
        self._proposals = {
            level: LevelProposal(np.asarray(self.tree.table.weights)[self.tree.rows(level)])
            for level, count in enumerate(self._counts)
            if count
        }
        self._kept_levels = _LevelDrop(config, self.tree.num_levels - 1) if stage == "train" else None
        self._item_id, self._labels = config.item_id_field, list(data.label_fields)
        self._label_values = LabelValues(data)
        self._separator = data.fg_encoded_multival_sep if data.fg_mode == data_pb2.FG_NONE else SEPARATOR
        self.columns = (self._item_id,)

    def sample(self, raw: pa.RecordBatch, key: int) -> SampledRows:
        rng = np.random.default_rng(key)
        bad = BadRows(raw.num_rows)
        ids, leaf_level = raw.column(self._item_id), self.tree.num_levels - 1
        keys, leaves = self.tree.table.find_column(ids, self._item_id, bad)
        is_leaf = (leaves >= 0) & (self.tree.levels[leaves] == leaf_level)
        is_leaf &= ids.is_valid().to_numpy(zero_copy_only=False)
        bad.report_array(self._item_id, NO_LEAF, np.flatnonzero(~is_leaf & ~bad.mask), ids)
        rows = np.flatnonzero(is_leaf)  # (Q,) rows with a place in the tree
        levels = self._kept_levels.draw(rng) if self._kept_levels else np.arange(1, leaf_level)
        path = self._path(np.asarray(keys)[rows], leaves[rows])  # (Q, levels)
        negatives = [self._negatives(rng, level, path[:, level]) for level in [*levels.tolist(), leaf_level]]
        num_positives, drawn = len(levels), np.concatenate(negatives, axis=1)  # (Q, M)
        positives = path[:, levels].ravel()
        has_node = positives >= 0
        origin = np.concatenate(
            [
                np.arange(raw.num_rows),
                np.repeat(rows, num_positives)[has_node],
                np.repeat(rows, drawn.shape[1]),
            ]
        )
        nodes = np.concatenate([positives[has_node], drawn.ravel()])
        is_negative = np.arange(len(origin)) >= len(origin) - drawn.size
        return self._expanded(raw, origin, nodes, is_negative, bad)

    def _path(self, keys: Int64Array, leaves: Int64Array) -> Int64Array:
        """Row of the node of each level above and including some leaves, `(Q, levels)`; -1 for one without an edge."""
        offsets, ancestors = self._edges.neighbours(self._edges.find(keys))
        path = np.full((len(leaves), self.tree.num_levels), -1, dtype=np.int64)
        path[np.repeat(np.arange(len(leaves)), np.diff(offsets)), self.tree.levels[ancestors]] = ancestors
        path[:, -1] = leaves
        return path

    def _negatives(self, rng: np.random.Generator, level: int, positives: Int64Array) -> Int64Array:
        """Rows of the negatives of a level `(Q, S)`."""
        if level not in self._proposals:
            return np.empty((len(positives), 0), dtype=np.int64)
        positions = np.where(positives >= 0, self.tree.positions(positives), -1)
        drawn = self._proposals[level].draw(rng, positions, self._counts[level])
        return self.tree.rows(level)[drawn]

    def _expanded(
        self, raw: pa.RecordBatch, origin: Int64Array, nodes: Int64Array, is_negative: np.ndarray, bad: BadRows
    ) -> SampledRows:
        """Build the rows of a batch and those of nodes below them."""
        num_rows = raw.num_rows
        types = {name: raw.schema.field(name).type for name in self.tree.table.fields if name in raw.schema.names}
        of_nodes = BadRows(len(nodes))
        attributes = convert_attributes(self.tree.table.attributes(nodes), types, self._separator, of_nodes)
        all_bad = BadRows(len(origin))
        for column, reason, rows, values in bad.reports:
            all_bad.report(column, reason, rows, values)
        for column, reason, rows, values in of_nodes.reports:
            all_bad.report(column, reason, rows + num_rows, values)
        expanded = raw.take(pa.array(origin))
        labels = pa.array((~is_negative[num_rows:]).astype(np.int64))
        for index, name in enumerate(raw.schema.names):
            column = raw.column(index)
            if name in types:
                below = attributes.column(name)
            elif name in self._labels:
                below = _label(self._label_values.to_column(name, labels), column.type, name)
            else:
                continue
            joined = pa.concat_arrays([column.cast(below.type), below])
            expanded = expanded.set_column(index, name, joined)
        return SampledRows(expanded, origin, all_bad, is_negative=is_negative)


class _LevelDrop:
    """Draws of the levels that a batch uses, without the root and the leaves.

    Args:
        config: with `remain_ratio` and `probability_type`.
        leaf_level: number of the last level.
    """

    def __init__(self, config: sampler_pb2.TDMSampler, leaf_level: int) -> None:
        self._levels = np.arange(1, leaf_level)
        self._count = round(config.remain_ratio * len(self._levels))
        weights = {
            "UNIFORM": np.ones(len(self._levels)),
            "ARITHMETIC": self._levels.astype(np.float64),
            "RECIPROCAL": 1.0 / (leaf_level - self._levels),
        }[config.probability_type.upper()]
        self._probabilities = weights / weights.sum() if len(weights) else weights

    def draw(self, rng: np.random.Generator) -> Int64Array:
        """Draw the levels in increasing order."""
        if self._count == len(self._levels):
            return self._levels
        return np.sort(rng.choice(self._levels, self._count, replace=False, p=self._probabilities))


def _label(labels: pa.Array, kind: pa.DataType, name: str) -> pa.Array:
    kind = readable_type(kind)
    try:
        return labels.cast(kind)
    except pa.ArrowException:
        raise DataError(
            f'label column "{name}" is {kind}; the sampler of TDM adds rows with the labels 0 and 1, which are numbers'
        ) from None


def _check_counts(counts: list[int], tree: TreeNodes) -> None:
    """Compare layer_num_sample with the levels of the tree.

    Raises:
        ConfigError: it has another number of levels.
    """
    if len(counts) != tree.num_levels:
        message = (
            f"has {len(counts)} numbers, but the tree of {tree.table.name} has {tree.num_levels} levels; give the "
            "number of negatives of each level, that of the root first, which is 0"
        )
        raise ConfigError([Problem(_FIELD, message)])
