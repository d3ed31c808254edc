from __future__ import annotations

import torch

from tests.serving.small import small_batch, small_encoder, small_ranker, small_rows
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
    values, lengths, weights, dense = signature().from_batch(small_batch(rows))
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
