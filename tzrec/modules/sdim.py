"""SDIM: sums of the elements of a long sequence that share hash signatures with the candidate."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional

from tzrec.modules.jagged_sequence import JaggedSequence
from tzrec.modules.random_codes import RandomCodes


class SDIM(nn.Module):
    """`1/G sum_g normalize(sum_t [sig_g(s_t) = sig_g(q)] s_t)` with G signatures; 0 for one that no element shares.

    Cao et al., Sampling Is All You Need on Modeling Long-Term User Behaviors for CTR Prediction, CIKM 2022. A signature
    is a group of bits. Without the normalization, an element would count in proportion to
    `(1 - angle / pi)^bits_per_signature`. There are no weights and signatures have no gradient.

    Args:
        query_dim: width of the query; it is compared with as many columns of the elements, from the first.
        dim: width of an element.
        num_bits: number of bits.
        bits_per_signature: a divisor of num_bits; G = num_bits / bits_per_signature.
    """

    def __init__(self, query_dim: int, dim: int, num_bits: int, bits_per_signature: int) -> None:
        super().__init__()
        self.out_dim, self.bits_per_signature = dim, bits_per_signature
        self.num_signatures = num_bits // bits_per_signature
        self.codes = RandomCodes(query_dim, num_bits)

    def forward(self, query: Tensor, sequence: JaggedSequence) -> Tensor:
        """(B, query_dim), elements (T, dim) -> (B, dim)"""
        is_equal = sequence.of_row(self.codes(query)) == self.codes(sequence.values)  # (T, num_bits)
        # a quarter of the time of `all(2)`
        is_shared = reduce(torch.logical_and, is_equal.unflatten(1, (-1, self.bits_per_signature)).unbind(2))  # (T, G)
        # of the transpose, so that the buckets, `signature * B + row`, are in ascending order
        signature, element = is_shared.t().nonzero().unbind(1)  # (P,), P is about T * G / 2^bits_per_signature
        buckets = signature * query.shape[0] + sequence.rows.index_select(0, element)
        sizes = buckets.new_zeros(self.num_signatures * query.shape[0])
        sizes = sizes.index_add(0, buckets, torch.ones_like(buckets))  # (G * B,)
        starts = sizes.cumsum(0) - sizes
        values = sequence.values.to(torch.promote_types(sequence.values.dtype, torch.float32))
        # the sums read the elements in place: a copy of all shared ones would be (P, dim)
        sums = functional.embedding_bag(element, values, starts, mode="sum")  # (G * B, dim)
        return functional.normalize(sums, dim=1).unflatten(0, (self.num_signatures, -1)).mean(0)
