from __future__ import annotations

import torch

from tests.fixtures.single_encoder import encode, expected_output
from tzrec.modules.sdim import SDIM


def test_encoder_reads_first_elements_up_to_limit() -> None:
    fields = "num_bits: 8 bits_per_signature: 2 max_seq_length: 2"
    module, received = encode(f'sdim_encoder {{ input: "h" {fields} }}')
    (encoder,) = module.encoders["deep"]
    assert isinstance(encoder.encode, SDIM)
    assert encoder.encode.codes.projections.shape == (12, 8)  # of the columns of the query
    torch.testing.assert_close(received, expected_output(module, 2))
    assert not torch.allclose(received, expected_output(module, 3))
