"""TransAct: a transformer over recent actions, each beside the candidate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tzrec.modules.jagged_sequence import JaggedSequence
from tzrec.modules.transformer import TransformerBlock


class TransAct(nn.Module):
    """`[W max_t z_t + b, z_1 ... z_k]` with `z = Transformer([s_1, q], [s_2, q] ...)`, zero for a row without elements.

    Xia et al., TransAct: Transformer-based Realtime User Action Model for Recommendation at Pinterest, KDD 2023,
    section 3.3. There is no positional encoding. With a time gap, elements that are younger than a window are not
    attended to; in training it is drawn for each batch, else it is 0. The first element always is attended to.

    Args:
        query_dim: width of the query.
        dim: width of an element.
        num_elements: number of elements of a row that are read, from the first.
        num_latest: k, at most num_elements.
        blocks: the blocks of the transformer, of the width `token_dim`.
        gap_column: column of the elements with the time since then, which is no part of a token; None for none.
        max_window: largest window, in the unit of the time gap.
    """

    def __init__(
        self,
        query_dim: int,
        dim: int,
        num_elements: int,
        num_latest: int,
        blocks: list[TransformerBlock],
        gap_column: int | None,
        max_window: int,
    ) -> None:
        super().__init__()
        self._num_elements, self._num_latest, self._max_window = num_elements, num_latest, max_window
        self._gap_column = gap_column
        width = token_dim(query_dim, dim, gap_column is not None)
        self.out_dim = (num_latest + 1) * width
        self.blocks = nn.ModuleList(blocks)
        self.pooled = nn.Linear(width, width)

    def forward(self, query: Tensor, sequence: JaggedSequence) -> Tensor:
        """(B, query_dim), elements (T, dim) -> (B, (k + 1) * token width)"""
        sequence = sequence.first(self._num_elements)
        elements = sequence.padded(self._num_elements)  # (B, N, dim)
        places = torch.arange(self._num_elements, device=elements.device)
        is_present = places < sequence.lengths.unsqueeze(1)  # (B, N)
        is_read = is_present
        if self._gap_column is not None:
            gap, at = elements[:, :, self._gap_column], self._gap_column
            elements = torch.cat([elements[:, :, :at], elements[:, :, at + 1 :]], 2)
            is_read = is_present & (gap >= self._window(gap))
        tokens = query.to(elements.dtype).unsqueeze(1).expand(-1, self._num_elements, -1)
        x = torch.cat([elements, tokens], 2)
        for block in self.blocks:
            x = block(x, is_read | (places == 0))
        lowest = torch.finfo(x.dtype).min
        is_filled = (sequence.lengths > 0).unsqueeze(1)  # (B, 1)
        largest = x.masked_fill(~is_present.unsqueeze(2), lowest).amax(1)  # (B, width)
        pooled = self.pooled(torch.where(is_filled, largest, 0))
        latest = (x * is_present.unsqueeze(2))[:, : self._num_latest].flatten(1)
        return torch.cat([pooled, latest], 1) * is_filled

    def _window(self, gap: Tensor) -> Tensor:
        """Age below which elements are not attended to, 0-dimensional."""
        if not self.training:
            return gap.new_zeros(())
        return torch.randint(0, self._max_window + 1, (), device=gap.device).to(gap.dtype)


def token_dim(query_dim: int, dim: int, has_gap: bool) -> int:
    """Width of a token of TransAct."""
    return query_dim + dim - int(has_gap)
