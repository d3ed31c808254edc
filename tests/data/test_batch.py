from __future__ import annotations

import torch
from torchrec import KeyedJaggedTensor

from tzrec.data.batch import BASE, Batch


def test_first_ids() -> None:
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
