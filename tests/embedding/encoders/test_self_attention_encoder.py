from __future__ import annotations

import torch

from tests.embedding.encoders.one import again, outcome
from tzrec.modules.self_attention import SelfAttention


def test_reads_the_first_steps_of_its_group() -> None:
    fields = "multihead_attn_dim: 12 num_heads: 3 dropout: 0.5 max_seq_length: 2"
    made, received = outcome(f'self_attention_encoder {{ input: "h" {fields} }}', [])
    (encoder,) = made.encoders["deep"]
    assert isinstance(encoder.encode, SelfAttention)
    assert (encoder.encode.attention.num_heads, encoder.encode.attention.dropout) == (3, 0.5)
    assert received.shape == (3, 12)
    torch.testing.assert_close(received, again(made, 2, []))
    assert not torch.allclose(received, again(made, 3, []))
