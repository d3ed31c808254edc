from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.serving.small import expected, small_batch, small_encoder, small_ranker, small_rows, without_sequences
from tzrec.embedding.regroup import regroup
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.models.build import build_model
from tzrec.serving.servable import Servable, offsets_of, tables_of


@pytest.mark.parametrize("rows", [1, 7, 300])
def test_equals_the_trained_model(rows: int) -> None:
    table = small_rows(rows)
    servable = Servable.of(small_ranker())
    with torch.inference_mode():
        received = servable.predict(servable.signature.from_batch(small_batch(table)))
    for name, value in expected(table).items():
        torch.testing.assert_close(received[name], value, atol=1e-6, rtol=1e-6)


def test_returns_outputs_by_name() -> None:
    servable = Servable.of(small_ranker())
    inputs = servable.signature.from_batch(small_batch(small_rows(3)))
    named = servable.predict(inputs)
    for value, name in zip(servable(*inputs), sorted(named), strict=True):
        assert torch.equal(value, named[name])


def test_bags_by_hand() -> None:
    """One row with tags 3 and 5 and scores 3:0.8 and 5:1.0, against sums written out."""
    servable, tables = Servable.of(small_ranker()), tables_of(small_ranker())
    place = {name: index for index, name in enumerate(servable.signature.sparse)}
    lengths = torch.zeros(len(place), 1, dtype=torch.int32)
    lengths[[place[name] for name in ("tags", "half", "scores", "history")]] = 2
    values = torch.tensor([3, 5] * 4)
    weights = torch.tensor([0.8 if name in ("scores", "history") else 1.0 for name in place if lengths[place[name]]])
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
    by_hand = [
        empty,
        torch.zeros(6),
        expected["half"],
        empty,
        torch.zeros(6 + 6),  # item beside the steps, in two tables
        expected["tags"],
        expected["scores"],
        expected["history"],
    ]
    torch.testing.assert_close(pooled, torch.cat(by_hand), atol=1e-6, rtol=1e-6)


def test_wider_tables_come_first() -> None:
    tables = tables_of(small_ranker())
    # user 50x4, tags 30x3, item 40x6, scores 20x5, history 20x2; of sequences item 40x6 twice, tags 30x3
    assert offsets_of(tables)["half_emb"] == (670 + 570) * 4
    assert list(tables)[-1] == "sequence.clicks__half_emb"


def test_features_in_two_groups_with_tables_of_their_own() -> None:
    """The second group lists two of the features the other way round, in tables of its own, and one in the same."""
    config = without_sequences()
    config.model_config.feature_groups.add(
        group_name="more", feature_names=["item", "user", "price"], group_type="DEEP", embedding_name_suffix="b"
    )
    config.model_config.feature_groups.add(group_name="last", feature_names=["tags"], group_type="DEEP")
    ranker = build_model(config, small_encoder().features).eval()
    servable, batch = Servable.of(ranker), small_batch(small_rows(9))
    given = dict(zip(servable.signature.names, servable.signature.from_batch(batch), strict=True))
    grouped = regroup([*servable._pooled(given), given["dense"]], servable._plan)
    with torch.inference_mode():
        expected = ranker.embedding_group.float()(batch)
    assert list(grouped) == list(expected) == ["all", "more", "last"]
    for name, value in expected.items():
        torch.testing.assert_close(grouped[name], value, atol=1e-6, rtol=1e-6)


def test_numbers_that_are_embedded() -> None:
    """One number by itself as well, in a group with a suffix; and two numbers together."""
    config = without_sequences()
    place, price = (each.raw_feature for each in config.feature_configs[-2:])
    place.embedding_dim = price.embedding_dim = 4
    place.mlp.SetInParent()
    price.autodis.num_channels = 5
    config.model_config.feature_groups.add(
        group_name="more", feature_names=["price", "user", "place"], group_type="DEEP", embedding_name_suffix="b"
    )
    ranker = build_model(config, FeatureEncoder.from_config(config.feature_configs, config.data_config).features).eval()
    servable, batch = Servable.of(ranker), small_batch(small_rows(9))
    assert servable.signature.dense == {"price": 1, "place": 2}
    received = servable.predict(servable.signature.from_batch(batch))
    for name, value in ranker.float().predict(ranker(batch)).items():
        torch.testing.assert_close(received[name], value, atol=1e-6, rtol=1e-6)


def test_a_model_of_dense_values_alone() -> None:
    config = without_sequences()
    config.model_config.feature_groups[0].feature_names[:] = ["price", "place"]
    ranker = build_model(config, small_encoder().features).eval()
    servable, batch = Servable.of(ranker), small_batch(small_rows(9))
    assert servable.signature.names == ("dense",)
    received = servable.predict(servable.signature.from_batch(batch))
    for name, value in ranker.predict(ranker(batch)).items():
        torch.testing.assert_close(received[name], value)


class Groups(nn.Module):
    """In place of a model: hands on what it is given."""

    def predict_grouped(self, grouped: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return grouped


def test_groups_of_steps_for_models_that_read_them() -> None:
    config = without_sequences()
    for name, kind in (("padded", "SEQUENCE"), ("flat", "JAGGED_SEQUENCE")):
        config.model_config.feature_groups.add(
            group_name=name, group_type=kind, feature_names=["item", "clicks__tags", "clicks__price", "clicks__half"]
        )
    ranker = build_model(config, small_encoder().features).eval()
    servable, batch = Servable.of(ranker), small_batch(small_rows(9))
    servable.ranker = Groups()  # type: ignore[assignment]
    with torch.inference_mode():
        received = servable.predict(servable.signature.from_batch(batch))
        expected = ranker.embedding_group.float()(batch)
    kinds = ("query", "sequence", "sequence_length")
    assert list(received) == list(expected) == ["all", *(f"{g}.{kind}" for g in ("padded", "flat") for kind in kinds)]
    assert expected["flat.sequence"].shape == (int(expected["flat.sequence_length"].sum()), 3 + 1 + 7)
    for name, value in expected.items():
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
def test_a_model_of_sequences_alone(names: list[str], inputs: list[str]) -> None:
    config = without_sequences()
    group = config.model_config.feature_groups[0]
    group.ClearField("feature_names")
    group.sequence_groups.add(feature_names=names)
    group.sequence_encoders.add().pooling_encoder.input = "all"
    ranker = build_model(config, small_encoder().features).eval()
    servable, batch = Servable.of(ranker), small_batch(small_rows(9))
    assert [name for name in servable.signature.names if "." not in name] == inputs
    received = servable.predict(servable.signature.from_batch(batch))
    for name, value in ranker.predict(ranker(batch)).items():
        torch.testing.assert_close(received[name], value)
