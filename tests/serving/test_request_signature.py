from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.fixtures.features import encoder
from tests.fixtures.small_model import small_batch, small_encoder, small_model, small_rows
from tzrec.features.column import Column
from tzrec.features.feature_encoder import EncodedRequest
from tzrec.serving.request_signature import RequestSignature, read_signature, user_features
from tzrec.serving.sequence_inputs import GroupInput, SequenceInputs
from tzrec.serving.servable import Servable
from tzrec.serving.signature import Signature

HASHED = "hash_bucket_size: 100 embedding_dim: 4"
USER_FEATURES = {"user", "friend", "scores", "history", "place"} | {
    f"clicks__{name}" for name in ("item", "tags", "half", "price")
}


def signature(groups: dict[str, GroupInput] | None = None) -> Signature:
    """A feature of ids and one of numbers of each side, and three sequence features."""
    sequences = SequenceInputs({"s": 0, "t": 0, "v": 2}, groups or {})
    return Signature(("age", "cate"), False, {"place": 2, "price": 1}, sequences)


def group(*features: str, limit: int = 0) -> GroupInput:
    return GroupInput(features, limit, is_jagged=True, is_padded=False)


def test_user_features_have_all_inputs_of_user_and_context() -> None:
    built = encoder(
        'expr_feature { feature_name: "e" expression: "young * hour" variables: ["feature:young", "context:hour"] }',
        'expr_feature { feature_name: "young" expression: "age < 40" variables: "user:age" stub_type: true }',
        f'combo_feature {{ feature_name: "mixed" expression: ["user:tags", "item:cate"] {HASHED} }}',
        'expr_feature { feature_name: "m" expression: "young * price" variables: ["feature:young", "item:price"] }',
        f'id_feature {{ feature_name: "literal" expression: "const:7" {HASHED} }}',
        'sequence_feature { sequence_name: "s" sequence_length: 5 sequence_delim: ";" '
        f'features {{ id_feature {{ feature_name: "cate" expression: "item:cate" {HASHED} }} }} '
        f'features {{ combo_feature {{ feature_name: "x" expression: ["item:cate", "user:cate"] {HASHED} '
        'sequence_fields: "user:cate" } } }',
    )
    assert user_features(built.features) == {"e", "young", "literal", "s__cate"}
    assert user_features(small_encoder().features) - {"unused"} == USER_FEATURES


def test_request_signature_divides_inputs() -> None:
    request = RequestSignature.of(signature({"g": group("s", "v")}), {"age", "place", "s", "v"})
    assert request.users.features == ("age", "place", "s", "v")
    assert request.items.features == ("cate", "price", "t")
    assert request.names == (
        *("user.values", "user.lengths", "user.dense", "s.values", "s.lengths", "s.key_lengths"),
        *("v.values", "v.lengths", "g.rows", "g.positions"),
        *("values", "lengths", "dense", "t.values", "t.lengths", "t.key_lengths"),
        *("owners", "g.elements", "g.item_rows"),
    )
    shapes = {spec["name"]: spec["shape"] for spec in request.describe_inputs()}
    assert shapes["user.lengths"] == [1, "U"]
    assert shapes["s.lengths"] == ["U"]
    assert shapes["lengths"] == [1, "B"]
    assert shapes["g.elements"] == ["E g"]
    assert read_signature(request.to_json()) == request
    assert read_signature(signature().to_json()) == signature()


def test_sequences_of_group_with_feature_of_items_are_of_items() -> None:
    """s is in a group with t, and v in one with s."""
    request = RequestSignature.of(signature({"g": group("s", "t"), "h": group("s", "v")}), {"age", "s", "v"})
    assert request.users.features == ("age",)
    assert set(request.items.sequences.groups) == {"g", "h"}


def columns(num_rows: int) -> dict[str, Column]:
    """Ids 0, 1, 2, ..., numbers of the same values."""
    ids, numbers = np.arange(num_rows), np.arange(num_rows, dtype=np.float32).reshape(-1, 1)
    return {
        "age": Column(ids),
        "cate": Column(ids),
        "place": Column(np.repeat(numbers, 2, axis=1), dim=2),
        "price": Column(numbers, dim=1),
    }


def test_from_request_gives_elements_of_owners() -> None:
    """Two users with 3 and 1 elements, of which the group reads 2 and 1; the items are of user 1, 0 and 0."""
    request = RequestSignature.of(signature({"g": group("s", "v", limit=2)}), {"age", "place", "s", "v"})
    lengths = np.array([3, 1], np.int32)
    users = {name: column for name, column in columns(2).items() if name in ("age", "place")} | {
        "s": Column(np.arange(4), sequence_lengths=lengths),
        "v": Column(np.zeros((4, 2), np.float32), dim=2, sequence_lengths=lengths),
    }
    items = {name: column for name, column in columns(3).items() if name in ("cate", "price")}
    items["t"] = Column(np.arange(3), sequence_lengths=np.ones(3, np.int32))
    inputs = request.from_request(EncodedRequest(2, users, items, np.array([1, 0, 0])))
    by_name = dict(zip(request.names, inputs, strict=True))
    assert by_name["user.values"].tolist() == [0, 1]
    assert by_name["values"].tolist() == [0, 1, 2]
    assert by_name["g.rows"].tolist() == [0, 0, 1]
    assert by_name["owners"].tolist() == [1, 0, 0]
    assert by_name["g.elements"].tolist() == [2, 0, 1, 0, 1]
    assert by_name["g.item_rows"].tolist() == [0, 1, 1, 2, 2]


@pytest.mark.parametrize("name", ["age", "cate"])
def test_from_request_with_column_on_other_side_equals_rows(name: str) -> None:
    """A feature of users that came with the items makes all rows; one of items that came with the user is repeated."""
    request = RequestSignature.of(Signature(("age", "cate"), False, {"place": 2, "price": 1}), {"age", "place"})
    owners = np.array([1, 0, 1])
    sides = {"age": 2, "place": 2, "cate": 3, "price": 3}
    sides[name] = 5 - sides[name]
    by_user, by_item = ({key: columns(size)[key] for key in sides if sides[key] == size} for size in (2, 3))
    encoded = EncodedRequest(2, by_user, by_item, owners)
    by_name = dict(zip(request.names, request.from_request(encoded), strict=True))
    if name == "age":
        expected: Any = request.from_columns(encoded.columns(), 3)
        assert by_name["owners"].tolist() == [0, 1, 2]
        assert by_name["user.dense"][:, 0].tolist() == [1, 0, 1]
        assert all(torch.equal(a, b) for a, b in zip(by_name.values(), expected, strict=True))
    else:
        assert by_name["owners"].tolist() == [1, 0, 1]
        assert by_name["values"].tolist() == [1, 0, 1]


def test_from_batch_equals_inputs_of_both_sides() -> None:
    whole = Servable.from_model(small_model()).signature
    request, batch = RequestSignature.of(whole, USER_FEATURES), small_batch(small_rows(4))
    by_name = dict(zip(request.names, request.from_batch(batch), strict=True))
    plain = dict(zip(whole.names, whole.from_batch(batch), strict=True))
    assert by_name["owners"].tolist() == [0, 1, 2, 3]
    assert torch.equal(by_name["clicks__item.values"], plain["clicks__item.values"])
    assert by_name["user.values"].shape[0] + by_name["values"].shape[0] == plain["values"].shape[0]
    assert by_name["clicks.elements"].tolist() == list(range(len(plain["clicks.rows"])))
    assert torch.equal(by_name["clicks.item_rows"], plain["clicks.rows"])
