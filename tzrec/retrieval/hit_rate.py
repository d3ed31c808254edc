"""Hit rate: the share of the items that users chose which is among the items retrieved for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.errors import DataError
from tzrec.retrieval.index import Neighbours, VectorIndex
from tzrec.retrieval.interests import merge_interests, search_interests
from tzrec.retrieval.vectors import DescribeRow, Floats, is_text, row_number

_Ints = npt.NDArray[np.int64]


class Hits(NamedTuple):
    """Hits of a batch of requests.

    Attributes:
        num_hits: items of the ground truth that were retrieved, of all requests.
        num_items: items of the ground truth of all requests; each counts once per request.
        details: a row per request: `topk_ids` and `topk_dists`, lists of a list per interest, `hitrate`, null without
            ground truth, and `hit_ids`.
    """

    num_hits: int
    num_items: int
    details: pa.Table


@dataclass(frozen=True)
class HitRate:
    """Measurement of the hit rate of requests.

    Attributes:
        index: of the items.
        ids: of the items as text, in the order of the index.
        count: K, how many items are retrieved for an interest.
        is_merged: K items are retrieved for a request: the best ones of all its interests. Otherwise the items of all
            its interests count.
    """

    index: VectorIndex
    ids: pa.Array
    count: int
    is_merged: bool = False

    def measure(self, interests: Floats, ground_truth: pa.Array) -> Hits:
        """Retrieve the items of requests, and count the hits.

        Args:
            interests: `(B, I, D)`; a zero vector is no interest.
            ground_truth: lists of ids as text, `(B,)`; see `to_ground_truth`.
        """
        num_requests, num_interests, _ = interests.shape
        neighbours = search_interests(self.index, interests, self.count)
        if self.is_merged:
            neighbours, num_interests = merge_interests(neighbours, num_interests, self.index.metric), 1
        is_item = neighbours.rows >= 0  # (B * I, K)
        ids = self.ids.take(pa.array(neighbours.rows[is_item]))
        requests = np.repeat(np.arange(num_requests), num_interests)[np.nonzero(is_item)[0]]
        truth = _Truth.of(ground_truth)
        is_hit = truth.among(ids, requests)
        hits, items = (np.bincount(truth.requests[mask], minlength=num_requests) for mask in (is_hit, slice(None)))
        rate = pa.array(hits / np.maximum(items, 1), pa.float64(), mask=items == 0)
        hit_ids = _to_lists(hits, truth.ids.filter(pa.array(is_hit)).cast(pa.string()))
        details = {**_retrieved(ids, neighbours, num_interests), "hitrate": rate, "hit_ids": hit_ids}
        return Hits(int(hits.sum()), int(items.sum()), pa.table(details))


class _Truth(NamedTuple):
    """Items of the ground truth, each once per request: ids, and the number of their request."""

    ids: pa.Array
    requests: _Ints

    @classmethod
    def of(cls, lists: pa.Array) -> _Truth:
        lengths = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
        requests, ids = np.repeat(np.arange(len(lists)), lengths), lists.flatten()
        unique = ids.unique()
        first = np.sort(np.unique(_pairs(requests, ids, unique), return_index=True)[1])
        return cls(ids.take(pa.array(first)), requests[first])

    def among(self, ids: pa.Array, requests: _Ints) -> npt.NDArray[np.bool_]:
        """Tell for each item of the ground truth if it is among the items retrieved for its request."""
        unique = self.ids.unique()
        return np.isin(_pairs(self.requests, self.ids, unique), _pairs(requests, ids, unique))


def _pairs(requests: _Ints, ids: pa.Array, unique: pa.Array) -> _Ints:
    """Number the pairs of request and id; those of ids that are not in `unique` have a number less than 0."""
    codes = pc.index_in(ids, unique).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.where(codes < 0, -1, requests * len(unique) + codes)


def _retrieved(ids: pa.Array, neighbours: Neighbours, num_interests: int) -> dict[str, pa.Array]:
    is_item = neighbours.rows >= 0
    lengths, scores = is_item.sum(axis=1), pa.array(neighbours.scores[is_item], pa.float32())
    interests = np.full(len(is_item) // num_interests, num_interests)
    columns = {"topk_ids": ids.cast(pa.string()), "topk_dists": scores}
    return {name: _to_lists(interests, _to_lists(lengths, values)) for name, values in columns.items()}


def _to_lists(lengths: _Ints, values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], lengths.cumsum()]), pa.int32()), values)


def to_ground_truth(
    column: pa.Array | pa.ChunkedArray, name: str, describe: DescribeRow = row_number
) -> pa.LargeListArray:
    """Convert a column of the items that users chose to lists of text.

    Args:
        column: lists of ids, or text with commas: `12,7`; a missing or empty one is an empty list.
        name: of the column, for the errors.
        describe: names a row, for the errors.

    Raises:
        DataError: another type, or a list with a missing id.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if is_text(array.type):
        array = _split(array)
    is_list = pa.types.is_list(array.type) or pa.types.is_large_list(array.type)
    kind = array.type.value_type if is_list else array.type
    if not is_list or not (pa.types.is_integer(kind) or is_text(kind)):
        raise DataError(f'column "{name}" is {array.type}; the ground truth is a list of ids, or text such as "12,7"')
    array = array.cast(pa.large_list(pa.large_string()))
    is_missing = array.flatten().is_null().to_numpy(zero_copy_only=False)
    if is_missing.any():
        lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
        row = int(np.searchsorted(np.cumsum(lengths), np.flatnonzero(is_missing)[0], side="right"))
        raise DataError(f'{describe(row)}: column "{name}" has a missing id in its list; remove it')
    return array


def _split(array: pa.Array) -> pa.Array:
    """Split `12,7`, also within brackets and with quotes, as the lists of a CSV file that tzrec wrote."""
    text = pc.replace_substring_regex(array.cast(pa.large_string()).fill_null(""), r"^\s*\[(.*)\]\s*$", r"\1")
    lists = pc.split_pattern(text, ",")
    words = pc.utf8_trim(lists.flatten(), ' "')
    is_word = pc.not_equal(words, "").to_numpy(zero_copy_only=False)
    ends = np.concatenate([[0], np.cumsum(is_word)])[lists.offsets.to_numpy()]
    return pa.LargeListArray.from_arrays(pa.array(ends, pa.int64()), words.filter(pa.array(is_word)))
