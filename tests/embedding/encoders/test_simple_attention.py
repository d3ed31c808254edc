from __future__ import annotations

import torch

from tests.embedding.encoders.one import again, outcome
from tzrec.modules.sequence_pooling import DotAttention


def test_reads_the_first_steps_of_its_group() -> None:
    query, steps = ["item", "tags"], ["h__item", "h__tags"]
    made, received = outcome('simple_attention { input: "h" max_seq_length: 2 }', query, steps)
    (encoder,) = made.encoders["deep"]
    assert isinstance(encoder.encode, DotAttention)
    torch.testing.assert_close(received, again(made, 2, query, steps))
    assert not torch.allclose(received, again(made, 3, query, steps))
