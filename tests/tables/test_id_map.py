"""Id maps between the ids of a batch and the rows of a table."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from torchrec import KeyedJaggedTensor

from tests.fixtures.feature_groups import make_feature
from tzrec.data.batch import BASE, Batch
from tzrec.embedding.group import EmbeddingGroup
from tzrec.features.base import Table
from tzrec.protos.model_pb2 import DEEP, FeatureGroupConfig
from tzrec.tables import shared_table
from tzrec.tables.id_map import IDENTITY, IdMap, map_ids


class Doubling(IdMap):
    """Maps id i to row 2 i."""

    def lookup(self, ids: Tensor) -> Tensor:
        return 2 * ids

    def admit(self, ids: Tensor) -> None: ...

    def evict(self, ids: Tensor) -> None: ...

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None: ...


IDS = KeyedJaggedTensor(["a", "b"], torch.tensor([1, 2, 3, 4]), lengths=torch.tensor([1, 1, 0, 2], dtype=torch.int32))


def test_map_ids_changes_only_features_with_a_map() -> None:
    mapped = map_ids(IDS, {"b": Doubling()})
    assert mapped.values().tolist() == [1, 2, 6, 8]
    assert mapped.keys() == IDS.keys()
    assert mapped.lengths().tolist() == IDS.lengths().tolist()


def test_identity_map_returns_the_ids_themselves() -> None:
    ids = torch.tensor([3, 1])
    assert IDENTITY.lookup(ids) is ids
    assert IDENTITY.state_dict() == {}


def test_tables_have_the_identity_map_and_lookups_skip_it() -> None:
    group = FeatureGroupConfig(group_name="g", feature_names=["a"], group_type=DEEP)
    module = EmbeddingGroup({"a": make_feature("a", Table("t", 10, 4))}, [group])
    assert module.layout.tables["t"].id_map is IDENTITY
    assert shared_table.id_maps(module.layout.tables.values()) == {}


def test_lookup_maps_ids_to_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    group = FeatureGroupConfig(group_name="g", feature_names=["a"], group_type=DEEP)
    module = EmbeddingGroup({"a": make_feature("a", Table("t", 10, 4))}, [group])
    lookup = module.emb_impls[BASE]
    monkeypatch.setattr(lookup, "_id_maps", {"a": Doubling()})
    ids = KeyedJaggedTensor(["a"], torch.tensor([1, 3]), lengths=torch.tensor([1, 1], dtype=torch.int32))
    weight = lookup.ebc.embedding_bags["t"].weight
    assert torch.equal(module(Batch(2, sparse={BASE: ids}))["g"], weight[[2, 6]])
