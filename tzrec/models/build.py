"""build_model: from a config to a Ranker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import torch

from tzrec import registry
from tzrec.config.kwargs import shortest
from tzrec.embedding.feature_dropout import FeatureDropout
from tzrec.embedding.group import Dims, EmbeddingGroup
from tzrec.features.base import Feature
from tzrec.heads.build import build_tasks
from tzrec.models.base import RecModel
from tzrec.modules.regularizer import Regularizer
from tzrec.modules.uncertainty import Uncertainty
from tzrec.ops.selection import kernel_target
from tzrec.protos.model_pb2 import DEEP, WIDE, Kernel, ModelConfig
from tzrec.protos.pipeline_pb2 import EasyRecConfig


def build_model(
    config: EasyRecConfig,
    features: Mapping[str, Feature],
    device: torch.device | None = None,
    table_device: torch.device | None = None,
    compute_device: torch.device | None = None,
) -> RecModel:
    """The model of a config with fresh weights, drawn from torch's current generator.

    Args:
        config: a checked config.
        features: as the feature encoder made them, by name.
        device: where the weights are made; the CPU if None, "meta" for a shape alone.
        table_device: where the tables are made, if not there too; "meta" for a model that is sharded next.
        compute_device: where the model will run; its kernels are selected for this device. The CPU if None.

    Raises:
        ConfigError: what only shows when modules are made, such as an activation that does not exist.
    """
    chosen = config.model_config
    tasks = build_tasks(config)
    message = getattr(chosen, chosen.WhichOneof("model"))
    wide = (getattr(message, "wide_embedding_dim", None), getattr(message, "wide_init_fn", ""))
    made = registry.resolve_class(chosen, "model", "tzrec.models")
    runs_on = compute_device.type if compute_device else "cpu"
    with torch.device(device or "cpu"), kernel_target(Kernel.Name(chosen.kernel), runs_on):
        embedding_group = EmbeddingGroup(features, chosen.feature_groups, *wide, device=table_device or device)
        model = made(message, embedding_group.dims, tasks)
        dropout = _feature_dropout(chosen, embedding_group.dims)
        uncertainty = Uncertainty(len(message.task_towers)) if chosen.uncertainty_weighting else None
    factors = {each.name: shortest(getattr(chosen, each.name)) for each in fields(Regularizer)}
    return RecModel(embedding_group, model, tasks, dropout, Regularizer(**factors), uncertainty)


def _feature_dropout(config: ModelConfig, dims: Dims) -> FeatureDropout | None:
    """Of the groups that are no sequences and have more than one feature."""
    if not config.HasField("variational_dropout"):
        return None
    groups = [group.group_name for group in config.feature_groups if group.group_type in (DEEP, WIDE)]
    widths = {group: dims.features(group) for group in groups if len(dims.features(group)) > 1}
    return FeatureDropout(config.variational_dropout, widths)
