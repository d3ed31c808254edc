"""DEEP groups with several sequences and encoders."""

from __future__ import annotations

import torch

from tests.fixtures.feature_groups import make_group
from tests.fixtures.sequence_batch import FEATURES, SEED, batch, padded, queries
from tzrec.embedding.group import EmbeddingGroup
from tzrec.protos.model_pb2 import FeatureGroupConfig


def pooled_by(module: FeatureGroupConfig, *inputs: str) -> FeatureGroupConfig:
    for name in inputs:
        module.sequence_encoders.add().pooling_encoder.input = name
    return module


def mean(names: list[str], lengths: list[int]) -> torch.Tensor:
    return padded(names, 3).sum(1) / torch.tensor(lengths).clamp(min=1).unsqueeze(1)


def test_deep_group_appends_outputs_in_order_of_encoders() -> None:
    deep = make_group("deep", "user", "price")
    deep.sequence_groups.add(group_name="one", feature_names=["h__item", "h__price"])
    deep.sequence_groups.add(group_name="two", feature_names=["other"])
    torch.manual_seed(SEED)
    module = EmbeddingGroup(FEATURES, [pooled_by(deep, "two", "one", "two")])
    two, one = mean(["other"], [1, 2, 0]), mean(["h__item", "h__price"], [2, 0, 3])
    expected = torch.cat([queries(["user", "price"]), two, one, two], 1)
    torch.testing.assert_close(module(batch())["deep"], expected)
    assert module.dims.features("deep") == [4, 2, 4, 6, 4]
    assert module.dims.sequences == {}


def test_deep_group_without_features_is_output_of_encoder() -> None:
    deep = make_group("deep")
    deep.sequence_groups.add(feature_names=["h__kinds"])
    torch.manual_seed(SEED)
    module = EmbeddingGroup(FEATURES, [pooled_by(deep, "deep"), make_group("flat", "user")])
    grouped = module(batch())
    torch.testing.assert_close(grouped["deep"], mean(["h__kinds"], [2, 0, 3]))
    torch.testing.assert_close(grouped["flat"], queries(["user"]))
