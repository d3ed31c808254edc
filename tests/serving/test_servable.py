from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.fixtures.small_model import (
    expected_predictions,
    small_batch,
    small_encoder,
    small_model,
    small_rows,
    without_sequences,
)
from tzrec.embedding.regroup import regroup
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.models.build import build_model
from tzrec.serving.servable import Servable
from tzrec.serving.stored_tables import stored_tables


@pytest.mark.parametrize("rows", [1, 7, 300])
def test_servable_predicts_as_trained_model(rows: int) -> None:
    table = small_rows(rows)
    servable = Servable.from_model(small_model())
    with torch.inference_mode():
        received = servable.predict(servable.signature.from_batch(small_batch(table)))
    for name, value in expected_predictions(table).items():
        torch.testing.assert_close(received[name], value, atol=1e-6, rtol=1e-6)


def test_servable_forward_returns_outputs_in_alphabetical_order() -> None:
    servable = Servable.from_model(small_model())
    inputs = servable.signature.from_batch(small_batch(small_rows(3)))
    named = servable.predict(inputs)
    for value, name in zip(servable(*inputs), sorted(named), strict=True):
        assert torch.equal(value, named[name])


def test_pooled_lookups_of_one_row_equal_sums() -> None:
    """One row with tags 3 and 5 and scores 3:0.8 and 5:1.0."""
    servable, tables = Servable.from_model(small_model()), stored_tables(small_model()).rows
    index = {name: i for i, name in enumerate(servable.signature.sparse)}
    lengths = torch.zeros(len(index), 1, dtype=torch.int32)
    lengths[[index[name] for name in ("tags", "half", "scores", "history")]] = 2
    values = torch.tensor([3, 5] * 4)
    weights = torch.tensor([0.8 if name in ("scores", "history") else 1.0 for name in index if lengths[index[name]]])
    weights = torch.stack([weights, torch.ones(4)], dim=1).reshape(-1)
    pooled = torch.cat(servable._pooled({"values": values, "lengths": lengths, "weights": weights}), dim=1)[0]

    tags, half, scores, history = (tables[f"{name}_emb"] for name in ("tags", "half", "scores", "history"))
    assert half.dtype == torch.float16
    expected = {
        "tags": (tags[3] + tags[5]) / 2,
        "half": half[3].float() + half[5].float(),
        "scores": 0.8 * scores[3] + scores[5],
        "history": (0.8 * history[3] + history[5]) / 1.8,
    }
    # kinds in order: plain sums (user, item, half, friend), means (tags), weighted sums (scores) and means (history)
    assert servable.signature.sparse == ("user", "item", "half", "friend", "tags", "scores", "history")
    empty = torch.zeros(4)
    concatenated = [
        empty,
        torch.zeros(6),
        expected["half"],
        empty,
        torch.zeros(6 + 6),  # item as query of two sequence groups, in two tables
        expected["tags"],
        expected["scores"],
        expected["history"],
    ]
    torch.testing.assert_close(pooled, torch.cat(concatenated), atol=1e-6, rtol=1e-6)


def test_servable_with_feature_in_groups_with_own_tables_equals_embedding_group() -> None:
    """The second group has two of the features in reverse order, in its own tables; the third shares a table."""
    config = without_sequences()
    config.model_config.feature_groups.add(
        group_name="more", feature_names=["item", "user", "price"], group_type="DEEP", embedding_name_suffix="b"
    )
    config.model_config.feature_groups.add(group_name="last", feature_names=["tags"], group_type="DEEP")
    model = build_model(config, small_encoder().features).eval()
    servable, batch = Servable.from_model(model), small_batch(small_rows(9))
    inputs = dict(zip(servable.signature.names, servable.signature.from_batch(batch), strict=True))
    grouped = regroup([*servable._pooled(inputs), inputs["dense"]], servable._plan)
    with torch.inference_mode():
        expected = model.embedding_group.float()(batch)
    assert list(grouped) == list(expected) == ["all", "more", "last"]
    for name, value in expected.items():
        torch.testing.assert_close(grouped[name], value, atol=1e-6, rtol=1e-6)


