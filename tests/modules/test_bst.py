from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.fixtures.padded_sequences import LENGTHS, double, elements_by_row, from_padded, sample
from tests.fixtures.reference import Array, Weights, layer_norm, linear, weights
from tests.fixtures.transformer import naive_block
from tzrec.modules.bst import BST, BSTShape
from tzrec.modules.transformer import TransformerBlock


def naive(w: Weights, shape: BSTShape, query: Array, elements: list[Array]) -> Array:
    """Output for one row: candidate and elements at their places, then the blocks."""
    dim, size = len(elements[0]), shape.num_elements
    tokens, places = list(elements[:size]), list(range(len(elements[:size])))
    if shape.target == "head":
        tokens, places = [np.concatenate([query, w["target_columns"]]), *tokens], [0, *[place + 1 for place in places]]
    if shape.target == "tail":
        tokens, places = [*tokens, np.concatenate([query, w["target_columns"]])], [*places, size]
    x = np.stack(tokens)
    if shape.hidden_dim != dim:
        x = np.stack([linear(w, "projection", token) for token in x])
    if shape.has_positions:
        x = x + w["positions"][places]
    if shape.is_normalized:
        x = layer_norm(w, "input_norm.0", x)
    for block in range(2):
        x = naive_block(w, f"blocks.{block}.", x, np.ones(len(x)), 2, lambda h: np.where(h > 0, h, 0.01 * h))
    outputs = np.zeros((shape.num_tokens, shape.hidden_dim))
    outputs[places] = x
    return outputs.flatten() if shape.has_all_outputs else outputs[0]


CASES = [
    pytest.param(BSTShape(4, "head", 6, True, True, True), id="of EasyRec"),
    pytest.param(BSTShape(5, "head", 4, False, False, True), id="of the paper"),
    pytest.param(BSTShape(9, "tail", 4, True, False, True), id="tail"),
    pytest.param(BSTShape(4, "ignore", 6, True, True, False), id="first of the elements"),
    pytest.param(BSTShape(4, "head", 4, False, True, False), id="candidate only"),
]


@pytest.mark.parametrize("shape", CASES)
def test_bst_equals_loop(shape: BSTShape) -> None:
    query, sequence, lengths = sample(2, 4)
    blocks = [TransformerBlock(shape.hidden_dim, 2, 5, "nn.LeakyReLU", 0.5, 0.5) for _ in range(2)]
    module = double(BST(2, 4, shape, blocks, 0.5, 0.02)).eval()
    received = module(query, from_padded(sequence, lengths)).detach().numpy()
    assert received.shape == (4, module.out_dim)
    w = weights(module)
    for row, elements in enumerate(elements_by_row(sequence)):
        if not elements:
            assert not received[row].any()
            continue
        expected = naive(w, shape, query[row].numpy(), [element.numpy() for element in elements])
        np.testing.assert_allclose(received[row], expected, rtol=0, atol=1e-12)
    assert LENGTHS[0] == 0


def test_initial_weights_are_within_two_deviations_and_norms_are_plain() -> None:
    shape = BSTShape(50, "head", 64, True, True, True)
    module = BST(2, 4, shape, [TransformerBlock(64, 2, 64, "nn.GELU", 0.1, 0.1)], 0.1, 0.02)
    for name, parameter in module.named_parameters():
        if "norm" in name:
            assert parameter.unique().tolist() == [float(name.endswith("weight"))]
        elif name.endswith("bias"):
            assert parameter.eq(0).all()
        else:
            assert 0 < parameter.abs().max() <= 0.04
    assert module.positions is not None
    assert module.positions.std().item() == pytest.approx(0.02 * 0.88, rel=0.05)  # of a normal cut at 2 deviations


def test_order_of_elements_matters_with_positions_only() -> None:
    query, sequence, lengths = sample(2, 4)
    swapped = sequence.clone()
    swapped[3, [0, 2]] = sequence[3, [2, 0]]
    for has_positions in (False, True):
        shape = BSTShape(5, "head", 4, has_positions, False, False)
        module = double(BST(2, 4, shape, [TransformerBlock(4, 2, 5, "nn.GELU", 0.0, 0.0)], 0.0, 0.02)).eval()
        outputs = [module(query, from_padded(x, lengths))[3] for x in (sequence, swapped)]
        assert torch.allclose(*outputs) is not has_positions
