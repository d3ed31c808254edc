"""Capsules: several interest vectors of a history, by routing between its elements and capsules."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tzrec.modules.mlp import MLP


class LinearAfterMLP(nn.Module):
    """All hidden units but the last as an MLP, and a plain linear layer to the last.

    Args:
        in_dim: width of the input.
        config: arguments of an MLP; of the dropout ratios only the first one counts, `bias` and `use_ln` do not.
        bias: the linear layers have a bias.
    """

    def __init__(self, in_dim: int, config: dict[str, Any], bias: bool) -> None:
        super().__init__()
        *hidden, out_dim = config["hidden_units"]
        arguments = {"activation": config["activation"], "use_bn": config["use_bn"], "bias": bias}
        self.mlp = MLP(in_dim, hidden, config["dropout_ratio"][:1], **arguments)
        self.linear = nn.Linear(self.mlp.out_dim, out_dim, bias=bias)
        self.out_dim = out_dim

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_dim) -> (..., out_dim)"""
        return self.linear(over_rows(self.mlp, x))


def over_rows(mlp: MLP, x: Tensor) -> Tensor:
    """Apply an MLP to the last axis of a tensor with any number of axes, whose other axes are its rows."""
    return mlp(x.flatten(0, -2)).unflatten(0, x.shape[:-1])


class Capsules(nn.Module):
    """Behavior-to-interest routing (Li et al., Multi-Interest Network with Dynamic Routing, CIKM 2019, section 4.3).

    All elements x_t of a row are projected, `x^_t = x_t S`. In each iteration an element has couplings
    `c_t = softmax_k(scale b_tk)` over the capsules of its row, and a capsule is `h_k = sum_t c_tk x^_t`. The result is
    squashed, `h (n^2 / (1 + n^2))^p / n` with `n = |h|`. Between iterations the logits change:

    - routing of TorchEasyRec: `b_tk <- c_tk + h_k . x^_t / |x^_t|`
    - routing of the paper (algorithm 1): `b_tk <- b_tk + squash(h_k) . x^_t`

    Gradients flow through the last iteration only, not through the couplings. A row of n elements has
    `ceil(max(1, min(max_k, log2(n))))` capsules; the others are zero.

    Args:
        in_dim: width of the elements.
        config: fields of `B2ICapsule`.

    Attributes:
        initial_logits: b of the first iteration, `(max_seq_len, max_k)`, the same for all rows: drawn once, so that
            evaluation and serving are deterministic.
        length_bounds: `(max_k,)`; a row has the capsules whose bound is below its number of elements.
    """

    initial_logits: Tensor
    length_bounds: Tensor

    def __init__(self, in_dim: int, config: dict[str, Any]) -> None:
        super().__init__()
        self.out_dim, self.max_k, self._max_length = config["high_dim"], config["max_k"], config["max_seq_len"]
        self._num_iterations, self._scale = config["num_iters"], config["routing_logits_scale"]
        self._power, self._is_constant = config["squash_pow"], config["const_caps_num"]
        self._is_accumulated = config["routing"] == "ACCUMULATED"
        self.bilinear = nn.Parameter(torch.randn(in_dim, self.out_dim))  # S
        initial = torch.zeros(self._max_length, self.max_k)
        if config["routing_init_method"] == "normal":
            initial = torch.randn(self._max_length, self.max_k) * config["routing_logits_stddev"]
        self.register_buffer("initial_logits", initial)
        # a buffer, not numbers computed in the program: with those, compiled code had wrong numbers of capsules
        self.register_buffer("length_bounds", torch.tensor([-1.0, *(2.0**j for j in range(1, self.max_k))]))

    def forward(self, sequence: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Route elements `(B, L, in_dim)` of rows with `(B,)` elements, of which the first max_seq_len count.

        Returns:
            capsules `(B, max_k, out_dim)`, and bool `(B, max_k)`: True for those that the row has.
        """
        sequence, lengths = sequence[:, : self._max_length], lengths.clamp(max=self._max_length)
        positions = torch.arange(sequence.shape[1], device=lengths.device)
        is_element = (positions < lengths.unsqueeze(1)).unsqueeze(2)  # (B, L, 1)
        is_capsule = self._is_capsule(lengths)  # (B, K)
        with torch.autocast(sequence.device.type, enabled=False):
            wide = torch.promote_types(sequence.dtype, torch.float32)  # sums and squares of many elements
            elements = sequence.to(wide).masked_fill(~is_element, 0.0) @ self.bilinear.to(wide)  # (B, L, D)
            capsules = self._route(elements, is_element, is_capsule.unsqueeze(1))
        return capsules * is_capsule.unsqueeze(2), is_capsule

    def _is_capsule(self, lengths: Tensor) -> Tensor:
        """Capsule j is valid if j < log2(length), or j = 0; compared as 2^j < length, which is exact."""
        is_capsule = lengths.to(self.length_bounds.dtype).unsqueeze(1) > self.length_bounds
        return torch.ones_like(is_capsule) if self._is_constant else is_capsule

    def _route(self, elements: Tensor, is_element: Tensor, is_capsule: Tensor) -> Tensor:
        constant = elements.detach()
        initial = self.initial_logits.index_select(0, torch.arange(elements.shape[1], device=elements.device))
        logits = initial.to(elements.dtype).expand(elements.shape[0], -1, -1)  # (B, L, K)
        for _ in range(self._num_iterations - 1):
            couplings = self._couplings(logits, is_element, is_capsule)
            capsules = couplings.mT @ constant  # (B, K, D)
            if self._is_accumulated:
                logits = logits + constant @ self._squash(capsules).mT
            else:
                logits = couplings + functional.normalize(constant, dim=2) @ capsules.mT
        return self._squash(self._couplings(logits, is_element, is_capsule).mT @ elements)

    def _couplings(self, logits: Tensor, is_element: Tensor, is_capsule: Tensor) -> Tensor:
        """(B, L, K) -> (B, L, K); 0 for padding and for capsules that the row does not have."""
        return (logits * self._scale).masked_fill(~is_capsule, -math.inf).softmax(2) * is_element

    def _squash(self, capsules: Tensor) -> Tensor:
        norms = capsules.norm(dim=2, keepdim=True).clamp(min=1e-7)
        squares = norms**2
        return capsules * ((squares / (1 + squares)) ** self._power / norms)
