"""Build a RecModel from a config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import torch

from tzrec import registry
from tzrec.config.kwargs import shortest
from tzrec.embedding.feature_dropout import FeatureDropout
from tzrec.embedding.group import Dims, EmbeddingGroup, Embeddings
from tzrec.embedding.tower_embeddings import TowerEmbeddings
from tzrec.features.base import Feature
from tzrec.models.base import Model, RecModel
from tzrec.modules.regularizer import Regularizer
from tzrec.modules.uncertainty import Uncertainty
from tzrec.ops.selection import kernel_target
from tzrec.protos.model_pb2 import DEEP, WIDE, FeatureGroupConfig, Kernel, ModelConfig
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.tables.layout import groups_as_read


def build_model(
    config: EasyRecConfig,
    features: Mapping[str, Feature],
    device: torch.device | None = None,
    table_device: torch.device | None = None,
    compute_device: torch.device | None = None,
) -> RecModel:
    """Build the model of a config with fresh weights, drawn from torch's current generator.

    Args:
        config: a checked config.
        features: features by name.
        device: device of the weights; the CPU if None, "meta" for shapes alone.
        table_device: device of the embedding tables, `device` if None; "meta" for a model that is sharded next.
        compute_device: device on which the model will run; its kernels are selected for it. The CPU if None.

    Raises:
        ConfigError: A problem that only construction reveals, such as an unknown activation.
    """
    model_config = config.model_config
    model_class: type[Model] = registry.resolve_class(model_config, "model")
    heads = model_class.heads(config)
    message = getattr(model_config, model_config.WhichOneof("model"))
    wide = (getattr(message, "wide_embedding_dim", None), getattr(message, "wide_init_fn", ""))
    target = compute_device.type if compute_device else "cpu"
    with torch.device(device or "cpu"), kernel_target(Kernel.Name(model_config.kernel), target):
        embedding_group: Embeddings
        if towers := _tower_groups(model_class, model_config):
            embedding_group = TowerEmbeddings(features, towers, device=table_device or device)
        else:
            groups = groups_as_read(model_config.feature_groups, model_config)
            embedding_group = EmbeddingGroup(features, groups, *wide, device=table_device or device)
        model = model_class(message, embedding_group.dims, heads)
        dropout = _feature_dropout(model_config, embedding_group.dims)
        uncertainty = Uncertainty(len(message.task_towers)) if model_config.uncertainty_weighting else None
    factors = {field.name: shortest(getattr(model_config, field.name)) for field in fields(Regularizer)}
    return RecModel(embedding_group, model, heads, dropout, Regularizer(**factors), uncertainty)


def _tower_groups(model_class: type[Model], config: ModelConfig) -> dict[str, list[FeatureGroupConfig]]:
    """Groups of each tower with tables of its own."""
    groups = {group.group_name: group for group in config.feature_groups}
    names = model_class.tower_groups(getattr(config, config.WhichOneof("model") or ""))
    return {tower: [groups[name] for name in row] for tower, row in names.items()}


def _feature_dropout(config: ModelConfig, dims: Dims) -> FeatureDropout | None:
    """Build the dropout of the DEEP and WIDE groups with more than one feature."""
    if not config.HasField("variational_dropout"):
        return None
    groups = [group.group_name for group in config.feature_groups if group.group_type in (DEEP, WIDE)]
    widths = {group: dims.features(group) for group in groups if group in dims and len(dims.features(group)) > 1}
    return FeatureDropout(config.variational_dropout, widths)
