"""DIEN: interests extracted from a history by one recurrence, and evolved towards the candidate by another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tzrec.modules.gated_recurrence import gated_scan, gated_step
from tzrec.modules.jagged_sequence import JaggedSequence
from tzrec.ops.autocast import without_autocast
from tzrec.torchrec_adapter import traced_loop


@dataclass(frozen=True)
class Steps:
    """Elements of a JaggedSequence step after step: the oldest ones of all rows, then the next ones, and so on.

    Attributes:
        order: index of each element in the JaggedSequence, `(T,)`.
        rows: row of each element, `(T,)`.
        times: step of each element, `(T,)`.
        after: index of the next element of the row among the steps, `(T,)`; any where there is none.
        has_next: bool `(T,)`.
        sizes: number of elements of each step; those of a step are of the same rows as the first ones of the step
            before.
    """

    order: Tensor
    rows: Tensor
    times: Tensor
    after: Tensor
    has_next: Tensor
    sizes: list[int]

    @classmethod
    def of(cls, sequence: JaggedSequence, newest_first: bool) -> Steps:
        """Arrange the elements of a sequence, longest rows first in each step; only the order of its rows is read."""
        num_rows = sequence.lengths.shape[0]
        lengths = sequence.rows.bincount(minlength=num_rows)
        positions = torch.arange(len(sequence.rows), device=lengths.device) - sequence.of_row(
            lengths.cumsum(0) - lengths
        )
        ranks = lengths.argsort(descending=True, stable=True).argsort()  # (B,)
        last = sequence.of_row(lengths) - 1  # (T,)
        times = last - positions if newest_first else positions
        order = (times * num_rows + sequence.of_row(ranks)).argsort()
        times, rows, last = times[order], sequence.rows[order], last[order]
        sizes = times.bincount()
        starts = functional.pad(sizes.cumsum(0), (1, 0))  # (steps + 1,)
        after = (starts[times + 1] + ranks[rows]).clamp(max=max(len(order) - 1, 0))
        return cls(order, rows, times, after, times < last, sizes.tolist())


class DIEN(nn.Module):
    """`h_t = GRU(s_t)`, `a_t = softmax_t(h_t . W q)` and the last state of the AUGRU of h_t, updated by a_t.

    Zhou et al., Deep Interest Evolution Network for Click-Through Rate Prediction, AAAI 2019, sections "Interest
    Extractor Layer" and "Interest Evolving Layer". States are computed at least in float32.

    Args:
        query_dim: width of the query.
        dim: width of an element.
        hidden_dim: width of both states.
        newest_first: the first element of a row is the newest one; otherwise it is the oldest.
    """

    def __init__(self, query_dim: int, dim: int, hidden_dim: int, newest_first: bool) -> None:
        super().__init__()
        self.out_dim, self.newest_first = hidden_dim, newest_first
        self.extractor_input, self.evolution_input = (
            nn.Linear(dim, 3 * hidden_dim),
            nn.Linear(hidden_dim, 3 * hidden_dim),
        )
        self.extractor_state, self.evolution_state = (
            nn.Linear(hidden_dim, 3 * hidden_dim, bias=False) for _ in range(2)
        )
        self.attention = nn.Linear(query_dim, hidden_dim, bias=False)

    def forward(self, query: Tensor, sequence: JaggedSequence) -> Tensor:
        """(B, query_dim), elements (T, dim) -> (B, hidden_dim), zero for a row without elements"""
        with without_autocast(query.device.type):
            dtype = self.attention.weight.dtype
            if torch.compiler.is_compiling():
                return self._traced(query.to(dtype), sequence.values.to(dtype), sequence.lengths.long())
            steps = Steps.of(sequence, self.newest_first)
            return self.evolve(query, self.extract(sequence, steps), sequence, steps)

    def extract(self, sequence: JaggedSequence, steps: Steps) -> Tensor:
        """States of the extractor after each element, `(T, hidden_dim)` in the order of the steps."""
        x = self.extractor_input(sequence.values.to(self.attention.weight.dtype)[steps.order])  # (T, 3H)
        return gated_scan(x, x.new_ones(len(x)), self.extractor_state.weight, steps.sizes)

    def evolve(self, query: Tensor, states: Tensor, sequence: JaggedSequence, steps: Steps) -> Tensor:
        """Last states of the second recurrence from those of the extractor: `(B, query_dim)`, `(T, H)` -> `(B, H)`."""
        ordered = JaggedSequence(states, steps.rows, steps.times, sequence.lengths)
        target = self.attention(query.to(states.dtype))  # (B, H)
        weights = ordered.softmax((states * ordered.of_row(target)).sum(1))  # (T,)
        evolved = gated_scan(self.evolution_input(states), weights, self.evolution_state.weight, steps.sizes)
        return ordered.sum(evolved * ~steps.has_next.unsqueeze(1))

    def _traced(self, query: Tensor, values: Tensor, lengths: Tensor) -> Tensor:
        """Compute the same with loops that a program can contain, of as many steps as the longest row has elements.

        The first loop sums up the softmax, the second one runs both recurrences: no state but the last is stored.
        """
        target, longest = self.attention(query), lengths.max()  # (B, H)
        starts, padded = lengths.cumsum(0) - lengths, functional.pad(values, (0, 0, 0, 1))

        def advance(time: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            is_present = time < lengths  # (B,)
            position = lengths - 1 - time if self.newest_first else time
            at = torch.where(is_present, starts + position, values.shape[0])
            x = self.extractor_input(padded.index_select(0, at))  # (B, 3H)
            state = gated_step(state, x, is_present.to(x.dtype), self.extractor_state.weight)
            return state, (state * target).sum(1), is_present

        def add_up(time: Tensor, state: Tensor, largest: Tensor, total: Tensor) -> tuple[Tensor, ...]:
            state, score, is_present = advance(time, state)
            new = torch.where(is_present, torch.maximum(largest, score), largest)
            return time + 1, state, new, total * (largest - new).exp() + is_present * (score - new).exp()

        def evolve(time: Tensor, state: Tensor, evolved: Tensor) -> tuple[Tensor, ...]:
            state, score, is_present = advance(time, state)
            weight = torch.where(is_present, (score - largest).exp() / total, 0)
            evolved = gated_step(evolved, self.evolution_input(state), weight, self.evolution_state.weight)
            return time + 1, state, evolved

        zero, none = lengths.new_zeros(()), torch.zeros_like(target)
        lowest = torch.full_like(target[:, 0], torch.finfo(target.dtype).min / 2)
        *_, largest, total = traced_loop(
            lambda time, *_: time < longest, add_up, (zero, none, lowest, torch.zeros_like(lowest))
        )
        # the program does not know that the results of a loop have one value for each row
        every_row = torch.arange(lengths.shape[0], device=lengths.device)
        largest, total = largest.index_select(0, every_row), total.index_select(0, every_row)
        return traced_loop(lambda time, *_: time < longest, evolve, (zero, none, none.clone()))[-1]


class NextElementLoss(nn.Module):
    """Loss of telling the next element from a negative one by the state before it, averaged over all such pairs.

    `L_aux` of the paper of DIEN: -log sigmoid(f(h_t, s_(t+1))) - log(1 - sigmoid(f(h_t, n_(t+1)))). A pair whose
    negative equals the next element does not count.

    Args:
        scorer: f, from state and element side by side to one number; None for their dot product.
    """

    def __init__(self, scorer: nn.Module | None) -> None:
        super().__init__()
        self.scorer = scorer

    def forward(
        self, states: Tensor, sequence: JaggedSequence, steps: Steps, negatives: JaggedSequence | None
    ) -> Tensor:
        """Compute the loss, 0-dimensional; 0 without pairs.

        Args:
            states: states after each element in the order of the steps, `(T, H)`.
            sequence: the elements, `(T, D)`.
            steps: of the sequence.
            negatives: negative of each element at its position in the row; None draws another element of the batch.
        """
        at = steps.has_next.nonzero().squeeze(1)  # (N,)
        following = steps.order[steps.after[at]]  # (N,), in the order of the sequence
        positive = sequence.values[following]
        if negatives is None:
            shift = torch.randint_like(following, 1, max(len(sequence.values), 2))
            negative, is_valid = sequence.values[(following + shift) % len(sequence.values)], torch.ones_like(at).bool()
        else:
            position, lengths = sequence.positions[following], negatives.lengths.long()
            rows, starts = steps.rows[at], lengths.cumsum(0) - lengths
            is_valid = position < lengths[rows]  # false for all if there is none: the added one is not read then
            padded = functional.pad(negatives.values, (0, 0, 0, 1))
            negative = padded[torch.where(is_valid, starts[rows] + position, len(padded) - 1)]
        is_valid = (negative != positive).any(1) & is_valid  # (N,)
        h = states[at]
        losses = functional.softplus(-self._score(h, positive)) + functional.softplus(self._score(h, negative))
        return (losses * is_valid).sum() / is_valid.sum().clamp(min=1)

    def _score(self, states: Tensor, elements: Tensor) -> Tensor:
        """(N, H), (N, D) -> (N,)"""
        if self.scorer is None:
            return (states * elements).sum(1)
        scores: Tensor = self.scorer(torch.cat([states, elements], 1)).squeeze(1)
        return scores.to(states.dtype)
