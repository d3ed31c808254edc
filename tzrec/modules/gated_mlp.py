"""Gate and GatedMLP: layers whose outputs are scaled by gates on another input."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from tzrec.modules.mlp import MLP


class Gate(nn.Module):
    """`gamma sigmoid(W2 relu(W1 x))`: a factor from 0 to gamma for each of `out_dim` columns.

    Chang et al., PEPNet: Parameter and Embedding Personalized Network for Infusing with Personalized Prior
    Information, KDD 2023, section 2.3.
    """

    def __init__(self, in_dim: int, out_dim: int, hidden_dim: int, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma
        self.hidden, self.out = MLP(in_dim, [hidden_dim]), nn.Linear(hidden_dim, out_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_dim) -> (B, out_dim)"""
        return self.gamma * torch.sigmoid(self.out(self.hidden(x)))


class GatedMLP(nn.Module):
    """Layers `dropout(act(W h) * gate)`; each has its own gate on the same gate input.

    One matrix product for the hidden layers of all gates was measured to be slower than one each with fused ReLU.

    Args:
        in_dim: width of the input.
        gate_dim: width of the input of the gates.
        hidden_units: width of each layer.
        gamma: greatest factor of the gates.
        dropout_ratio: none, one for all layers, or one for each.
        activation: as `MLP` takes it.
    """

    def __init__(
        self,
        in_dim: int,
        gate_dim: int,
        hidden_units: Sequence[int],
        gamma: float,
        dropout_ratio: Sequence[float] = (),
        activation: str = "nn.ReLU",
    ) -> None:
        super().__init__()
        dims = [in_dim, *hidden_units]
        is_per_layer = len(dropout_ratio) > 1
        self.layers = nn.ModuleList(
            MLP(dims[i], [units], dropout_ratio[i : i + 1] if is_per_layer else dropout_ratio, activation)
            for i, units in enumerate(hidden_units)
        )
        self.out_dim = dims[-1]
        self.gates = nn.ModuleList(Gate(gate_dim, units, units, gamma) for units in hidden_units)

    def forward(self, x: torch.Tensor, gate_input: torch.Tensor) -> torch.Tensor:
        """(B, in_dim) and (B, gate_dim) -> (B, out_dim)"""
        for layer, gate in zip(self.layers, self.gates):
            x = layer(x) * gate(gate_input)  # elements dropped by the layer are zero after the gate too
        return x
