"""Attention of a candidate over the elements of a sequence, with scores from an MLP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tzrec.modules.jagged_sequence import JaggedSequence
from tzrec.modules.mlp import MLP

PairWeights = tuple[Tensor, Tensor, Tensor]
"""Weights for the query, for the element and for their product, `(out, dim)` each."""


class PairLinear(nn.Module):
    """Linear layer on combinations of a query and each element, without concatenating them.

    The query is multiplied once per row, not once per element, and a difference of inputs becomes one of weights. One
    vector per element is saved for the backward pass instead of the four of the concatenation [q, s, q - s, q * s].

    Args:
        dim: width of the query and of an element.
        blocks: number of combinations: the concatenated input would have the width `blocks * dim`.
        combine: from the weights of each combination to those of query, element and product.
        out_features, bias: as of nn.Linear.
    """

    def __init__(
        self, dim: int, blocks: int, combine: Callable[..., PairWeights], out_features: int = 0, bias: bool = True
    ) -> None:
        super().__init__()
        plain = nn.Linear(blocks * dim, out_features, bias)
        self.weight, self.bias = plain.weight, plain.bias
        self._blocks, self._combine = blocks, combine

    def forward(self, pair: tuple[Tensor, JaggedSequence]) -> Tensor:
        """(B, dim), elements (T, dim) -> (T, out_features)"""
        query, sequence = pair
        query_weight, element_weight, product_weight = self._combine(*self.weight.chunk(self._blocks, 1))
        scores = functional.linear(sequence.values, element_weight)
        scores += functional.linear(sequence.of_row(query) * sequence.values, product_weight)
        scores += sequence.of_row(functional.linear(query, query_weight, self.bias))
        return scores


class DIN(nn.Module):
    """`sum_t softmax_t(w . MLP([q, s_t, q - s_t, q * s_t]) + b) s_t` over the elements of a row.

    Zhou et al., Deep Interest Network for Click-Through Rate Prediction, KDD 2018, section 4.3; there the scores are
    not normalized. A query narrower than the elements is padded with zeros.

    Args:
        query_dim: width of the query, at most that of an element.
        dim: width of an element.
        attn_mlp: arguments of the MLP.
    """

    def __init__(self, query_dim: int, dim: int, attn_mlp: Mapping[str, Any]) -> None:
        super().__init__()
        self.out_dim = dim
        self._padding = dim - query_dim
        # on [q, s, q - s, q * s]
        first = partial(PairLinear, dim, 4, lambda q, s, less, times: (q + less, s - less, times))
        self.mlp = MLP(4 * dim, **attn_mlp, first=first)
        self.linear = nn.Linear(self.mlp.out_dim, 1)

    def forward(self, query: Tensor, sequence: JaggedSequence) -> Tensor:
        """(B, query_dim), elements (T, dim) -> (B, dim)"""
        query = functional.pad(query, (0, self._padding))
        scores = self.linear(self.mlp((query, sequence)))  # (T, 1)
        return sequence.attend(scores, sequence.values).squeeze(1)


class MultiWindowDIN(nn.Module):
    """`[1/n_w sum_(t in w) PReLU(v . MLP([s_t, q * s_t, q]) + b) s_t for windows w, q]`, with n_w elements in w.

    Zhu et al., Learning Tree-based Deep Model for Recommender Systems, KDD 2018, section 3.3 and figure 2: the network
    that scores nodes, with the behaviors of time windows averaged by attention. A query narrower than the elements
    is padded with zeros.

    Args:
        query_dim: width of the query, at most that of an element.
        dim: width of an element.
        windows: number of elements of each window; the first window begins at the first element of a sequence.
            Elements after the last window are not read.
        attn_mlp: arguments of the MLP.
    """

    def __init__(self, query_dim: int, dim: int, windows: Sequence[int], attn_mlp: Mapping[str, Any]) -> None:
        super().__init__()
        self.out_dim = dim * (len(windows) + 1)
        self._padding = dim - query_dim
        self.windows = tuple(windows)
        first = partial(PairLinear, dim, 3, lambda s, times, q: (q, s, times))  # on [s, q * s, q]
        self.mlp = MLP(3 * dim, **attn_mlp, first=first)
        self.linear = nn.Linear(self.mlp.out_dim, 1)
        self.activation = nn.PReLU()

    def forward(self, query: Tensor, sequence: JaggedSequence) -> Tensor:
        """(B, query_dim), elements (T, dim) -> (B, dim * (windows + 1))"""
        query = functional.pad(query, (0, self._padding))
        scores = self.activation(self.linear(self.mlp((query, sequence))))  # (T, 1)
        num_rows, num_windows = query.shape[0], len(self.windows) + 1  # the last one is the rest, which is not read
        ends = list(accumulate(self.windows))
        # numbers and no tensor of them, which would be a constant of an exported program
        window = torch.stack([sequence.positions >= end for end in ends]).sum(0)  # (T,)
        weighted = scores * sequence.values  # (T, dim)
        sums = weighted.new_zeros(num_rows * num_windows, weighted.shape[1])
        sums = sums.index_add(0, sequence.rows * num_windows + window, weighted).view(num_rows, num_windows, -1)[:, :-1]
        bounds = zip(ends, self.windows, strict=True)
        counts = [(sequence.lengths - (end - size)).clamp(1, size) for end, size in bounds]  # (B,) of each window
        return torch.cat([(sums / torch.stack(counts, 1).unsqueeze(2)).flatten(1), query], 1)
