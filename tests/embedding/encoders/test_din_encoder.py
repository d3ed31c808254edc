from __future__ import annotations

import torch

from tests.fixtures.single_encoder import encode, expected_output
from tzrec.modules.din import DIN


def test_encoder_reads_first_elements_up_to_limit() -> None:
    module, received = encode('din_encoder { input: "h" attn_mlp { hidden_units: [6, 3] } max_seq_length: 2 }')
    (encoder,) = module.encoders["deep"]
    assert isinstance(encoder.encode, DIN)
    assert [len(layer.linear.weight) for layer in encoder.encode.mlp.layers] == [6, 3]
    torch.testing.assert_close(received, expected_output(module, 2))
    assert not torch.allclose(received, expected_output(module, 3))
    assert received[1].eq(0).all()
