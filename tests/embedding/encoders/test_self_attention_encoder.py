from __future__ import annotations

import torch

from tests.fixtures.single_encoder import encode, expected_output
from tzrec.modules.self_attention import SelfAttention


def test_encoder_reads_first_elements_up_to_limit() -> None:
    fields = "multihead_attn_dim: 12 num_heads: 3 dropout: 0.5 max_seq_length: 2"
    module, received = encode(f'self_attention_encoder {{ input: "h" {fields} }}', [])
    (encoder,) = module.encoders["deep"]
    assert isinstance(encoder.encode, SelfAttention)
    assert (encoder.encode.attention.num_heads, encoder.encode.attention.dropout) == (3, 0.5)
    assert received.shape == (3, 12)
    torch.testing.assert_close(received, expected_output(module, 2, []))
    assert not torch.allclose(received, expected_output(module, 3, []))
