"""BeamSearch: the items of a tree to which a model gives the highest probabilities, found level by level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch

from tzrec.data.samplers.attributes import SEPARATOR, convert_attributes
from tzrec.data.tree.codes import depth_of
from tzrec.data.tree.tables import TreeEdges, TreeNodes
from tzrec.errors import DataError, PackageError
from tzrec.features.arrays import Float32Array, Int64Array
from tzrec.features.bad_rows import BadRows
from tzrec.features.column import Column
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.features.pair_encoder import PairEncoder
from tzrec.protos import data_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.serving.predictor import Scorer

_PAIRS = 16384
"""Pairs of a user and a node that are scored at a time."""
_PROBABILITIES = ("probs1", "probs")
"""Outputs with the probability of a node, the first that a model has."""


@dataclass(frozen=True)
class FoundItems:
    """Items found for U users, those of each user from the best one on.

    Attributes:
        users: row of the user of each, `(F,)`.
        nodes: its row in the table of nodes, `(F,)`.
        scores: its probability, `(F,)`.
    """

    users: Int64Array
    nodes: Int64Array
    scores: Float32Array


class BeamSearch:
    """Beam search over the tree of a config with a tdm_sampler (Zhu et al., KDD 2018, section 3.2 and algorithm 1).

    The search for k items begins at the first level with at least 2 n k nodes, where n is the number of children of a
    node, or at the last level of a smaller tree. On each level it keeps the 2 k nodes with the highest probabilities,
    and goes on with their children. Equal nodes are scored once, and of equal scores the one found first is kept.

    Attributes:
        nodes: the nodes.
        columns: raw columns of users that the model reads.
        item_columns: raw columns that are attributes of nodes.

    Args:
        scorer: the model.
        encoder: the features of its config.
        config: its config, which names the tables of the tree.

    Raises:
        DataError: a table cannot be read.
        PackageError: the model has no output with a probability.
    """

    def __init__(self, scorer: Scorer, encoder: FeatureEncoder, config: EasyRecConfig) -> None:
        sampler = config.data_config.tdm_sampler
        self._scorer, features = scorer, scorer.signature.features
        self.nodes = TreeNodes(sampler)
        self._edges = TreeEdges(sampler, self.nodes.table)
        self._pairs = PairEncoder(encoder.select_features(features), self.nodes.table.fields)
        self.columns, self.item_columns = self._pairs.user_columns, self._pairs.item_columns
        is_encoded = config.data_config.fg_mode == data_pb2.FG_NONE
        self._separator = config.data_config.fg_encoded_multival_sep if is_encoded else SEPARATOR

    def first_layer(self, k: int, n: int | None = None) -> int:
        """Return the level at which a search for k items begins.

        Args:
            k: number of items.
            n: children of a node; default: the largest number of any node.
        """
        return min(depth_of(2 * (n or self._edges.num_children) * k, n or self._edges.num_children), self._last_level)

    @property
    def _last_level(self) -> int:
        return self.nodes.num_levels - 1

    def search(
        self, users: pa.RecordBatch, k: int, types: Mapping[str, pa.DataType], n: int | None = None
    ) -> tuple[FoundItems, BadRows]:
        """Find the k items with the highest probabilities for each user, fewer in a tree with fewer.

        Args:
            users: raw columns of U users, at least `columns`.
            k: number of items.
            types: types that the attributes of nodes have as raw columns; text for others.
            n: children of a node, for the level at which the search begins; default: that of the tree.

        Returns:
            the items, and the bad values of users.

        Raises:
            DataError: a column is missing or has a type that a feature cannot read.
        """
        encoded, bad = self._pairs.encode_users(users)
        columns = {name: types.get(name, pa.string()) for name in self.item_columns}
        nodes = self._edges.start
        for _ in range(self.first_layer(k, n)):
            nodes = np.unique(self._descended(nodes)[1])
        owners = np.repeat(np.arange(users.num_rows), len(nodes))
        nodes = np.tile(nodes, users.num_rows)
        scores = self._scores(users, encoded, columns, owners, nodes)
        while not self._edges.is_leaf(nodes).all():
            best = _best(owners, scores, 2 * k)
            parents, nodes = self._descended(nodes[best])
            owners = owners[best][parents]
            first = _first_of_pairs(owners, nodes, len(self.nodes.table))
            owners, nodes = owners[first], nodes[first]
            scores = self._scores(users, encoded, columns, owners, nodes)
        best = _best(owners, scores, k)
        return FoundItems(owners[best], nodes[best], scores[best]), bad

    def to_table(self, items: FoundItems, num_users: int) -> pa.Table:
        """Build a table with a row per user: `ids` and `scores`, lists with the best item first."""
        ends = np.searchsorted(items.users, np.arange(num_users + 1)).astype(np.int32)
        ids = pa.ListArray.from_arrays(pa.array(ends), self.nodes.table.id_texts(items.nodes))
        return pa.table({"ids": ids, "scores": pa.ListArray.from_arrays(pa.array(ends), pa.array(items.scores))})

    def _descended(self, nodes: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Children of nodes, and the leaves among the nodes: the index of the parent or leaf, and the row of each."""
        parents, children = self._edges.children(nodes)
        leaves = np.flatnonzero(self._edges.is_leaf(nodes))
        order = np.argsort(np.concatenate([parents, leaves]), kind="stable")
        return np.concatenate([parents, leaves])[order], np.concatenate([children, nodes[leaves]])[order]

    def _scores(
        self,
        users: pa.RecordBatch,
        encoded: Mapping[str, Column],
        types: Mapping[str, pa.DataType],
        owners: Int64Array,
        nodes: Int64Array,
    ) -> Float32Array:
        """Probability of each pair of a user and a node, `(F,)`."""
        parts = [np.empty(0, np.float32)]
        for start in range(0, len(nodes), _PAIRS):
            distinct, item_rows = np.unique(nodes[start : start + _PAIRS], return_inverse=True)
            user_rows = owners[start : start + _PAIRS]
            items = self._attributes(distinct, types)
            columns = self._pairs.encode_pairs(users, encoded, items, user_rows, item_rows)
            with torch.inference_mode():
                outputs = self._scorer.predict(self._scorer.signature.from_columns(columns, len(user_rows)))
            parts.append(_probabilities(outputs))
        return np.concatenate(parts)

    def _attributes(self, rows: Int64Array, types: Mapping[str, pa.DataType]) -> pa.RecordBatch:
        """Raw columns of nodes."""
        texts, bad = self.nodes.table.attributes(rows), BadRows(len(rows))
        attributes = convert_attributes(texts, types, self._separator, bad)
        if bad:
            column, reason, positions, values = bad.reports[0]
            name = self.nodes.table.id_texts(rows[positions[:1]])[0]
            raise DataError(f'{self.nodes.table.name}: attribute "{column}" of node {name} is {values[0]!r}: {reason}')
        return attributes


def _probabilities(outputs: Mapping[str, torch.Tensor]) -> Float32Array:
    name = next((name for name in _PROBABILITIES if name in outputs and outputs[name].ndim == 1), None)
    if name is None:
        raise PackageError(
            f"the model has the outputs {', '.join(sorted(outputs))}, and none with the probability of a node; train "
            "it with binary_cross_entropy, or with softmax_cross_entropy and num_class 2"
        )
    return outputs[name].float().numpy()  # type: ignore[no-any-return]


def _best(owners: Int64Array, scores: Float32Array, count: int) -> Int64Array:
    """Positions of the best `count` nodes of each owner, the best first; of equal ones the first."""
    order = np.lexsort((-scores, owners))
    starts = np.searchsorted(owners[order], owners[order])
    return order[np.arange(len(order)) - starts < count]


def _first_of_pairs(owners: Int64Array, nodes: Int64Array, num_nodes: int) -> Int64Array:
    """Positions of the pairs of owner and node that no earlier position has."""
    return np.sort(np.unique(owners * num_nodes + nodes, return_index=True)[1])
