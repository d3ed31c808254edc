from __future__ import annotations

import json

import torch

from tests.fixtures.small_model import small_batch, small_encoder, small_model, small_rows
from tzrec.serving.signature import NO_SEQUENCES, Signature, describe_features


def signature() -> Signature:
    return Signature.from_layout(small_model().embedding_group.layout)


def test_inputs_from_batch_equal_inputs_from_columns() -> None:
    rows = small_rows(9)
    columns, _ = small_encoder().encode(rows.combine_chunks())
    from_batch = signature().from_batch(small_batch(rows))
    from_columns = signature().from_columns(columns, 9)
    for batch_input, column_input in zip(from_batch, from_columns, strict=True):
        assert torch.equal(batch_input, column_input)
        assert batch_input.dtype == column_input.dtype


def test_inputs_of_two_rows_are_in_signature_order() -> None:
    """Rows 0 and 1; features without a group are left out."""
    rows = small_rows(9).slice(0, 2)
    values, lengths, weights, dense, *_ = signature().from_batch(small_batch(rows))
    tags = rows["tags"].to_pylist()
    assert lengths[4].tolist() == [len(tags[0]), len(tags[1])]
    first = int(lengths[:4].sum())
    assert values[first : first + int(lengths[4].sum())].tolist() == tags[0] + tags[1]
    assert values[int(lengths[0].sum()) :][:2].tolist() == rows["item"].to_pylist()
    scores = [0.5 + tag / 10 for tag in tags[0] + tags[1]]
    torch.testing.assert_close(weights[int(lengths[:5].sum()) :], torch.tensor(scores * 2))
    assert weights[: int(lengths[:5].sum())].eq(1).all()
    expected = [
        [price, *place] for price, place in zip(rows["price"].to_pylist(), rows["place"].to_pylist(), strict=True)
    ]
    torch.testing.assert_close(dense, torch.tensor(expected))


def test_describe_inputs_and_features() -> None:
    assert signature().describe_inputs() == [
        {"name": "values", "dtype": "int64", "shape": ["N"]},
        {"name": "lengths", "dtype": "int32", "shape": [7, "B"]},
        {"name": "weights", "dtype": "float32", "shape": ["N"]},
        {"name": "dense", "dtype": "float32", "shape": ["B", 3]},
        *ids_of("clicks__half"),
        *ids_of("clicks__item"),
        *ids_of("clicks__tags"),
        {"name": "clicks__price.values", "dtype": "float32", "shape": ["S clicks__price", 1]},
        {"name": "clicks__price.lengths", "dtype": "int32", "shape": ["B"]},
        {"name": "clicks.rows", "dtype": "int64", "shape": ["L clicks"]},
        {"name": "clicks.positions", "dtype": "int64", "shape": ["L clicks"]},
        {"name": "tags.rows", "dtype": "int64", "shape": ["L tags"]},
        {"name": "tags.positions", "dtype": "int64", "shape": ["L tags"]},
        {"name": "tags.padding", "dtype": "int64", "shape": ["P tags"]},
    ]
    features = describe_features(small_encoder().features, signature().features)
    assert features["tags"] == {
        "inputs": ["item:tags"],
        "kind": "ids",
        "weighted": False,
        "table": {"name": "tags_emb", "rows": 30, "dim": 3, "pooling": "mean"},
    }
    assert features["place"] == {"inputs": ["user:place"], "kind": "dense", "weighted": False, "width": 2}
    assert "unused" not in features
    assert features["clicks__price"] == {
        "inputs": ["item:clicks__price"],
        "kind": "dense",
        "weighted": False,
        "sequence": "clicks",
        "width": 1,
    }


def ids_of(name: str) -> list[dict[str, object]]:
    return [
        {"name": f"{name}.values", "dtype": "int64", "shape": [f"N {name}"]},
        {"name": f"{name}.lengths", "dtype": "int32", "shape": ["B"]},
        {"name": f"{name}.key_lengths", "dtype": "int32", "shape": [f"S {name}"]},
    ]


def test_sequence_inputs_of_three_rows() -> None:
    rows = small_rows(9).slice(0, 3)
    named = dict(zip(signature().names, signature().from_batch(small_batch(rows)), strict=True))
    items = [row[:5] for row in rows["clicks__item"].to_pylist()]  # sequence_length is 5
    tags = [row[:5] for row in rows["clicks__tags"].to_pylist()]
    # a row without elements has one, and an element without a value has the default, 0
    num_elements = [max(len(row), 1) for row in items]
    assert named["clicks__item.lengths"].tolist() == num_elements
    assert named["clicks__item.key_lengths"].tolist() == [1] * sum(num_elements)
    assert named["clicks__item.values"].tolist() == [i for row in items for i in row or [0]]
    assert named["clicks__tags.key_lengths"].tolist() == [len(ids) or 1 for row in tags for ids in row or [[]]]
    assert named["clicks__tags.values"].tolist() == [i for row in tags for ids in row or [[]] for i in ids or [0]]
    assert named["clicks__price.values"].shape == (sum(num_elements), 1)
    read = [min(4, number) for number in num_elements]  # the pooling reads four
    assert named["clicks.positions"].tolist() == [position for number in read for position in range(number)]
    assert named["clicks.rows"].tolist() == [row for row, number in enumerate(read) for _ in range(number)]
    assert named["tags.positions"].tolist() == [position for number in num_elements for position in range(number)]
    assert named["tags.padding"].tolist() == list(range(max(num_elements)))


def test_signature_round_trip_through_json() -> None:
    value = json.loads(json.dumps(signature().to_json()))
    assert Signature.from_json(value) == signature()
    del value["sequences"]  # as in older packages
    assert Signature.from_json(value).sequences == NO_SEQUENCES


def test_signature_to_json_keeps_format_of_manifest() -> None:
    value = signature().to_json()
    assert list(value) == ["sparse", "weighted", "dense", "sequences"]
    assert value["sequences"]["steps"] == {
        "clicks__half": 0,
        "clicks__item": 0,
        "clicks__tags": 0,
        "clicks__price": 1,
    }
    groups = value["sequences"]["groups"]
    assert groups["tags"] == {"features": ["clicks__item"], "limit": 0, "jagged": True, "padded": True}
    assert (groups["clicks"]["jagged"], groups["clicks"]["padded"]) == (True, False)
    groups["tags"] = {"features": ["clicks__item"], "limit": 0, "jagged": False}  # as in older packages
    assert list(Signature.from_json(value).sequences.types_and_shapes())[-1] == "tags.positions"
