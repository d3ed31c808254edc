from __future__ import annotations

import torch

from tzrec.modules.bottom import Bottom
from tzrec.modules.experts import MixtureOfExperts
from tzrec.modules.mlp import MLP


def test_bottom_without_layers_returns_input() -> None:
    x = torch.randn(3, 4)
    bottom = Bottom(4, 2)
    assert bottom.out_dim == 4
    assert all(output is x for output in bottom(x)) and len(bottom(x)) == 2


def test_bottom_with_layers_and_experts() -> None:
    x = torch.randn(3, 4)
    bottom = Bottom(4, 2, {"hidden_units": [5]}, 3, {"hidden_units": [6]}, {"hidden_units": [2]})
    mlp, experts = MLP(4, [5]), MixtureOfExperts(5, 3, {"hidden_units": [6]}, 2, {"hidden_units": [2]})
    mlp.load_state_dict(bottom.mlp.state_dict())
    experts.load_state_dict(bottom.experts.state_dict())
    assert bottom.out_dim == 6
    for received, expected in zip(bottom(x), experts(mlp(x)), strict=True):
        assert torch.equal(received, expected)