def test_servable_with_embedded_numbers_predicts_as_model() -> None:
    """autodis of one number, also in a group with a suffix; mlp of two numbers together."""
    config = without_sequences()
    place, price = (feature.raw_feature for feature in config.feature_configs[-2:])
    place.embedding_dim = price.embedding_dim = 4
    place.mlp.SetInParent()
    price.autodis.num_channels = 5
    config.model_config.feature_groups.add(
        group_name="more", feature_names=["price", "user", "place"], group_type="DEEP", embedding_name_suffix="b"
    )
    model = build_model(config, FeatureEncoder.from_config(config.feature_configs, config.data_config).features).eval()
    servable, batch = Servable.from_model(model), small_batch(small_rows(9))
    assert servable.signature.dense == {"price": 1, "place": 2}
    received = servable.predict(servable.signature.from_batch(batch))
    for name, value in model.float().predict(model(batch)).items():
        torch.testing.assert_close(received[name], value, atol=1e-6, rtol=1e-6)


def test_servable_with_dense_features_only_predicts_as_model() -> None:
    config = without_sequences()
    config.model_config.feature_groups[0].feature_names[:] = ["price", "place"]
    model = build_model(config, small_encoder().features).eval()
    servable, batch = Servable.from_model(model), small_batch(small_rows(9))
    assert servable.signature.names == ("dense",)
    received = servable.predict(servable.signature.from_batch(batch))
    for name, value in model.predict(model(batch)).items():
        torch.testing.assert_close(received[name], value)


class Groups(nn.Module):
    """Replaces the model: returns its input."""

    def forward(self, grouped: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return grouped


def test_servable_with_sequence_groups_equals_embedding_group() -> None:
    config = without_sequences()
    for name, kind in (("padded", "SEQUENCE"), ("flat", "JAGGED_SEQUENCE")):
        config.model_config.feature_groups.add(
            group_name=name, group_type=kind, feature_names=["item", "clicks__tags", "clicks__price", "clicks__half"]
        )
    model = build_model(config, small_encoder().features).eval()
    servable, batch = Servable.from_model(model), small_batch(small_rows(9))
    servable.dense_part = Groups()  # type: ignore[assignment]
    with torch.inference_mode():
        received = servable.predict(servable.signature.from_batch(batch))
        expected = model.embedding_group.float()(batch)
    kinds = ("query", "sequence", "sequence_length")
    names = [
        "all",
        *(f"{group}.{kind}" for group in ("padded", "flat") for kind in kinds),
        "flat.rows",
        "flat.positions",
    ]
    assert list(received) == list(expected) == names
    assert expected["flat.sequence"].shape == (int(expected["flat.sequence_length"].sum()), 3 + 1 + 7)
    for name, value in expected.items():
        torch.testing.assert_close(received[name], value, atol=1e-6, rtol=1e-6)


def test_servable_with_embedded_elements_predicts_as_model() -> None:
    config = without_sequences()
    price = next(
        member.raw_feature
        for feature in config.feature_configs
        for member in feature.sequence_feature.features
        if member.HasField("raw_feature")
    )
    price.embedding_dim = 5
    price.autodis.num_channels = 3
    group = config.model_config.feature_groups[0]
    group.sequence_groups.add(feature_names=["item", "clicks__price", "clicks__tags"])
    group.sequence_encoders.add().pooling_encoder.input = "all"
    model = build_model(config, FeatureEncoder.from_config(config.feature_configs, config.data_config).features).eval()
    servable, batch = Servable.from_model(model), small_batch(small_rows(9))
    assert servable.signature.sequences.types_and_shapes()["clicks__price.values"][1][1] == 1
    received = servable.predict(servable.signature.from_batch(batch))
    for name, value in model.float().predict(model(batch)).items():
        torch.testing.assert_close(received[name], value, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("names", "inputs"),
    [
        (["clicks__price"], []),
        (["clicks__item", "price"], ["dense"]),
        (["clicks__item", "user"], ["values", "lengths"]),
    ],
    ids=["numbers", "ids", "a query"],
)
def test_servable_with_sequences_only_predicts_as_model(names: list[str], inputs: list[str]) -> None:
    config = without_sequences()
    group = config.model_config.feature_groups[0]
    group.ClearField("feature_names")
    group.sequence_groups.add(feature_names=names)
    group.sequence_encoders.add().pooling_encoder.input = "all"
    model = build_model(config, small_encoder().features).eval()
    servable, batch = Servable.from_model(model), small_batch(small_rows(9))
    assert [name for name in servable.signature.names if "." not in name] == inputs
    received = servable.predict(servable.signature.from_batch(batch))
    for name, value in model.predict(model(batch)).items():
        torch.testing.assert_close(received[name], value)
