"""Assemble sequence groups: arrange the elements by row, concatenate their features, apply the encoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from tzrec.embedding.element_ids import FirstIds
from tzrec.embedding.sequence_lookup import SequenceElements
from tzrec.modules.jagged_sequence import JaggedSequence
from tzrec.tables.layout import Layout, SequenceGroup

LOSS_PREFIX = "loss."
"""Prefix of the losses of encoders among the groups of a batch."""


@dataclass(frozen=True)
class PaddedIndex:
    """Index from padded or jagged positions to the sequence elements of a batch.

    Attributes:
        rows: padded: `(B, 1)`; jagged: `(T,)`.
        positions: position in the sequence; padded: `(1, L)`; jagged: `(T,)`.
        lengths: number of elements of each row, `(B,)`: those of its longest feature, up to the limit of the group.
        size: L, at least 1 and the longest of the lengths; 0 where the group is not read with padding.
    """

    rows: Tensor
    positions: Tensor
    lengths: Tensor
    size: int


@dataclass(frozen=True)
class SequenceTensors:
    """Sequence group as encoders read it.

    Attributes:
        query: features of the row, `(B, sum of widths)`; None where the group has none.
        sequence: features of the elements, `(T, sum of widths)`.
        size: number of positions of a padded row; 0 where no encoder reads padding.
        ids: first id of the features that encoders compare, -1 for none: `(B,)` for features of the row and `(T,)`
            for those of elements.
    """

    query: Tensor | None
    sequence: JaggedSequence
    size: int = 0
    ids: Mapping[str, Tensor] = field(default_factory=dict)


def assemble(
    layout: Layout,
    encoders: nn.ModuleDict,
    row_values: Mapping[str, Tensor],
    elements: Mapping[str, SequenceElements],
    first_ids: FirstIds,
    index_of: Callable[[str, Tensor], PaddedIndex] | None = None,
) -> dict[str, Tensor]:
    """Assemble the sequence groups of a layout and append the outputs of the encoders to the DEEP groups.

    Args:
        layout: of one data group.
        encoders: per DEEP group, an `Encoders`.
        row_values: values of `layout.row_groups`, `(B, sum of widths)` each.
        elements: elements of sequence features by key.
        first_ids: of the features that encoders compare.
        index_of: returns the index of a group from its name and the lengths of the rows, while a program is traced;
            None for the index of the batch at hand.

    Returns:
        see `EmbeddingGroup.forward`.
    """
    encoded: dict[str, SequenceTensors] = {}
    sequences: dict[str, Tensor] = {}
    for name, group in layout.sequences.items():
        lengths = max_lengths([elements[entry.key].lengths for entry in group.elements], group.limit)
        index = index_of(name, lengths) if index_of else padded_index(lengths, group.jagged, group.padded)
        arrange = to_padded if index_of else to_arranged
        values = torch.cat([arrange(elements[entry.key], index) for entry in group.elements], -1)
        query = row_values.get(f"{name}.query")
        if group.encoded:
            sequence = JaggedSequence(values, index.rows, index.positions, lengths)
            encoded[name] = SequenceTensors(query, sequence, index.size, _ids(group, first_ids, index))
        else:
            sequences |= {f"{name}.query": query} if query is not None else {}
            sequences |= {f"{name}.sequence": values, f"{name}.sequence_length": lengths}
            sequences |= {f"{name}.rows": index.rows, f"{name}.positions": index.positions} if group.jagged else {}
    grouped: dict[str, Tensor] = {}
    losses: dict[str, Tensor] = {}
    for name in layout.groups:
        parts = [row_values[name]] if name in row_values else []
        parts += encoders[name](encoded, losses) if name in encoders else []
        grouped[name] = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
    return grouped | sequences | {f"{LOSS_PREFIX}{name}": loss for name, loss in losses.items()}


def jagged_sequence(grouped: Mapping[str, Tensor], name: str) -> JaggedSequence:
    """The elements of a JAGGED_SEQUENCE group, from the groups of a batch."""
    rows, positions = grouped[f"{name}.rows"], grouped[f"{name}.positions"]
    return JaggedSequence(grouped[f"{name}.sequence"], rows, positions, grouped[f"{name}.sequence_length"])


def _ids(group: SequenceGroup, first_ids: FirstIds, index: PaddedIndex) -> dict[str, Tensor]:
    """The ids that the encoders of a group compare; those of elements are shifted by 1, as missing ones become 0."""
    by_element = {name: first_ids.elements[name] for name in group.ids if name in first_ids.elements}
    by_row = {name: first_ids.rows[name] for name in group.ids if name in first_ids.rows}
    shifted = {name: SequenceElements(e.values + 1, e.starts, e.lengths) for name, e in by_element.items()}
    return by_row | {name: to_padded(ids, index).squeeze(-1) - 1 for name, ids in shifted.items()}


def max_lengths(lengths: list[Tensor], limit: int) -> Tensor:
    """Number of elements of each row of a group from those of its features, `(B,)`; `limit` 0 for no limit."""
    longest = torch.stack(lengths).amax(0)
    return longest.clamp(max=limit) if limit else longest


def padded_index(lengths: Tensor, jagged: bool, padded: bool) -> PaddedIndex:
    """Index of a group; padded rows have at least one position, which is empty where no row has an element."""
    rows = torch.arange(lengths.shape[0], device=lengths.device)
    size = max(1, int(lengths.max())) if padded else 0
    if not jagged:
        return PaddedIndex(rows.unsqueeze(1), torch.arange(size, device=lengths.device).unsqueeze(0), lengths, size)
    owners = rows.repeat_interleave(lengths)  # (T,)
    starts = torch.ops.fbgemm.asynchronous_complete_cumsum(lengths)[:-1]
    return PaddedIndex(owners, torch.arange(len(owners), device=lengths.device) - starts[owners], lengths, size)


def to_arranged(elements: SequenceElements, index: PaddedIndex) -> Tensor:
    """See `to_padded`; nothing is copied for a jagged index of which the feature has all elements."""
    is_jagged = index.positions.dim() == 1
    if is_jagged and len(elements.values) == len(index.rows) and torch.equal(elements.lengths, index.lengths):
        return elements.values
    return to_padded(elements, index)


def to_padded(elements: SequenceElements, index: PaddedIndex) -> Tensor:
    """Select the elements of an index, zeros where a row has fewer: `(B, L, D)` or `(T, D)`."""
    is_present = index.positions < torch.minimum(elements.lengths, index.lengths)[index.rows]
    zero_row = elements.values.shape[0]
    sources = torch.where(is_present, elements.starts[index.rows] + index.positions, zero_row)
    extended = torch.cat([elements.values, elements.values.new_zeros(1, elements.values.shape[1])])
    return extended.index_select(0, sources.reshape(-1)).unflatten(0, sources.shape)
