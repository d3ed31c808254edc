"""Stacks of layers: DNN of EasyRec as MLP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tzrec.migration.easyrec.source import Source
from tzrec.protos.module_pb2 import MLP

ACTIVATIONS: Mapping[str, str] = {
    "relu": "nn.ReLU",
    "leaky_relu": "nn.LeakyReLU",
    "elu": "nn.ELU",
    "selu": "nn.SELU",
    "tanh": "nn.Tanh",
    "sigmoid": "nn.Sigmoid",
    "swish": "nn.SiLU",
    "silu": "nn.SiLU",
    "gelu": "nn.GELU",
    "prelu": "nn.PReLU",
    "dice": "Dice",
    "": "",
}
"""Activation there, without `tf.nn.` -> activation here."""


def convert_layers(dnn: Source | None, target: MLP, cut: int = 0, default: Sequence[int] = ()) -> int:
    """Convert a stack of layers.

    Args:
        dnn: None for the defaults.
        target: receives the layers.
        cut: number of last layers to leave out, which are layers of their own here.
        default: hidden units where none are given.

    Returns:
        Width of the first layer that was left out, 0 if none was.
    """
    units = [int(width) for width in dnn.numbers("hidden_units")] if dnn is not None else []
    units = [width for width in units or default if width > 0]  # [0] is the identity there
    kept = units[: len(units) - cut] if cut else units
    target.SetInParent()
    target.hidden_units.extend(kept)
    target.use_bn = dnn.flag("use_bn", True) if dnn is not None else True
    activation = (dnn.text("activation", "relu") if dnn is not None else "relu").removeprefix("tf.nn.")
    if activation.lower() in ACTIVATIONS:
        target.activation = ACTIVATIONS[activation.lower()]
    elif dnn is not None:
        dnn.note("activation", f'"{activation}" is not known here; nn.ReLU is used')
        target.activation = "nn.ReLU"
    if dnn is not None:
        ratios = dnn.numbers("dropout_ratio")
        target.dropout_ratio.extend(ratios if len(ratios) <= 1 else ratios[: len(kept)])
    return units[len(kept)] if len(units) > len(kept) else 0
