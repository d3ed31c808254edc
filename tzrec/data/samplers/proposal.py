"""Proposal: distribution from which negatives are drawn, and draws without some rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tzrec.data.samplers.edge_table import EdgeTable
from tzrec.data.samplers.node_table import NodeTable
from tzrec.data.samplers.table_cache import cached_table
from tzrec.errors import DataError
from tzrec.features.arrays import Float32Array, Int32Array, Int64Array

_NUM_TRIES = 32
"""Tries of a draw before the rows that are left are listed: half of the weight may be excluded at no great cost."""
_MASK = (1 << 64) - 1


class Proposal:
    """Distribution of negatives over the nodes of a table.

    Attributes:
        weights: float64 `(N,)`, 0 for a node that is never drawn.
        total: their sum.
    """

    def __init__(self, nodes: NodeTable, edges: EdgeTable | None = None, is_uniform: bool = False) -> None:
        """
        Args:
            nodes: the nodes with their weights.
            edges: only their targets are drawn; None for all nodes.
            is_uniform: draw all with the same probability, instead of by weight.

        Raises:
            DataError: there is no node with a positive weight.
        """
        weights = np.asarray(np.where(nodes.weights > 0, 1.0, 0.0) if is_uniform else nodes.weights)
        if edges is not None:
            is_target = np.zeros(len(nodes), np.bool_)
            is_target[edges.targets] = True
            weights = np.where(is_target, weights, 0.0)
        self.weights = weights
        self.total = float(weights.sum())
        if not 0 < self.total < np.inf:
            which = "" if edges is None else " among the targets of the positive edges"
            raise DataError(
                f"{nodes.name}: the weights of the items{which} have the sum {self.total:g}; give at least one item a "
                "positive weight"
            )
        identity = ["alias", nodes.digest, None if edges is None else edges.digest, is_uniform]
        table = cached_table(identity, f"alias table of {nodes.name}", self._convert)
        self._probability: npt.NDArray[np.float64] = table.array("probability", np.float64)
        self._alias: Int32Array = table.array("alias", np.int32)

    def _convert(self, directory: Path) -> dict[str, Any]:
        from tzrec.data.samplers import kernels

        probability, alias = kernels.build_alias(self.weights)
        probability.tofile(directory / "probability")
        alias.tofile(directory / "alias")
        return {}

    def draw(self, count: int, key: int, excluded: Int64Array) -> tuple[Int64Array, Float32Array]:
        """Draw rows with replacement, none of the excluded ones unless no other has a weight.

        Args:
            count: M, number of draws.
            key: 64-bit seed.
            excluded: rows, in any number and order; negative ones stand for none.

        Returns:
            rows `(M,)`, and the logarithm of the probability of each of them in one draw `(M,)`.
        """
        from tzrec.data.samplers import kernels

        bits = np.zeros(len(self.weights) // 8 + 1, np.uint8)
        left = self.total - kernels.exclude(excluded, self.weights, bits)
        rows = kernels.draw(self._probability, self._alias, bits, count, np.uint64(key), _NUM_TRIES)
        missing = np.flatnonzero(rows < 0)
        if len(missing):
            is_excluded = np.unpackbits(bits, count=len(self.weights), bitorder="little")
            ends = np.cumsum(np.where(is_excluded, 0.0, self.weights))
            left = float(ends[-1])
            if not left > 0:
                return self.draw(count, key, np.empty(0, np.int64))
            rows[missing] = self._draw_slowly(ends, missing, key)
        return rows, np.log(self.weights[rows] / left).astype(np.float32)

    @staticmethod
    def _draw_slowly(ends: npt.NDArray[np.float64], draws: Int64Array, key: int) -> Int64Array:
        """Draw by the cumulated weights of the rows that are left; draw i depends on the seed and on i alone."""
        from tzrec.data.samplers import kernels

        numbers = np.array([kernels.uniform(kernels.mix(~key & _MASK ^ kernels.mix(i))) for i in draws.tolist()])
        return np.searchsorted(ends, numbers * ends[-1], side="right")
