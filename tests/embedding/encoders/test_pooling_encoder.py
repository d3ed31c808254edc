from __future__ import annotations

import torch

from tests.embedding.encoders.one import again, outcome
from tests.embedding.stepped import padded


def test_means_and_sums_of_the_first_steps() -> None:
    """Rows of 2, 0 and 3 steps, of which the first two are read."""
    first = padded(["h__item", "h__price"], 2).sum(1)
    for text, expected in (("", first / torch.tensor([[2.0], [1.0], [2.0]])), ('pooling_type: "sum"', first)):
        _, received = outcome(f'pooling_encoder {{ input: "h" max_seq_length: 2 {text} }}', [], ["h__item", "h__price"])
        torch.testing.assert_close(received, expected)


def test_all_steps_without_a_limit() -> None:
    made, received = outcome('pooling_encoder { input: "h" }')
    torch.testing.assert_close(received, again(made, 3))
