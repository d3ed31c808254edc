from __future__ import annotations

import json
from dataclasses import asdict

import torch

from tests.serving.small import small_batch, small_encoder, small_ranker, small_rows
from tzrec.serving.sequences import Sequences
from tzrec.serving.signature import Signature, describe


def signature() -> Signature:
    return Signature.of(small_ranker().embedding_group.layout)


def test_a_batch_and_its_columns_become_the_same_inputs() -> None:
    rows = small_rows(9)
    columns, _ = small_encoder().encode(rows.combine_chunks())
    from_batch = signature().from_batch(small_batch(rows))
    from_columns = signature().from_columns(columns, 9)
    for one, other in zip(from_batch, from_columns, strict=True):
        assert torch.equal(one, other)
        assert one.dtype == other.dtype


def test_inputs_by_hand() -> None:
    """Rows 0 and 1; unused features are left out, the others stand in the order of the signature."""
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


def test_described() -> None:
    assert signature().described() == [
        {"name": "values", "dtype": "int64", "shape": ["N"]},
        {"name": "lengths", "dtype": "int32", "shape": [7, "B"]},
        {"name": "weights", "dtype": "float32", "shape": ["N"]},
        {"name": "dense", "dtype": "float32", "shape": ["B", 3]},
        *ids_of("clicks__half"),
        *ids_of("clicks__item"),
        *ids_of("clicks__tags"),
        {"name": "clicks__price.values", "dtype": "float32", "shape": ["S clicks__price", 1]},
        {"name": "clicks__price.lengths", "dtype": "int32", "shape": ["B"]},
        {"name": "clicks.positions", "dtype": "int64", "shape": ["L clicks"]},
        {"name": "tags.positions", "dtype": "int64", "shape": ["L tags"]},
    ]
    told = describe(small_encoder().features, signature())
    assert told["tags"] == {
        "inputs": ["item:tags"],
        "kind": "ids",
        "weighted": False,
        "table": {"name": "tags_emb", "rows": 30, "dim": 3, "pooling": "mean"},
    }
    assert told["place"] == {"inputs": ["user:place"], "kind": "dense", "weighted": False, "width": 2}
    assert "unused" not in told
    assert told["clicks__price"] == {
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


def test_steps_by_hand() -> None:
    rows = small_rows(9).slice(0, 3)
    named = dict(zip(signature().names, signature().from_batch(small_batch(rows)), strict=True))
    items = [row[:5] for row in rows["clicks__item"].to_pylist()]  # sequence_length is 5
    tags = [row[:5] for row in rows["clicks__tags"].to_pylist()]
    # a row without steps has one, and a step without a value has the default, 0
    steps = [max(len(row), 1) for row in items]
    assert named["clicks__item.lengths"].tolist() == steps
    assert named["clicks__item.key_lengths"].tolist() == [1] * sum(steps)
    assert named["clicks__item.values"].tolist() == [i for row in items for i in row or [0]]
    assert named["clicks__tags.key_lengths"].tolist() == [len(step) or 1 for row in tags for step in row or [[]]]
    assert named["clicks__tags.values"].tolist() == [i for row in tags for step in row or [[]] for i in step or [0]]
    assert named["clicks__price.values"].shape == (sum(steps), 1)
    assert named["clicks.positions"].tolist() == list(range(min(4, max(steps))))  # the pooling reads four
    assert named["tags.positions"].tolist() == list(range(max(steps)))


def test_a_manifest_keeps_the_inputs_of_sequences() -> None:
    kept = json.loads(json.dumps(asdict(signature().sequences)))
    assert Sequences.read(kept) == signature().sequences
