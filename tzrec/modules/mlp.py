"""MLP: layers of linear, norm, activation, dropout."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

from tzrec.errors import ConfigError, Problem
from tzrec.modules.activation import activation as make_activation
from tzrec.modules.batch_norm import BatchNorm
from tzrec.modules.dropout import Dropout
from tzrec.ops import relu_mlp


class MLP(nn.Module):
    """A stack of `linear (+ batch or layer norm) (+ activation) (+ dropout)`; without layers, the identity.

    Args:
        in_dim: width of the input.
        hidden_units: width of each layer.
        dropout_ratio: none, one for all layers, or one for each.
        activation: see `tzrec.modules.activation.activation`; it follows the last layer too.
        use_bn: batch norm after each linear, which then has no bias of its own.
        bias: the linears have a bias.
        use_ln: layer norm after each linear.
        first: constructor of the first linear from its out_features and bias, where its input is not `(B, in_dim)`.

    Raises:
        ConfigError: both norms, or a wrong number of dropout ratios.
    """

    def __init__(
        self,
        in_dim: int,
        hidden_units: Sequence[int],
        dropout_ratio: Sequence[float] = (),
        activation: str = "nn.ReLU",
        use_bn: bool = False,
        bias: bool = True,
        use_ln: bool = False,
        first: Callable[..., nn.Module] | None = None,
    ) -> None:
        super().__init__()
        if use_bn and use_ln:
            raise ConfigError([Problem("use_ln", "use_bn and use_ln are both true; choose one")])
        dims = [in_dim, *hidden_units]
        ratios = _per_layer(dropout_ratio, len(hidden_units))
        self.out_dim = dims[-1]
        self._relu_mlp = relu_mlp.select()
        self._is_relu_stack = not (use_bn or use_ln) and bias
        self.layers = nn.Sequential()
        for layer_in, layer_out, ratio in zip(dims[:-1], dims[1:], ratios, strict=True):
            layer: OrderedDict[str, nn.Module] = OrderedDict()
            make = first if first and len(self.layers) == 0 else partial(nn.Linear, layer_in)
            layer["linear"] = make(out_features=layer_out, bias=bias and not use_bn)
            if use_bn:
                layer["norm"] = BatchNorm(layer_out)
            if use_ln:
                layer["norm"] = nn.LayerNorm(layer_out)
            if (active := make_activation(activation, layer_out)) is not None:
                layer["activation"] = active
            self._is_relu_stack &= type(active) is nn.ReLU
            if ratio > 0:
                layer["dropout"] = Dropout(ratio)
            self.layers.append(nn.Sequential(layer))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_dim) -> (B, out_dim)"""
        if not self._is_relu_stack:
            return self.layers(x)
        run: list[nn.Linear] = []
        for layer in self.layers:
            linear = layer.get_submodule("linear")
            if not isinstance(linear, nn.Linear):
                x = layer(x)  # a first layer of another kind
                continue
            run.append(linear)
            if self.training and hasattr(layer, "dropout"):
                x = layer.get_submodule("dropout")(self._relu_layers(x, run))
                run = []
        return self._relu_layers(x, run)

    def hidden(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Outputs of all layers for `(B, in_dim)`, `(B, units)` each; the last is that of `forward`."""
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return outputs

    def _relu_layers(self, x: torch.Tensor, linears: Sequence[nn.Linear]) -> torch.Tensor:
        """Consecutive linear + ReLU layers in one call."""
        if not linears:
            return x
        return self._relu_mlp(x, [linear.weight for linear in linears], [linear.bias for linear in linears])


def _per_layer(ratios: Sequence[float], layers: int) -> Sequence[float]:
    if len(ratios) not in (0, 1, layers):
        message = f"{len(ratios)} values for {layers} layers; give none, one, or {layers}"
        raise ConfigError([Problem("dropout_ratio", message)])
    return ratios if len(ratios) == layers else [*(ratios or [0.0])] * layers
