"""DEEP groups with several sequences and encoders."""

from __future__ import annotations

import torch

from tests.embedding.stepped import FEATURES, SEED, batch, group, padded, queries
from tzrec.embedding.group import EmbeddingGroup
from tzrec.protos.model_pb2 import FeatureGroupConfig


def pooled_by(made: FeatureGroupConfig, *inputs: str) -> FeatureGroupConfig:
    for name in inputs:
        made.sequence_encoders.add().pooling_encoder.input = name
    return made


def mean(names: list[str], lengths: list[int]) -> torch.Tensor:
    return padded(names, 3).sum(1) / torch.tensor(lengths).clamp(min=1).unsqueeze(1)


def test_encodings_follow_the_features_in_the_order_of_the_encoders() -> None:
    deep = group("deep", "user", "price", kind="DEEP")
    deep.sequence_groups.add(group_name="one", feature_names=["h__item", "h__price"])
    deep.sequence_groups.add(group_name="two", feature_names=["other"])
    torch.manual_seed(SEED)
    made = EmbeddingGroup(FEATURES, [pooled_by(deep, "two", "one", "two")])
    two, one = mean(["other"], [1, 2, 0]), mean(["h__item", "h__price"], [2, 0, 3])
    expected = torch.cat([queries(["user", "price"]), two, one, two], 1)
    torch.testing.assert_close(made(batch())["deep"], expected)
    assert made.dims.features("deep") == [4, 2, 4, 6, 4]
    assert made.dims.sequences == {}


def test_a_group_of_sequences_alone() -> None:
    deep = group("deep", kind="DEEP")
    deep.sequence_groups.add(feature_names=["h__kinds"])
    torch.manual_seed(SEED)
    made = EmbeddingGroup(FEATURES, [pooled_by(deep, "deep"), group("flat", "user", kind="DEEP")])
    grouped = made(batch())
    torch.testing.assert_close(grouped["deep"], mean(["h__kinds"], [2, 0, 3]))
    torch.testing.assert_close(grouped["flat"], queries(["user"]))
