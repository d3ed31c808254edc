from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.fixtures.padded_sequences import LENGTHS, double, elements_by_row, from_padded, sample, softmax
from tzrec.modules.jagged_sequence import JaggedSequence
from tzrec.modules.sim import SIM, TimeGapEmbedding

MATCHES = [[], [False], [True, False, True], [True, True, False, True, True]]
GAPS = [0.0, 1.0, 2.5, 3.0, 1e9]


def example(seed: int = 0, with_gaps: bool = False) -> tuple[Tensor, Tensor, JaggedSequence, Tensor]:
    query, sequence, lengths = sample(3, 4, seed)
    if with_gaps:
        sequence[:, :, 1] = torch.tensor(GAPS)
    is_match = torch.tensor([match for row in MATCHES for match in row])
    return query, sequence, from_padded(sequence, lengths), is_match


def naive(module: SIM, query: Tensor, elements: list[Tensor]) -> Tensor:
    """Attention head by head over the elements that are kept."""
    if module.gap_column is not None:
        rows = [min(int(math.log2(1 + s[1].item())), len(module.gap.table.weight) - 1) for s in elements]
        elements = [torch.cat([s[:1], s[2:], module.gap.table.weight[k]]) for s, k in zip(elements, rows, strict=True)]
    heads, size = [], len(module.query.weight) // module.num_heads
    for head in range(module.num_heads):
        at = slice(head * size, (head + 1) * size)
        scores = [float((module.key.weight[at] @ z) @ (module.query.weight[at] @ query)) for z in elements]
        total = torch.zeros(module.out_dim // module.num_heads, dtype=torch.float64)
        heads.append(sum((a * z for a, z in zip(softmax(scores), elements, strict=True)), total))
    return torch.cat(heads)


@pytest.mark.parametrize("with_gaps", [False, True])
@pytest.mark.parametrize("max_matches", [1, 2, 9])
def test_sim_equals_loop(max_matches: int, with_gaps: bool) -> None:
    query, sequence, elements, is_match = example(0, with_gaps)
    gaps = (1, 6, 5) if with_gaps else ()
    module = double(SIM(3, 4, max_matches, 2, 3, *gaps))
    assert isinstance(module, SIM)
    received = module(query, elements, is_match)
    assert received.shape == (4, module.out_dim) == (4, 3 * (8 if with_gaps else 4))
    for row, own in enumerate(elements_by_row(sequence)):
        kept = [s for s, match in zip(own, MATCHES[row], strict=True) if match][:max_matches]
        torch.testing.assert_close(received[row], naive(module, query[row], kept))
    assert received[1].eq(0).all()  # one element, which does not match


def test_sim_gradients_equal_finite_differences() -> None:
    query, _, elements, is_match = example(0, True)
    module = double(SIM(3, 4, 2, 2, 3, 1, 6, 5))
    names = [name for name, _ in module.named_parameters()]

    def forward(query: Tensor, values: Tensor, *weights: Tensor) -> Tensor:
        values = torch.cat([values[:, :1], elements.values[:, 1:2], values[:, 1:]], 1)
        inputs = query, JaggedSequence(values, elements.rows, elements.positions, elements.lengths), is_match
        result: Tensor = torch.func.functional_call(module, dict(zip(names, weights, strict=True)), inputs)
        return result

    others = elements.values[:, [0, 2, 3]]
    assert torch.autograd.gradcheck(forward, (query.requires_grad_(), others.requires_grad_(), *module.parameters()))


def test_buckets_of_time_gaps_double() -> None:
    embedding = TimeGapEmbedding(4, 2)
    gaps = torch.tensor([-5.0, 0.0, 0.9, 1.0, 2.9, 3.0, 6.9, 7.0, 1e12])
    expected = embedding.table.weight[[0, 0, 0, 1, 1, 2, 2, 3, 3]]
    assert torch.equal(embedding(gaps), expected)


def test_sim_in_half_precision_is_near_full_precision() -> None:
    query, _, elements, is_match = example()
    module = double(SIM(3, 4, 2, 2, 3)).float()
    values = elements.values.float()
    inputs = query.float(), JaggedSequence(values, elements.rows, elements.positions, elements.lengths), is_match
    with torch.autocast("cpu", torch.bfloat16):
        received = module(*inputs)
    torch.testing.assert_close(received.float(), module(*inputs), atol=0.05, rtol=0.05)
    assert received[LENGTHS.index(0)].eq(0).all()
