from __future__ import annotations

import pytest
import torch
from torchrec import JaggedTensor, KeyedJaggedTensor

from tzrec.data.batch import BASE, NEG, Batch


def test_first_ids_of_rows_without_ids_are_minus_one() -> None:
    """Users [4, 2], [1], [], [7, 1, 3]; items 9, 8, 7, 6."""
    ids = KeyedJaggedTensor(
        keys=["user", "item"],
        values=torch.tensor([4, 2, 1, 7, 1, 3, 9, 8, 7, 6]),
        lengths=torch.tensor([2, 1, 0, 3, 1, 1, 1, 1], dtype=torch.int32),
    )
    batch = Batch(4, sparse={BASE: ids})
    assert batch.first_ids("user").tolist() == [4, 1, -1, 7]
    assert batch.first_ids("item").tolist() == [9, 8, 7, 6]
    assert batch.first_ids("user").dtype == torch.int64


def test_jagged_labels_move_with_the_batch() -> None:
    labels = JaggedTensor(torch.tensor([1.0, 0.0, 0.0, 1.0]), lengths=torch.tensor([3, 1]))
    moved = Batch(2, labels={"clk": labels, "pay": torch.zeros(2)}, rows_by_data_group={NEG: 5}).to(
        torch.device("meta")
    )
    label = moved.labels["clk"]
    assert isinstance(label, JaggedTensor)
    assert label.values().device.type == label.lengths().device.type == "meta"
    assert moved.label("pay").device.type == "meta"
    assert moved.num_rows(NEG) == 5
    with pytest.raises(AssertionError, match='label "clk" is jagged'):
        moved.label("clk")
