"""Origins of all tensors of a model: a walk through its modules beside those of TorchEasyRec."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from typing import Any

from torch import nn

from tzrec.embedding.tower_embeddings import TowerEmbeddings
from tzrec.errors import ConfigError, Problem
from tzrec.migration.module_names import child_names
from tzrec.migration.origin import InSequence, Names, Origin, Origins
from tzrec.models.base import RecModel
from tzrec.protos.model_pb2 import ModelConfig


def find_origins(model: RecModel, config: ModelConfig) -> dict[str, Origins]:
    """Return the origins of each tensor of a model; tensors that TorchEasyRec does not have are left out.

    Raises:
        ConfigError: TorchEasyRec has no such model.
    """
    member = config.WhichOneof("model")
    module = f"{__package__}.checkpoint_names.{member}"
    if importlib.util.find_spec(module) is None:
        text = "TorchEasyRec has no such model, or saves it under names that are not known here"
        raise ConfigError([Problem(f"model_config.{member}", text)])
    names: Names = importlib.import_module(module).names(getattr(config, str(member)))
    origins = dict(_below(model.model, "model", "model", names))
    embeddings = model.embedding_group
    if isinstance(embeddings, TowerEmbeddings):
        for tower, group in embeddings.towers.items():
            origins |= dict(_walk(group, f"embedding_group.{tower}", f"model.{tower}.embedding_group"))
    else:
        origins |= dict(_walk(embeddings, "embedding_group", "model.embedding_group"))
    if model.feature_dropout is not None:
        origins |= dict(_walk(model.feature_dropout, "feature_dropout", "model.group_variational_dropouts"))
    return origins


def _walk(module: nn.Module, path: str, original: str, is_in_sequence: bool = False) -> Iterator[tuple[str, Origins]]:
    """Yield the tensors of the module at `path`, which is at `original` in the checkpoint."""
    yield from _below(module, path, original, child_names(module, is_in_sequence))


def _below(module: nn.Module, path: str, original: str, names: Names) -> Iterator[tuple[str, Origins]]:
    for name, target in names.items():
        if isinstance(target, tuple):
            yield f"{path}.{name}", tuple(origin.below(original) for origin in target)
            continue
        child_original = f"{original}.{target.name if isinstance(target, InSequence) else target}"
        child = _child(module, name)
        if isinstance(child, nn.Module):
            yield from _walk(child, f"{path}.{name}", child_original, isinstance(target, InSequence))
        elif child is not None:
            yield f"{path}.{name}", (Origin((child_original,)),)


def _child(module: Any, name: str) -> Any:
    """Return the module or tensor `a.b` of a module; None if it has none."""
    for part in name.split("."):
        module = getattr(module, part, None)
    return module
