from __future__ import annotations

import torch

from tests.fixtures.single_encoder import encode, expected_output
from tzrec.modules.eta import ETA


def test_encoder_reads_first_elements_up_to_limit() -> None:
    fields = "top_k: 5 num_bits: 8 multihead_attn_dim: 6 num_heads: 3 max_seq_length: 2"
    module, received = encode(f'eta_encoder {{ input: "h" {fields} }}')
    (encoder,) = module.encoders["deep"]
    assert isinstance(encoder.encode, ETA)
    assert (encoder.encode.top_k, encoder.encode.num_bits, encoder.encode.attention.num_heads) == (5, 8, 3)
    assert received.shape == (3, 6)
    torch.testing.assert_close(received, expected_output(module, 2))
    assert not torch.allclose(received, expected_output(module, 3))
