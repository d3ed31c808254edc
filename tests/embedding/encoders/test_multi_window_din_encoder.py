from __future__ import annotations

import torch

from tests.fixtures.sequence_batch import queries
from tests.fixtures.single_encoder import encode, expected_output
from tzrec.modules.din import MultiWindowDIN


def test_encoder_reads_its_windows() -> None:
    text = 'multi_window_din_encoder { input: "h" attn_mlp { hidden_units: [6] } windows_len: [1, 1] }'
    module, received = encode(text)
    (encoder,) = module.encoders["deep"]
    assert isinstance(encoder.encode, MultiWindowDIN)
    torch.testing.assert_close(received, expected_output(module, 2))
    width = 4 + 8 + 2
    assert received.shape == (3, 3 * width)
    torch.testing.assert_close(received[:, 2 * width : 2 * width + 12], queries(["item", "tags"]))
    assert received[:, -2:].eq(0).all()  # the query is two narrower than a step
