from __future__ import annotations

import torch

from tzrec.modules.gated_mlp import Gate, GatedMLP


def test_gate_of_one_row_equals_scaled_sigmoid() -> None:
    """Hidden relu(2 - 1) = 1 and relu(-3 - 1) = 0; out 0 and log 3 of it: sigmoid 1/2 and 3/4, times 2."""
    gate = Gate(1, 2, 1, gamma=2.0)
    with torch.no_grad():
        gate.hidden.layers[0].linear.weight.fill_(1)
        gate.hidden.layers[0].linear.bias.fill_(-1)
        gate.out.weight.copy_(torch.tensor([[0.0], [torch.tensor(3.0).log()]]))
        gate.out.bias.zero_()
    torch.testing.assert_close(gate(torch.tensor([[2.0], [-3.0]])), torch.tensor([[1.0, 1.5], [1.0, 1.0]]))


def test_gated_mlp_dropout_ratio_per_layer_or_for_all() -> None:
    """One ratio per layer, or one for all; dropped elements are zero after the gate."""
    for ratio, expected in (([0.0, 0.5], [False, True]), ([0.5], [True, True]), ([], [False, False])):
        mlp = GatedMLP(4, 3, [64, 32], 2.0, ratio, activation="nn.Sigmoid")
        dropped = []
        for layer, gate, width in zip(mlp.layers, mlp.gates, (4, 64), strict=True):
            dropped.append(bool((layer(torch.randn(8, width)) * gate(torch.randn(8, 3)) == 0).any()))
        assert dropped == expected
        x, known = torch.randn(8, 4), torch.randn(8, 3)
        assert torch.equal(mlp.eval()(x, known), mlp(x, known))


def test_gated_mlp_without_layers_is_identity() -> None:
    x = torch.randn(3, 4)
    mlp = GatedMLP(4, 2, [], 2.0)
    assert mlp.out_dim == 4
    assert torch.equal(mlp(x, torch.randn(3, 2)), x)
