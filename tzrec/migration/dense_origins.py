"""Origins of the embeddings of dense features.

TorchEasyRec keeps features of equal settings in one module, whose name is made of the settings. Its newer versions save
a tensor for each feature, older ones one tensor with a row for each, sorted by name; and the numbers in the name are
written with six decimals or as short as possible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from tzrec.embedding.dense import DenseEmbeddings
from tzrec.features.base import DenseEmbedding
from tzrec.migration.origin import Names, Origin, Origins

_BLANKS = " " * 12
"""Part of the name of a module there, from the indentation of its source."""

Shape = Callable[[Tensor], Tensor]


def dense_names(module: DenseEmbeddings) -> Names:
    """Return the origins of all tensors."""
    names: dict[str, Origins] = {}
    for index, (data_group, embedding, features) in enumerate(module.fields()):
        prefix = f"emb_impls.{data_group}.dense_ec.dense_embs"
        for name, (original, shape) in _tensors(embedding).items():
            names[f"embeddings.{index}.{name}"] = tuple(
                origin
                for keys in _keys(embedding, features)
                for origin in _origins(
                    [f"{prefix}.{key}.{original}" for key in keys], features, shape, embedding.value_dim == 1
                )
            )
    return names


def _keys(embedding: DenseEmbedding, features: Sequence[str]) -> list[list[str]]:
    """Return the alternatives of the module's name, each for all features."""
    if embedding.kind == "autodis":
        numbers = (embedding.keep_prob, embedding.temperature)
        spelled = (tuple(f"{number:.6f}" for number in numbers), tuple(map(str, numbers)))
        keys = ("#".join(["autodis", str(embedding.dim), str(embedding.num_channels), *texts]) for texts in spelled)
        return [[key.replace(".", "_")] * len(features) for key in dict.fromkeys(keys)]
    plain = f"mlp#{embedding.dim}"
    if embedding.value_dim == 1:
        return [[plain] * len(features)]
    return [[f"{plain}#vdim#{embedding.value_dim}#feature_name#{_BLANKS}{feature}" for feature in features]]


def _tensors(embedding: DenseEmbedding) -> Mapping[str, tuple[str, Shape]]:
    """Map our tensors to the name there and a function that gives the value of one feature its shape."""
    if embedding.kind == "piecewise_linear":
        return {}  # not known there
    if embedding.kind == "autodis":
        return {
            "scale": ("proj_w", lambda value: value.reshape(1, -1)),
            "mix": ("proj_m", lambda value: value.T),
            "vectors": ("meta_emb", lambda value: value),
        }
    return {"weight": ("proj_w", lambda value: value.reshape(embedding.value_dim, embedding.dim))}


def _origins(names: Sequence[str], features: Sequence[str], shape: Shape, has_rows: bool) -> Origins:
    """Return the origins with a tensor for each feature, and with one for all features of a module."""
    modules, ordered = tuple(dict.fromkeys(names)), sorted(set(features))

    def from_each(*values: Tensor) -> Tensor:
        return torch.stack([shape(value) for value in values])

    def from_rows(rows: Tensor) -> Tensor:
        return torch.stack([shape(rows[ordered.index(feature)]) for feature in features])

    split = tuple(f"{name}_{feature}.weight" for name, feature in zip(names, features))
    return Origin(split, from_each), Origin(modules, from_rows if has_rows else from_each)
