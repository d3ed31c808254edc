"""Bins of a feature's encoded values, their counts in training, and the population stability index of others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tzrec.features.arrays import Int64Array

Counts = npt.NDArray[np.int64]
Values = npt.NDArray[Any]

MAX_ROWS = 256
"""Rows of a batch or of a request that are looked at, the first ones."""
MAX_VALUES = 1024
"""Values of a feature in these rows that are looked at."""

NUM_HASHES = 8
_SHARES = np.arange(1, 10) / 10
_MAX_IDS, _LEAST_SHARE = 16, 0.01
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class FeatureBins:
    """Division of the values of a feature into bins, which the training data fills about equally.

    Numbers fall between edges, the deciles of the training data; a number that several deciles are equal to has a bin
    of its own. A frequent id has a bin of its own, and the others share 8 bins by a hash. The last bin counts the rows
    that have no value at all.

    Attributes:
        edges: of the numbers, ascending, float32 `(E,)`; None for ids.
        ids: the frequent ids, ascending, int64 `(K,)`; None for numbers.
    """

    edges: npt.NDArray[np.float32] | None = None
    ids: Int64Array | None = None

    @classmethod
    def fit(cls, values: npt.NDArray[Any]) -> FeatureBins:
        """Choose the bins for values `(N,)` of the training data: ids if they are int64, else numbers in float32."""
        if values.dtype.kind == "i":
            ids, counts = np.unique(values, return_counts=True)
            order = np.argsort(-counts, kind="stable")[:_MAX_IDS]
            return cls(ids=np.sort(ids[order][counts[order] >= _LEAST_SHARE * len(values)]))
        values = values[np.isfinite(values)]
        if not len(values):
            return cls(edges=np.empty(0, np.float32))
        deciles, counts = np.unique(np.quantile(values, _SHARES, method="inverted_cdf"), return_counts=True)
        repeated = deciles[counts > 1] if len(deciles) > 1 else deciles
        above = np.nextafter(repeated, np.float32(np.inf), dtype=np.float32)
        edges = np.unique(np.concatenate([deciles, above]).astype(np.float32))
        return cls(edges=edges[np.isfinite(edges)])

    @property
    def num_bins(self) -> int:
        """Number of bins, that of rows without values included."""
        return len(self.edges) + 2 if self.edges is not None else len(self._known_ids) + NUM_HASHES + 1

    def count(self, values: npt.NDArray[Any], num_empty: int) -> Counts:
        """Count values `(N,)` and rows without values by bin, `(num_bins,)`."""
        if self.edges is not None:
            bins = np.searchsorted(self.edges, values, side="right")
        else:
            ids = self._known_ids
            bins = len(ids) + ((values.view(np.uint64) * _MULTIPLIER) >> np.uint64(61)).view(np.int64)
            if len(ids):
                at = np.minimum(np.searchsorted(ids, values), len(ids) - 1)
                bins = np.where(ids[at] == values, at, bins)
        counts = np.bincount(bins, minlength=self.num_bins)
        counts[-1] = num_empty
        return counts

    def to_json(self) -> dict[str, Any]:
        """Its form in a profile."""
        if self.edges is not None:
            return {"edges": self.edges.tolist()}
        return {"ids": self._known_ids.tolist()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> FeatureBins:
        """The inverse of `to_json`."""
        if "edges" in value:
            return cls(edges=np.array(value["edges"], np.float32))
        return cls(ids=np.array(value["ids"], np.int64))

    @property
    def _known_ids(self) -> Int64Array:
        assert self.ids is not None
        return self.ids


@dataclass(frozen=True)
class FeatureProfile:
    """Distribution of a feature in the training data.

    Attributes:
        bins: of its values.
        counts: of the training data by bin.
    """

    bins: FeatureBins
    counts: Counts = field(compare=False)

    @classmethod
    def of(cls, values: Sequence[npt.NDArray[Any]], num_empty: int) -> FeatureProfile:
        """Fit the bins to values of the training data and count them.

        Args:
            values: at least one array `(N,)`, all of int64 or all of float32.
            num_empty: number of rows without values.
        """
        joined = np.concatenate(values)
        bins = FeatureBins.fit(joined)
        return cls(bins, bins.count(joined, num_empty))


def first_values(values: Values, lengths: npt.NDArray[np.int32] | None = None) -> tuple[Values, int]:
    """Select the values of the first rows, as many whole rows as have MAX_VALUES values together.

    Args:
        values: `(N,)`, or `(N, dim)`.
        lengths: values of each row, `(B,)`; None for one in each.

    Returns:
        the values, `(M,)`, and the number of these rows that have none.
    """
    max_values = max(MAX_VALUES // max(math.prod(values.shape[1:]), 1), 1)
    if lengths is None:
        return values[:max_values].ravel(), 0
    ends = np.cumsum(lengths)
    num_rows = max(int(np.searchsorted(ends, max_values, side="right")), 1)
    num_values = min(int(ends[num_rows - 1]), max_values) if len(ends) else 0
    return values[:num_values].ravel(), int((lengths[:num_rows] == 0).sum())


def stability_index(expected: Values, actual: Values) -> float:
    """Population stability index of two distributions over the same bins: sum (q - p) ln(q / p).

    Half a count is added to each bin, so that an empty one is finite. Usual reading: below 0.1 no change, above 0.25 a
    change that a model may not stand.

    Args:
        expected: counts `(num_bins,)`.
        actual: the same of the other distribution.
    """
    p, q = ((counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (expected, actual))
    return float(((q - p) * np.log(q / p)).sum())
