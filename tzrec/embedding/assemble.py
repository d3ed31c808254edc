"""From vectors of steps to what models read: steps in their places, features side by side, encoders after them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tzrec.embedding.sequence import SequenceElements
from tzrec.tables.layout import Layout


@dataclass(frozen=True)
class PaddedIndex:
    """Which step of which row stands where in a group.

    Attributes:
        rows: padded: `(B, 1)`; jagged: `(T,)`.
        positions: padded: `(1, L)`; jagged: `(T,)`.
        lengths: steps of each row, `(B,)`: those of its longest feature, up to the limit of the group.
    """

    rows: Tensor
    positions: Tensor
    lengths: Tensor


@dataclass(frozen=True)
class SequenceTensors:
    """A sequence group as models and encoders read it.

    Attributes:
        query: features of the row, `(B, sum of widths)`; None where the group has none.
        sequence: features of the steps: padded `(B, L, sum of widths)`, zero behind the end; jagged
            `(T, sum of widths)`.
        lengths: steps of each row, `(B,)`.
    """

    query: Tensor | None
    sequence: Tensor
    lengths: Tensor


def assemble(
    layout: Layout,
    encoders: nn.ModuleDict,
    by_row: Mapping[str, Tensor],
    steps: Mapping[str, SequenceElements],
    where: Callable[[str, Tensor], PaddedIndex] | None = None,
) -> dict[str, Tensor]:
    """Put sequence groups together and let the encoders of DEEP groups read theirs.

    Args:
        layout: of the model.
        encoders: per DEEP group, an `Encoders`.
        by_row: what `layout.by_row` lists, side by side, `(B, sum of widths)`.
        steps: per key, features of the steps.
        where: the places of the steps of a group, from its name and the steps of each row; None: as many as the
            longest row has.

    Returns:
        see `EmbeddingGroup.forward`.
    """
    sequences: dict[str, SequenceTensors] = {}
    for name, group in layout.sequences.items():
        lengths = longest([steps[entry.key].lengths for entry in group.steps], group.limit)
        there = where(name, lengths) if where else padded_index(lengths, group.jagged)
        sequence = torch.cat([to_padded(steps[entry.key], there) for entry in group.steps], -1)
        sequences[name] = SequenceTensors(by_row.get(f"{name}.query"), sequence, lengths)
    grouped: dict[str, Tensor] = {}
    for name in layout.groups:
        parts = [by_row[name]] if name in by_row else []
        parts += encoders[name](sequences) if name in encoders else []
        grouped[name] = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
    for name, each in sequences.items():
        if not layout.sequences[name].encoded:
            grouped |= {f"{name}.query": each.query} if each.query is not None else {}
            grouped |= {f"{name}.sequence": each.sequence, f"{name}.sequence_length": each.lengths}
    return grouped


def longest(lengths: list[Tensor], limit: int) -> Tensor:
    """Steps of each row of a group from those of its features, `(B,)`."""
    most = torch.stack(lengths).amax(0)
    return most.clamp(max=limit) if limit else most


def padded_index(lengths: Tensor, jagged: bool) -> PaddedIndex:
    """The places of a group's steps; a padded group has at least one, which is empty where no row has any."""
    rows = torch.arange(lengths.shape[0], device=lengths.device)
    if not jagged:
        size = max(1, int(lengths.max()))
        return PaddedIndex(rows.unsqueeze(1), torch.arange(size, device=lengths.device).unsqueeze(0), lengths)
    owners = rows.repeat_interleave(lengths)  # (T,)
    starts = torch.ops.fbgemm.asynchronous_complete_cumsum(lengths)[:-1]
    return PaddedIndex(owners, torch.arange(len(owners), device=lengths.device) - starts[owners], lengths)


def to_padded(steps: SequenceElements, where: PaddedIndex) -> Tensor:
    """The steps in their slots, zeros where a row has fewer: `(B, L, D)` or `(T, D)`."""
    there = where.positions < torch.minimum(steps.lengths, where.lengths)[where.rows]
    empty = steps.values.shape[0]
    index = torch.where(there, steps.starts[where.rows] + where.positions, empty)
    padded = torch.cat([steps.values, steps.values.new_zeros(1, steps.values.shape[1])])
    return padded.index_select(0, index.reshape(-1)).unflatten(0, index.shape)
