from __future__ import annotations

import torch

from tests.fixtures.sequence_batch import padded
from tests.fixtures.single_encoder import encode, expected_output


def test_pooling_of_first_elements_up_to_limit() -> None:
    """Rows of 2, 0 and 3 steps, of which the first two are read."""
    first = padded(["h__item", "h__price"], 2).sum(1)
    for text, expected in (("", first / torch.tensor([[2.0], [1.0], [2.0]])), ('pooling_type: "sum"', first)):
        _, received = encode(f'pooling_encoder {{ input: "h" max_seq_length: 2 {text} }}', [], ["h__item", "h__price"])
        torch.testing.assert_close(received, expected)


def test_pooling_without_limit_reads_all_elements() -> None:
    module, received = encode('pooling_encoder { input: "h" }')
    torch.testing.assert_close(received, expected_output(module, 3))
