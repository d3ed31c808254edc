from __future__ import annotations

import torch

from tests.fixtures.single_encoder import encode, expected_output
from tzrec.modules.transact import TransAct


def test_encoder_reads_first_elements_up_to_limit() -> None:
    module, received = encode('transact_encoder { input: "h" max_seq_length: 2 num_latest: 9 }')
    (encoder,) = module.encoders["deep"]
    assert isinstance(encoder.encode, TransAct)
    assert [block.forward_layers[0].out_features for block in encoder.encode.blocks] == [32, 32]
    assert received.shape == (3, 3 * 26)  # the largest, and two elements of 14 with a candidate of 12
    torch.testing.assert_close(received, expected_output(module, 2))
    assert not torch.allclose(received[2], expected_output(module, 1)[2])
    assert received[1].eq(0).all()


def test_default_reads_100_elements_and_returns_10() -> None:
    module, received = encode('transact_encoder { input: "h" }')
    (encoder,) = module.encoders["deep"]
    assert encoder.encode._num_elements == 100
    assert received.shape == (3, 11 * 26)
    assert (encoder.encode.blocks[0].dropout.ratio, encoder.encode._max_window) == (0.1, 3600)
