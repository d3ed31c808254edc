"""Gated recurrent unit over sequences of different lengths, with a factor on each update."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def gated_step(state: Tensor, x: Tensor, factor: Tensor, weight: Tensor) -> Tensor:
    """Advance the states of some rows by one element.

    `u = factor * sigmoid(x_u + W_u h)`, `r = sigmoid(x_r + W_r h)`, `c = tanh(x_c + r * (W_c h))`,
    `h' = (1 - u) * h + u * c`: Zhou et al., Deep Interest Evolution Network for Click-Through Rate Prediction,
    AAAI 2019, sections "Interest Extractor Layer" and, with a factor, "Interest Evolving Layer".

    Args:
        state: h, `(B, H)`.
        x: x_u, x_r and x_c side by side, `(B, 3H)`.
        factor: `(B,)`; 0 leaves the state of a row as it is.
        weight: W_u, W_r and W_c, `(3H, H)`.

    Returns:
        h', `(B, H)`.
    """
    x_update, x_reset, x_candidate = x.chunk(3, 1)
    h_update, h_reset, h_candidate = (state @ weight.t()).chunk(3, 1)
    update = (x_update + h_update).sigmoid() * factor.unsqueeze(1)
    candidate = (x_candidate + (x_reset + h_reset).sigmoid() * h_candidate).tanh()
    return state + update * (candidate - state)


def gated_scan(x: Tensor, factors: Tensor, weight: Tensor, sizes: Sequence[int]) -> Tensor:
    """Advance the states of all rows, from zero, by all of their elements.

    The elements come step after step: the first ones of all rows, then the second ones, and so on. The order of the
    rows is the same in each step, longest first, so that the rows of a step are the first ones of the step before.
    Padding costs nothing. Forward and backward take a half to a third of the time of nn.GRU on a PackedSequence on one
    core (1024 rows of up to 50 elements of 32 values); a backward pass of its own was no faster.

    Args:
        x: inputs of the elements, `(T, 3H)`, see `gated_step`.
        factors: on the update of each element, `(T,)`.
        weight: `(3H, H)`.
        sizes: number of rows of each step, never increasing; their sum is T.

    Returns:
        The state after each element, `(T, H)`.
    """
    state = x.new_zeros(sizes[0] if sizes else 0, weight.shape[1])
    states = [state[:0]]
    for size, inputs, factor in zip(sizes, x.split(list(sizes)), factors.split(list(sizes)), strict=True):
        state = gated_step(state[:size], inputs, factor, weight)
        states.append(state)
    return torch.cat(states)
