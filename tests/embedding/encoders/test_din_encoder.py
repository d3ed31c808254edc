from __future__ import annotations

import torch

from tests.embedding.encoders.one import again, outcome
from tzrec.modules.din import DIN


def test_reads_the_first_steps_of_its_group() -> None:
    made, received = outcome('din_encoder { input: "h" attn_mlp { hidden_units: [6, 3] } max_seq_length: 2 }')
    (encoder,) = made.encoders["deep"]
    assert isinstance(encoder.encode, DIN)
    assert [len(layer.linear.weight) for layer in encoder.encode.mlp.layers] == [6, 3]
    torch.testing.assert_close(received, again(made, 2))
    assert not torch.allclose(received, again(made, 3))
    assert received[1].eq(0).all()
