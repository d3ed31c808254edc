"""JaggedSequence: the elements of the sequences of a batch without padding, and the operations on them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class JaggedSequence:
    """Elements of B rows, row after row. Time and memory of all operations are proportional to their number T.

    Attributes:
        values: `(T, D)`.
        rows: row of each element, ascending, `(T,)`.
        positions: position of each element in its row, `(T,)`.
        lengths: number of elements of each row, `(B,)`.
    """

    values: Tensor
    rows: Tensor
    positions: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, values: Tensor, lengths: Tensor) -> JaggedSequence:
        """Sequences from their elements `(T, D)` and the number of elements of each row."""
        rows = torch.arange(lengths.shape[0], device=lengths.device)
        rows = rows.repeat_interleave(lengths, output_size=values.shape[0])  # (T,)
        starts = lengths.cumsum(0) - lengths  # (B,)
        positions = torch.arange(values.shape[0], device=lengths.device) - starts.index_select(0, rows)
        return cls(values, rows, positions, lengths)

    def padded(self, size: int) -> Tensor:
        """The elements as `(B, size, D)`, zero after the end of a row; `size` is at least the longest length."""
        shape = self.lengths.shape[0] * size, self.values.shape[1]
        padded = self.values.new_zeros(shape).index_copy(0, self.rows * size + self.positions, self.values)
        return padded.unflatten(0, (self.lengths.shape[0], size))

    def of_row(self, x: Tensor) -> Tensor:
        """The value of the row of each element: `(B, ...)` -> `(T, ...)`."""
        return x.index_select(0, self.rows)

    def sum(self, x: Tensor) -> Tensor:
        """Sum over the elements of each row, zero for a row without any: `(T, ...)` -> `(B, ...)`."""
        zeros = x.new_zeros(self.lengths.shape[0], *x.shape[1:])
        if torch.compiler.is_exporting():  # compiled, index_add is a loop of atomic additions, twice as slow
            rows = self.rows.view(-1, *[1] * (x.dim() - 1))
            return zeros.scatter_add(0, rows.expand_as(x), x)
        return zeros.index_add(0, self.rows, x)

    def attend(self, scores: Tensor, values: Tensor) -> Tensor:
        """`sum_t softmax_t(score_t) v_t` for each head, zero for a row without elements.

        Softmax and sums are computed at least in float32.

        Args:
            scores: `(T, H)`.
            values: `(T, D)` for all heads, or `(T, H, D)`.

        Returns:
            `(B, H, D)`.
        """
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        lowest = scores.new_full((self.lengths.shape[0], scores.shape[1]), -torch.inf)
        at = self.rows.unsqueeze(1).expand_as(scores)
        largest = lowest.scatter_reduce(0, at, scores.detach(), "amax")  # (B, H)
        weights = (scores - self.of_row(largest)).exp()  # (T, H)
        values = values if values.dim() == 3 else values.unsqueeze(1)
        sums = self.sum(weights.unsqueeze(2) * values)  # (B, H, D)
        # 1 for a row without elements; not by clamp, which has no gradient at its bound since torch 2.14
        totals = self.sum(weights) + (self.lengths == 0).to(weights.dtype).unsqueeze(1)  # (B, H)
        return sums / totals.unsqueeze(2)

    def softmax(self, scores: Tensor) -> Tensor:
        """Softmax over the elements of each row, `(T,)` -> `(T,)`."""
        lowest = scores.new_full((self.lengths.shape[0],), -torch.inf)
        weights = (scores - self.of_row(lowest.scatter_reduce(0, self.rows, scores.detach(), "amax"))).exp()
        return weights / self.of_row(self.sum(weights))

    def rank(self, mask: Tensor) -> Tensor:
        """Number of earlier elements of the row that are in a mask: bool `(T,)` -> `(T,)`."""
        before = mask.cumsum(0) - mask.long()  # (T,), in all rows
        starts = torch.arange(before.shape[0], device=before.device) - self.positions  # (T,)
        return before - before.index_select(0, starts)

    def select(self, mask: Tensor) -> JaggedSequence:
        """The elements in a mask, bool `(T,)`; the others are left out of their rows."""
        at = mask.nonzero().squeeze(1)
        lengths = self.sum(mask.to(self.lengths.dtype))
        values, rows, positions = (x.index_select(0, at) for x in (self.values, self.rows, self.rank(mask)))
        return JaggedSequence(values, rows, positions, lengths)

    def first(self, limit: int) -> JaggedSequence:
        """The first elements of each row, at most `limit`."""
        return self.select(self.positions < limit)
