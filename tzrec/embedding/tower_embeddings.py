"""TowerEmbeddings: an EmbeddingGroup for each tower of a model, with tables of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor
from torchrec import KeyedJaggedTensor

from tzrec.data.batch import Batch
from tzrec.embedding.group import Dims, EmbeddingGroup, Embeddings, below
from tzrec.features.base import Feature
from tzrec.protos.model_pb2 import FeatureGroupConfig


class TowerEmbeddings(Embeddings):
    """The groups of all towers; two towers share no table, whatever their names.

    The EmbeddingGroup of a tower is the submodule of its name: tables of the tower `user_tower` are the parameters
    `user_tower.emb_impls.__BASE__.ebc.embedding_bags.<table>.weight`.

    Attributes:
        layouts: by `<tower>.<data group>`.

    Args:
        features: all features of the config by name.
        groups_by_tower: groups of each tower by its name.
        device: of the tables, see `EmbeddingGroup`.

    Raises:
        ConfigError: see `build_layouts`.
    """

    def __init__(
        self,
        features: Mapping[str, Feature],
        groups_by_tower: Mapping[str, Sequence[FeatureGroupConfig]],
        device: torch.device | None = None,
    ) -> None:
        super().__init__()
        for name, groups in groups_by_tower.items():
            self.add_module(name, EmbeddingGroup(features, groups, device=device, scope=f"{name}."))
        towers = self.towers
        self.layouts = {
            f"{name}.{data_group}": layout
            for name, tower in towers.items()
            for data_group, layout in tower.layouts.items()
        }
        widths, sequences = dict[str, list[int]](), dict[str, tuple[int, int]]()
        for tower in towers.values():
            widths |= {group: tower.dims.features(group) for group in tower.dims}
            sequences |= tower.dims.sequences
        self.dims = Dims(widths, sequences)

    @property
    def towers(self) -> dict[str, EmbeddingGroup]:
        """EmbeddingGroup of each tower by its name."""
        return {name: cast(EmbeddingGroup, module) for name, module in self.named_children()}

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        grouped: dict[str, Tensor] = {}
        for name, tower in self.towers.items():
            grouped |= tower(replace(batch, lookups=below(batch.lookups, f"{name}.")))
        return grouped

    def columns(self) -> dict[str, list[tuple[str, int]]]:
        return {group: row for tower in self.towers.values() for group, row in tower.columns().items()}

    def lookup_inputs(self, batch: Batch) -> dict[str, KeyedJaggedTensor]:
        return {
            f"{name}.{path}": ids
            for name, tower in self.towers.items()
            for path, ids in tower.lookup_inputs(batch).items()
        }

    def looked_up(self, grouped: Mapping[str, Tensor]) -> Iterator[Tensor]:
        for tower in self.towers.values():
            yield from tower.looked_up(grouped)
