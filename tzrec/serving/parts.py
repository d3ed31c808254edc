"""Parts of a trained model that are exported as packages of their own: the towers of a match model, for example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn
from torchrec import EmbeddingBagCollection, EmbeddingCollection

from tzrec.config.selection import keep_groups
from tzrec.embedding.group import EmbeddingGroup, Embeddings
from tzrec.embedding.tower_embeddings import TowerEmbeddings
from tzrec.features.base import BASE
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.heads.heads import Heads
from tzrec.models.base import ModelPart, PartModel, RecModel
from tzrec.serving.trained_model import TrainedModel
from tzrec.tables.layout import LayoutEntry, groups_as_read


def split(trained: TrainedModel) -> dict[str, TrainedModel]:
    """Build a model of each part, with the weights of the whole model; empty for a model that is exported as a whole.

    A part has only its own features, without sampled rows. Its weights are shared with the whole model, not copied.
    """
    model = trained.model.model
    parts = model.parts(trained.config.model_config)
    return {name: trained if part.module is model else _part_model(trained, part) for name, part in parts.items()}


def _part_model(trained: TrainedModel, part: ModelPart) -> TrainedModel:
    config = keep_groups(trained.config, part.feature_groups)
    features = FeatureEncoder.from_config(config.feature_configs, config.data_config).features
    complete = trained.model
    groups = groups_as_read(part.feature_groups, trained.config.model_config)
    embedding_group = EmbeddingGroup(features, groups, device=torch.device("meta"))
    names = [group.group_name for group in part.feature_groups]
    _share_weights(embedding_group, _source(complete.embedding_group, names[0]))
    dropout = complete.feature_dropout.select(names) if complete.feature_dropout is not None else None
    model = RecModel(embedding_group, PartModel(part), Heads([]), dropout).eval()
    return replace(trained, model=model, config=config, features=features)


def _source(embeddings: Embeddings, group: str) -> EmbeddingGroup:
    """Find the EmbeddingGroup that embeds a group of features."""
    if isinstance(embeddings, TowerEmbeddings):
        return next(tower for tower in embeddings.towers.values() if _data_group_of(tower, group))
    assert isinstance(embeddings, EmbeddingGroup)
    return embeddings


def _data_group_of(source: EmbeddingGroup, group: str) -> str:
    """Data group of a group of features; "" if it is not in `source`."""
    layouts = source.layouts.values()
    return next((layout.data_group for layout in layouts if group in layout.groups or group in layout.sequences), "")


def _share_weights(part: EmbeddingGroup, source: EmbeddingGroup) -> None:
    """Give a part the tables, encoders and embeddings of dense features of the whole model."""
    layout = part.layout
    for name, entries in layout.groups.items():
        layout_of_group = source.layouts[_data_group_of(source, name)]
        impls = source.emb_impls if name in layout_of_group.groups else source.seq_emb_impls
        _share_tables(part.emb_impls, impls, layout_of_group.data_group, entries)
    for name, group in layout.sequences.items():
        data_group = _data_group_of(source, name)
        _share_tables(part.seq_emb_impls, source.seq_emb_impls, data_group, (*group.query, *group.elements))
    for name in part.encoders:
        part.encoders[name] = source.encoders[name]
    data_groups = {_data_group_of(source, name) for name in (*layout.groups, *layout.sequences)}
    part.dense_impls.copy_from(source.dense_impls, data_groups)


def _share_tables(part: nn.ModuleDict, source: nn.ModuleDict, data_group: str, entries: Sequence[LayoutEntry]) -> None:
    """Share the tables of the entries of a group, which is in a data group of the source."""
    names = {entry.table.rpartition(".")[2] for entry in entries if entry.table}
    if not names:
        return
    weights = _tables(source[data_group])
    for name, table in _tables(part[BASE]).items():
        if name in names:
            table.weight = weights[name].weight


def _tables(module: nn.Module) -> dict[str, nn.Module]:
    """Tables below a module by name."""
    tables: dict[str, nn.Module] = {}
    for collection in module.modules():
        if isinstance(collection, EmbeddingBagCollection):
            tables |= collection.embedding_bags.items()
        elif isinstance(collection, EmbeddingCollection):
            tables |= collection.embeddings.items()
    return tables
