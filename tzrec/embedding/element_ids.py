"""First ids of features: what encoders compare that match elements by id instead of by vector."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from tzrec.data.batch import Batch
from tzrec.embedding.sequence_lookup import SequenceElements
from tzrec.tables.layout import Layout


@dataclass(frozen=True)
class FirstIds:
    """First id of features, -1 where there is none.

    Attributes:
        rows: per feature of the row int64 `(B,)`.
        elements: per sequence feature, one id for each element, values int64 `(S, 1)`.
    """

    rows: dict[str, Tensor] = field(default_factory=dict)
    elements: dict[str, SequenceElements] = field(default_factory=dict)

    @classmethod
    def from_batch(cls, batch: Batch, layout: Layout) -> FirstIds:
        """The ids that the encoders of a layout compare."""
        rows, elements = {}, {}
        for name, is_sequence in compared_features(layout).items():
            if not is_sequence:
                ids = batch.sparse[layout.data_group][name]
                rows[name] = first_ids(ids.values(), ids.lengths())
                continue
            ids, sizes = batch.sequences[layout.data_group][name], batch.element_sizes.get(name)
            if sizes is None:
                elements[name] = SequenceElements.of(ids.values().unsqueeze(1), ids.lengths())
            else:
                values = first_ids(ids.values(), sizes.values())
                elements[name] = SequenceElements.of(values.unsqueeze(1), sizes.lengths())
        return cls(rows, elements)


def compared_features(layout: Layout) -> dict[str, bool]:
    """The features that encoders of a layout compare by id; True for sequence features."""
    return {
        entry.feature: is_sequence
        for group in layout.sequences.values()
        for is_sequence, entries in ((False, group.query), (True, group.elements))
        for entry in entries
        if entry.feature in group.ids
    }


def first_ids(ids: Tensor, sizes: Tensor) -> Tensor:
    """First of the ids of each row or element, -1 where it has none: `(N,)`, number of ids `(S,)` -> `(S,)`."""
    starts = sizes.long().cumsum(0) - sizes  # (S,)
    extended = torch.cat([ids, ids.new_full((1,), -1)])
    return torch.where(sizes > 0, extended.index_select(0, starts), -1)
