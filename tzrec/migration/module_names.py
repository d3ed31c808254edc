"""Names of the children of each type of module in checkpoints of TorchEasyRec.

A module without a table here has the same children there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import orthogonal

from tzrec.embedding.bag_lookup import BagLookup
from tzrec.embedding.encoders.base import SequenceEncoder
from tzrec.embedding.feature_dropout import FeatureDropout
from tzrec.embedding.group import EmbeddingGroup
from tzrec.heads.towers import Towers
from tzrec.migration.dense_origins import dense_names
from tzrec.migration.origin import Names, Origin, Origins
from tzrec.modules.activation import Dice
from tzrec.modules.cin import CIN
from tzrec.modules.cross import CrossNet, LowRankCrossNet
from tzrec.modules.din import DIN, MultiWindowDIN, PairLinear
from tzrec.modules.experts import MixtureOfExperts
from tzrec.modules.extraction import Extraction
from tzrec.modules.gated_mlp import Gate
from tzrec.modules.intervention import Intervention
from tzrec.modules.mask_net import MaskBlock, MaskNetModule
from tzrec.modules.mlp import MLP
from tzrec.modules.self_attention import SelfAttention
from tzrec.modules.variational_dropout import VariationalDropout
from tzrec.modules.wukong import WuKongLayer


def child_names(module: nn.Module, is_in_sequence: bool = False) -> Names:
    """Return the names of the children and tensors of a module.

    Args:
        module: any module.
        is_in_sequence: it is an MLP that reads elements of sequences.
    """
    if isinstance(module, MLP):
        return _mlp(module, is_in_sequence)
    if isinstance(module, SequenceEncoder):
        return {f"encode.{name}": original for name, original in child_names(module.encode).items()}
    table = _tables().get(type(module))
    if table is not None:
        return table(module)
    tensors = [name for name in module.state_dict(keep_vars=True) if "." not in name]
    return {name: name for name in (*tensors, *(name for name, _ in module.named_children()))}


def _mlp(mlp: MLP, is_in_sequence: bool) -> Names:
    """Number the modules of each layer: linear, norm, activation; a batch norm of elements has a neighbor each side."""
    names: dict[str, str] = {}
    for index, layer in enumerate(mlp.layers):
        place = 0
        for name, child in layer.named_children():
            is_3d = is_in_sequence or isinstance(mlp.layers[0].get_submodule("linear"), PairLinear)
            has_neighbors = is_3d and isinstance(child, nn.BatchNorm1d)
            names[f"layers.{index}.{name}"] = f"mlp.{index}.perceptron.{place + has_neighbors}"
            place += 3 if has_neighbors else 1
    return names


def _embedding_group(module: EmbeddingGroup) -> Names:
    names: dict[str, str | Origins] = {name: name for name in ("emb_impls", "seq_emb_impls")}
    names["encoders"] = "_group_name_to_seq_encoders"
    return names | {f"dense_impls.{name}": origins for name, origins in dense_names(module.dense_impls).items()}


def _transposed(name: str) -> Origins:
    return (Origin((name,), lambda tensor: tensor.T),)


def _cross(module: CrossNet) -> Names:
    def stack(*tensors: Tensor) -> Tensor:
        return torch.stack([tensor.reshape(-1) for tensor in tensors])

    layers = range(len(module.weight))
    return {
        "weight": (Origin(tuple(f"w.{layer}.weight" for layer in layers), stack),),
        "bias": (Origin(tuple(f"b.{layer}" for layer in layers), stack),),
    }


def _low_rank_cross(module: LowRankCrossNet) -> Names:
    layers = range(len(module.layers))
    return {f"layers.{layer}.{name}": f"{name}_kernels.{layer}" for layer in layers for name in ("u", "v")}


def _cin(module: CIN) -> Names:
    names: dict[str, str | Origins] = {}
    for layer in range(len(module.layers)):
        names[f"layers.{layer}.weight"] = (Origin((f"cin_layers.{layer}.weight",), lambda weight: weight.squeeze(2)),)
        names[f"layers.{layer}.bias"] = f"cin_layers.{layer}.bias"
    return names


def _wukong_layer(module: WuKongLayer) -> Names:
    names: dict[str, str | Origins] = {
        "combine.weight": _transposed("fmb.weight"),
        "fm_norm": "fmb.norm",
        "fm_mlp": "fmb.mlp",
        "fm_output": "fmb.feature_out_liner",
        "compress.weight": _transposed("lcb.weight"),
        "norm": "norm",
    }
    has_residual = isinstance(module.residual, nn.Linear)
    return names | ({"residual.weight": _transposed("residual_projection.weight")} if has_residual else {})


def _experts(module: MixtureOfExperts) -> Names:
    names = {"experts": "expert_mlps"}
    for task in range(len(module.gates)):
        names |= {f"gates.{task}.mlp": f"gate_mlps.{task}", f"gates.{task}.linear": f"gate_finals.{task}"}
    return names


def _towers(module: Towers) -> Names:
    names: dict[str, str] = {}
    for index, (name, _) in enumerate(module.named_children()):
        names |= {f"{name}.mlp": f"{index}.tower_mlp", f"{name}.linear": f"{index}.linear"}
    return names


def _intervention(module: Intervention) -> Names:
    return {
        f"{name}.weight": _orthogonal(f"{name}_rotate_layer.parametrizations.weight") for name in ("base", "source")
    }


def _orthogonal(path: str) -> Origins:
    """Return the origins of a matrix of orthonormal columns, of which torch saves its parametrization."""

    def make(original: Tensor, base: Tensor | None = None) -> Tensor:
        layer = nn.Linear(original.shape[1], original.shape[0], bias=False, dtype=original.dtype)
        orthogonal(layer, use_trivialization=base is not None)
        state = {"original": original} | ({} if base is None else {"0.base": base})
        layer.load_state_dict({f"parametrizations.weight.{name}": value for name, value in state.items()})
        return layer.weight.detach()

    return Origin((f"{path}.original", f"{path}.0.base"), make), Origin((f"{path}.original",), make)


_Table = Callable[[Any], Names]


def _same(**names: str) -> _Table:
    return lambda module: names


@functools.cache
def _tables() -> Mapping[type[nn.Module], _Table]:
    """Names of the children by type of module."""
    return {
        EmbeddingGroup: _embedding_group,
        BagLookup: _same(ebc="ebc", weighted_ebc="ebc"),
        FeatureDropout: lambda module: {f"dropouts.{index}": group for index, group in enumerate(module.groups)},
        VariationalDropout: _same(logits="feature_p"),
        Towers: _towers,
        Dice: _same(norm="bn", slope="alpha"),
        DIN: _same(mlp="mlp", linear="linear"),
        MultiWindowDIN: _same(mlp="mlp", linear="linear", activation="active"),
        SelfAttention: _same(query="_query", key="_key", value="_value", attention="_multihead_attn"),
        CrossNet: _cross,
        LowRankCrossNet: _low_rank_cross,
        CIN: _cin,
        WuKongLayer: _wukong_layer,
        MaskNetModule: _same(norm="ln_emb", blocks="mask_blocks", top="top_mlp"),
        MaskBlock: lambda module: {
            **{"mask_hidden.layers.0.linear": "mask_generator.0", "mask": "mask_generator.2"},
            **{"linear": "ffn.0", "norm": "ffn.1"},
        },
        MixtureOfExperts: _experts,
        Extraction: _same(
            task_experts="_task_layers",
            shared_experts="_shared_layers",
            task_gates="_task_gates",
            shared_gate="_shared_gate",
        ),
        Gate: lambda module: {"hidden.layers.0.linear": "dense_layers.0", "out": "dense_layers.2"},
        Intervention: _intervention,
    }
