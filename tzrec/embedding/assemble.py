"""Assemble sequence groups: pad the elements, concatenate their features, apply the encoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tzrec.embedding.sequence_lookup import SequenceElements
from tzrec.tables.layout import Layout


@dataclass(frozen=True)
class PaddedIndex:
    """Index from padded or jagged positions to the sequence elements of a batch.

    Attributes:
        rows: padded: `(B, 1)`; jagged: `(T,)`.
        positions: position in the sequence; padded: `(1, L)`; jagged: `(T,)`.
        lengths: number of elements of each row, `(B,)`: those of its longest feature, up to the limit of the group.
    """

    rows: Tensor
    positions: Tensor
    lengths: Tensor


@dataclass(frozen=True)
class SequenceTensors:
    """Sequence group as models and encoders read it.

    Attributes:
        query: features of the row, `(B, sum of widths)`; None where the group has none.
        sequence: features of the elements: padded `(B, L, sum of widths)`, zero after the end; jagged
            `(T, sum of widths)`.
        lengths: number of elements of each row, `(B,)`.
    """

    query: Tensor | None
    sequence: Tensor
    lengths: Tensor


def assemble(
    layout: Layout,
    encoders: nn.ModuleDict,
    row_values: Mapping[str, Tensor],
    elements: Mapping[str, SequenceElements],
    index_of: Callable[[str, Tensor], PaddedIndex] | None = None,
) -> dict[str, Tensor]:
    """Assemble the sequence groups of a layout and append the outputs of the encoders to the DEEP groups.

    Args:
        layout: of one data group.
        encoders: per DEEP group, an `Encoders`.
        row_values: values of `layout.row_groups`, `(B, sum of widths)` each.
        elements: elements of sequence features by key.
        index_of: returns the index of a group from its name and the lengths of the rows; None for padding to the
            longest row.

    Returns:
        see `EmbeddingGroup.forward`.
    """
    sequences: dict[str, SequenceTensors] = {}
    for name, group in layout.sequences.items():
        lengths = max_lengths([elements[entry.key].lengths for entry in group.elements], group.limit)
        index = index_of(name, lengths) if index_of else padded_index(lengths, group.jagged)
        sequence = torch.cat([to_padded(elements[entry.key], index) for entry in group.elements], -1)
        sequences[name] = SequenceTensors(row_values.get(f"{name}.query"), sequence, lengths)
    grouped: dict[str, Tensor] = {}
    for name in layout.groups:
        parts = [row_values[name]] if name in row_values else []
        parts += encoders[name](sequences) if name in encoders else []
        grouped[name] = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
    for name, tensors in sequences.items():
        if not layout.sequences[name].encoded:
            grouped |= {f"{name}.query": tensors.query} if tensors.query is not None else {}
            grouped |= {f"{name}.sequence": tensors.sequence, f"{name}.sequence_length": tensors.lengths}
    return grouped


def max_lengths(lengths: list[Tensor], limit: int) -> Tensor:
    """Number of elements of each row of a group from those of its features, `(B,)`; `limit` 0 for no limit."""
    longest = torch.stack(lengths).amax(0)
    return longest.clamp(max=limit) if limit else longest


def padded_index(lengths: Tensor, jagged: bool) -> PaddedIndex:
    """Index of a group; padded groups have at least one position, which is empty where no row has an element."""
    rows = torch.arange(lengths.shape[0], device=lengths.device)
    if not jagged:
        size = max(1, int(lengths.max()))
        return PaddedIndex(rows.unsqueeze(1), torch.arange(size, device=lengths.device).unsqueeze(0), lengths)
    owners = rows.repeat_interleave(lengths)  # (T,)
    starts = torch.ops.fbgemm.asynchronous_complete_cumsum(lengths)[:-1]
    return PaddedIndex(owners, torch.arange(len(owners), device=lengths.device) - starts[owners], lengths)


def to_padded(elements: SequenceElements, index: PaddedIndex) -> Tensor:
    """Select the elements of an index, zeros where a row has fewer: `(B, L, D)` or `(T, D)`."""
    is_present = index.positions < torch.minimum(elements.lengths, index.lengths)[index.rows]
    zero_row = elements.values.shape[0]
    sources = torch.where(is_present, elements.starts[index.rows] + index.positions, zero_row)
    extended = torch.cat([elements.values, elements.values.new_zeros(1, elements.values.shape[1])])
    return extended.index_select(0, sources.reshape(-1)).unflatten(0, sources.shape)
