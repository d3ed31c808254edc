"""Batch: tensors of some rows of the data, as the loader passes them to the model; Cursor: position in the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import pyarrow as pa
import torch
from torchrec import JaggedTensor, KeyedJaggedTensor, KeyedTensor
from torchrec.streamable import Multistreamable, Pipelineable

from tzrec.features.base import BASE as BASE
from tzrec.features.base import CNEG as CNEG
from tzrec.features.base import NEG as NEG

Label: TypeAlias = torch.Tensor | JaggedTensor
"""One label per row `(B,)`, a list of labels per row `(B, C)`, or jagged: one label per candidate of each row."""


@dataclass(frozen=True)
class Deal:
    """Division of an epoch, or of what is left of it, into streams of equal length.

    Attributes:
        num_streams: number of streams.
        batch: rows of a step over all ranks.
        rows: rows that all ranks together have consumed since.
    """

    num_streams: int
    batch: int
    rows: int = 0


@dataclass(frozen=True)
class Cursor:
    """Position in the data: together with the files and the seed, it determines the rows that have been consumed.

    Attributes:
        epoch: number of complete epochs.
        row: number of rows of this epoch that all ranks together have consumed, in the order of the epoch.
        window: rows of a shuffle window over all streams, 1 without shuffling.
        deals: divisions of the epoch into streams: the first one, and one for each later change of the number of ranks
            to one that does not divide the number of streams. Empty at the start of an epoch, and inside one that
            began with a version without streams, which goes on in the order of the files.
        part: number of batches of the next step that are consumed, where a step is cut into several by cost.
    """

    epoch: int = 0
    row: int = 0
    window: int = 1
    deals: tuple[Deal, ...] = ()
    part: int = 0

    def at(self, row: int) -> Cursor:
        """Return the position at a later row of the same epoch."""
        if not self.deals:
            return replace(self, row=row, part=0)
        last = self.deals[-1]
        return replace(self, row=row, part=0, deals=(*self.deals[:-1], replace(last, rows=last.rows + row - self.row)))


@dataclass(frozen=True)
class SampledNegatives:
    """Negatives that a sampler has added to a batch of P positives.

    The rows of the data groups NEG and CNEG, and with `data_config.force_base_data_group` those of all features, are
    [P positives | M simple negatives | H hard negatives]. All rows share the simple ones.

    Attributes:
        num_sampled: M, the number of simple negatives.
        hard_index: of each hard negative its row among the positives and its number in that row from 0, int64 `(H, 2)`.
        log_probability: logarithm of the probability that one draw of the sampler returns the simple negative, for
            corrections of the sampling bias, float32 `(M,)`.
        positive_ids: ids of the positives; text is hashed to 64 bits, int64 `(P,)`.
        sampled_ids: ids of the simple and then of the hard negatives, int64 `(M + H,)`.
    """

    num_sampled: int
    hard_index: torch.Tensor
    log_probability: torch.Tensor
    positive_ids: torch.Tensor
    sampled_ids: torch.Tensor

    @property
    def num_hard(self) -> int:
        """H, the number of hard negatives."""
        return len(self.hard_index)

    def map(self, fn: Callable[[torch.Tensor], torch.Tensor]) -> SampledNegatives:
        """Apply `fn` to every tensor."""
        return replace(
            self,
            hard_index=fn(self.hard_index),
            log_probability=fn(self.log_probability),
            positive_ids=fn(self.positive_ids),
            sampled_ids=fn(self.sampled_ids),
        )


@dataclass(frozen=True)
class Batch(Pipelineable):
    """Rows of one rank for one step.

    Features belong to data groups, each with its own number of rows B: BASE has one row per sample, NEG and CNEG also
    have rows of sampled negatives.

    Attributes:
        rows: number of samples. 0 on a rank that has none left while others do: the batch then repeats one row, which
            counts neither for training nor for metrics.
        dense: per data group, dense features `(B, sum of dims)`.
        sparse: per data group, ids of all sparse features, keys in config order.
        sequences: per data group, ids of all sparse sequence features: for each row the ids of its elements, one
            element after the other.
        element_sizes: per sparse sequence feature, number of ids of each element: values int32 `(S,)`, lengths the
            number of elements of each row. A feature that is not in it has one id in each element.
        element_values: per dense sequence feature, values float32 `(S, dim)`, lengths the number of elements of each
            row.
        labels: per label column int64 or float32; see `Label`.
        weights: per sample weight column `(B,)` float32.
        reserved: columns of the input that are copied to the output, one row per row of the batch.
        cursor: position in the data after this batch.
        rows_by_data_group: number of rows of each data group other than BASE.
        lookups: input of each collection of tables by its path, if it was prepared ahead of the forward pass.
        negatives: description of the rows that a sampler has added; None without a sampler.
    """

    rows: int
    dense: dict[str, KeyedTensor] = field(default_factory=dict)
    sparse: dict[str, KeyedJaggedTensor] = field(default_factory=dict)
    sequences: dict[str, KeyedJaggedTensor] = field(default_factory=dict)
    element_sizes: dict[str, JaggedTensor] = field(default_factory=dict)
    element_values: dict[str, JaggedTensor] = field(default_factory=dict)
    labels: dict[str, Label] = field(default_factory=dict)
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    reserved: pa.Table | None = None
    cursor: Cursor = Cursor()
    rows_by_data_group: dict[str, int] = field(default_factory=dict)
    lookups: dict[str, Multistreamable] = field(default_factory=dict)
    negatives: SampledNegatives | None = None

    def num_rows(self, data_group: str = BASE) -> int:
        """Number of rows of a data group."""
        return self.rows if data_group == BASE else self.rows_by_data_group[data_group]

    def label(self, name: str) -> torch.Tensor:
        """Label column with the same number of labels in each row."""
        label = self.labels[name]
        assert isinstance(label, torch.Tensor), f'label "{name}" is jagged'
        return label

    def first_ids(self, feature: str) -> torch.Tensor:
        """First id of each row of a sparse feature of the base data group, int64 `(B,)`; -1 where it has none."""
        jagged = self.sparse[BASE][feature]
        is_present = jagged.lengths() > 0  # (B,)
        ids = torch.full_like(is_present, -1, dtype=torch.int64)
        ids[is_present] = jagged.values()[jagged.offsets()[:-1][is_present]]
        return ids

    def map(self, fn: Callable[[Any], Any]) -> Batch:
        """Apply `fn` to every tensor, KeyedTensor, KeyedJaggedTensor and JaggedTensor of the data."""
        changed: dict[str, Any] = {name: {key: fn(x) for key, x in getattr(self, name).items()} for name in _DATA}
        negatives = None if self.negatives is None else self.negatives.map(fn)
        return replace(self, **changed, negatives=negatives)

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        return self.map(lambda value: value.to(device=device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """Copy to page-locked memory, from which a GPU reads without waiting.

        Lengths per feature, which the lookups need on the CPU, are counted here and not on the GPU.
        """
        return self.map(_pin)

    def record_stream(self, stream: torch.Stream) -> None:
        """Keep the memory of all tensors until a stream has used them."""
        for name in (*_DATA, "lookups"):
            for value in getattr(self, name).values():
                value.record_stream(stream)
        if self.negatives is not None:
            self.negatives.map(lambda value: _record(value, stream))


_DATA = ("dense", "sparse", "sequences", "element_sizes", "element_values", "labels", "weights")
"""Fields of a batch with tensors of the data."""


def _record(value: torch.Tensor, stream: torch.Stream) -> torch.Tensor:
    value.record_stream(stream)
    return value


def _pin(value: Any) -> Any:
    """Copy a tensor, or all tensors of a collection, to page-locked memory; torchrec pins one class of three."""
    if isinstance(value, KeyedJaggedTensor):
        return value.sync().pin_memory()
    if isinstance(value, KeyedTensor):
        return KeyedTensor(value.keys(), value.length_per_key(), value.values().pin_memory(), value.key_dim())
    if isinstance(value, JaggedTensor):
        weights = value.weights_or_none()
        return JaggedTensor(
            value.values().pin_memory(), None if weights is None else weights.pin_memory(), value.lengths().pin_memory()
        )
    return value.pin_memory()
