from __future__ import annotations

import torch

from tests.fixtures.single_encoder import encode, expected_output
from tzrec.modules.sequence_pooling import DotAttention


def test_encoder_reads_first_elements_up_to_limit() -> None:
    query, steps = ["item", "tags"], ["h__item", "h__tags"]
    module, received = encode('simple_attention { input: "h" max_seq_length: 2 }', query, steps)
    (encoder,) = module.encoders["deep"]
    assert isinstance(encoder.encode, DotAttention)
    torch.testing.assert_close(received, expected_output(module, 2, query, steps))
    assert not torch.allclose(received, expected_output(module, 3, query, steps))
