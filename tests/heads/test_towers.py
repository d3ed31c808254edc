from __future__ import annotations

import torch

from tzrec.heads.head import Head
from tzrec.heads.towers import Towers

HEADS = [Head("ctr", "clk", 1, {}), Head("train", "kind", 3, {}, tower={"hidden_units": [2]})]


def test_parameters_are_named_by_head() -> None:
    """The name of a head may be an attribute of every module, as `train` is."""
    assert list(Towers(HEADS, 4).state_dict()) == [
        "tower_ctr.linear.weight",
        "tower_ctr.linear.bias",
        "tower_train.mlp.layers.0.linear.weight",
        "tower_train.mlp.layers.0.linear.bias",
        "tower_train.linear.weight",
        "tower_train.linear.bias",
    ]
    assert list(Towers([Head("", "clk", 1, {})], 4).state_dict()) == ["tower.linear.weight", "tower.linear.bias"]


def test_logits_equal_their_formula() -> None:
    """Every weight is 1, every bias 1: ctr is the sum + 1, the other 2 relu(sum + 1) + 1."""
    towers = Towers(HEADS, 2)
    with torch.no_grad():
        for parameter in towers.parameters():
            parameter.fill_(1)
    logits = towers([torch.tensor([[1.0, 2.0], [0.0, -3.0]]), torch.tensor([[3.0, 4.0], [0.0, -3.0]])])
    assert list(logits) == ["ctr", "train"]
    assert logits["ctr"].tolist() == [[4.0], [-2.0]]
    assert logits["train"].tolist() == [[17.0] * 3, [1.0] * 3]
