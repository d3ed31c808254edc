from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tests.fixtures.padded_sequences import LENGTHS, double, elements_by_row, sample, softmax
from tzrec.modules.self_attention import SelfAttention


def test_self_attention_equals_loop() -> None:
    _, sequence, lengths = sample(1, 3)
    module = double(SelfAttention(3, attn_dim=4, heads=2))
    received = module(None, sequence, lengths)
    inner = module.attention
    assert isinstance(inner, nn.MultiheadAttention)
    for row, elements in enumerate(elements_by_row(sequence)):
        projected = []
        for i, outer in enumerate((module.query, module.key, module.value)):
            part = slice(4 * i, 4 * i + 4)
            weight, bias = inner.in_proj_weight[part], inner.in_proj_bias[part]
            projected.append([weight @ (outer.weight @ s + outer.bias) + bias for s in elements])
        total = torch.zeros(4, dtype=torch.float64)
        for t in range(len(elements)):
            heads = []
            for head in (slice(0, 2), slice(2, 4)):
                scores = [float((projected[0][t][head] @ k[head]).detach()) / math.sqrt(2) for k in projected[1]]
                heads.append(sum(a * v[head] for a, v in zip(softmax(scores), projected[2], strict=True)))
            total += inner.out_proj.weight @ torch.cat(heads) + inner.out_proj.bias
        torch.testing.assert_close(received[row], total / max(len(elements), 1))


def test_self_attention_equals_torch() -> None:
    _, sequence, lengths = sample(1, 3)
    module = double(SelfAttention(3, attn_dim=4, heads=2))
    absent = torch.arange(5) >= lengths.unsqueeze(1)
    q, k, v = module.query(sequence), module.key(sequence), module.value(sequence)
    mixed, _ = module.attention(q, k, v, key_padding_mask=absent)
    some = [row for row, length in enumerate(LENGTHS) if length]
    expected = torch.stack([mixed[row, : LENGTHS[row]].mean(0) for row in some])
    torch.testing.assert_close(module(None, sequence, lengths)[some], expected)


def test_self_attention_gradients_with_empty_rows_are_finite() -> None:
    _, sequence, lengths = sample(1, 3)
    module = double(SelfAttention(3, attn_dim=4, heads=2))
    module(None, sequence.requires_grad_(), lengths).sum().backward()
    assert sequence.grad is not None
    assert torch.isfinite(sequence.grad).all()
    assert sequence.grad[LENGTHS.index(0)].eq(0).all()
    assert all(torch.isfinite(parameter.grad).all() for parameter in module.parameters())


def test_self_attention_dropout_in_evaluation_is_off() -> None:
    _, sequence, lengths = sample(1, 3)
    module = double(SelfAttention(3, attn_dim=4, heads=2, dropout=0.5))
    assert not torch.equal(module(None, sequence, lengths), module(None, sequence, lengths))
    module.eval()
    torch.testing.assert_close(module(None, sequence, lengths), module(None, sequence, lengths))


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_self_attention_in_half_precision_masks_padding(half: torch.dtype) -> None:
    _, sequence, lengths = sample(1, 3)
    module = double(SelfAttention(3, attn_dim=4, heads=2)).float()
    with torch.autocast("cpu", half):
        received = module(None, sequence.float(), lengths)
    assert received[LENGTHS.index(0)].eq(0).all()
    torch.testing.assert_close(received.float(), module(None, sequence.float(), lengths), atol=0.03, rtol=0)
