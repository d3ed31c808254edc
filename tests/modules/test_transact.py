from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.fixtures.padded_sequences import double, elements_by_row, from_padded, sample
from tests.fixtures.reference import Array, Weights, linear, weights
from tests.fixtures.transformer import naive_block
from tzrec.modules.transact import TransAct
from tzrec.modules.transformer import TransformerBlock

SIZE, LATEST = 4, 2


def build(gap_column: int | None, max_window: int = 0) -> TransAct:
    width = 6 if gap_column is None else 5
    blocks = [TransformerBlock(width, 1, 3, "nn.ReLU", 0.0, 0.0) for _ in range(2)]
    return double(TransAct(2, 4, SIZE, LATEST, blocks, gap_column, max_window))


def naive(w: Weights, query: Array, elements: list[Array], gap_column: int | None, window: float) -> Array:
    """Output for one row."""
    elements = elements[:SIZE]
    tokens, mask = [], []
    for t, element in enumerate(elements):
        kept = element if gap_column is None else np.delete(element, gap_column)
        tokens.append(np.concatenate([kept, query]))
        mask.append(t == 0 or gap_column is None or element[gap_column] >= window)
    x = np.stack(tokens)
    for block in range(2):
        x = naive_block(w, f"blocks.{block}.", x, np.array(mask), 1, lambda h: np.maximum(h, 0))
    latest = np.zeros((LATEST, x.shape[1]))
    latest[: len(x)] = x[:LATEST]
    return np.concatenate([linear(w, "pooled", x.max(0)), latest.flatten()])


@pytest.mark.parametrize("gap_column", [None, 0, 2])
def test_transact_equals_loop(gap_column: int | None) -> None:
    """Random gaps: about half of the actions are in the future and not attended to, except the first."""
    query, sequence, lengths = sample(2, 4)
    module = build(gap_column, max_window=9).eval()
    received = module(query, from_padded(sequence, lengths)).detach().numpy()
    assert received.shape == (4, module.out_dim)
    w = weights(module)
    for row, elements in enumerate(elements_by_row(sequence)):
        if not elements:
            assert not received[row].any()
            continue
        expected = naive(w, query[row].numpy(), [element.numpy() for element in elements], gap_column, 0)
        np.testing.assert_allclose(received[row], expected, rtol=0, atol=1e-12)


def test_window_is_drawn_for_each_batch_of_training() -> None:
    """Windows 0, 1 and 2 of gaps 0, 1, 2, 3."""
    query, sequence, _ = sample(2, 4)
    sequence[3, :, 1] = torch.arange(5)
    one = from_padded(sequence[3:], torch.tensor([4]))
    module = build(1, max_window=2)
    elements = [element.numpy() for element in sequence[3, :4]]
    possible = [naive(weights(module), query[3].numpy(), elements, 1, window) for window in (0, 1, 2)]
    assert np.abs(possible[1] - possible[2]).max() > 1e-3  # the first is attended to in any case
    np.testing.assert_allclose(possible[0], possible[1])
    torch.manual_seed(0)
    drawn = set()
    for _ in range(30):
        received = module(query[3:], one)[0].detach().numpy()
        distances = [np.abs(received - expected).max() for expected in possible[1:]]
        assert min(distances) < 1e-12
        drawn.add(int(np.argmin(distances)))
    assert drawn == {0, 1}
