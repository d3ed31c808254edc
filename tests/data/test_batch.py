from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torchrec import JaggedTensor, KeyedJaggedTensor, KeyedTensor

from tzrec.data.batch import BASE, NEG, Batch, SampledNegatives


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


def every_kind() -> tuple[Batch, dict[str, torch.Tensor]]:
    """A batch with something in every field, and all of its tensors by name."""
    tensors = {
        "dense": torch.ones(2, 3),
        "ids": torch.tensor([4, 2, 1]),
        "weights of ids": torch.tensor([0.5, 1.0, 2.0]),
        "lengths": torch.tensor([2, 1], dtype=torch.int32),
        "elements": torch.tensor([7, 8]),
        "element lengths": torch.tensor([1, 1], dtype=torch.int32),
        "sizes": torch.tensor([1, 2], dtype=torch.int32),
        "number of sizes": torch.tensor([1, 1], dtype=torch.int32),
        "values": torch.ones(3, 2),
        "number of values": torch.tensor([3, 0], dtype=torch.int32),
        "label": torch.tensor([0, 1]),
        "labels": torch.tensor([1.0, 0.0, 1.0]),
        "number of labels": torch.tensor([2, 1], dtype=torch.int32),
        "weight": torch.tensor([1.0, 3.0]),
        "hard index": torch.tensor([[0, 0], [1, 0]]),
        "log probability": torch.tensor([-1.0]),
        "positive ids": torch.tensor([3, 4]),
        "sampled ids": torch.tensor([5, 6, 7]),
    }
    t = tensors
    batch = Batch(
        2,
        dense={BASE: KeyedTensor(["a", "b"], [1, 2], t["dense"])},
        sparse={BASE: KeyedJaggedTensor(["c"], t["ids"], t["weights of ids"], t["lengths"])},
        sequences={BASE: KeyedJaggedTensor(["d"], t["elements"], lengths=t["element lengths"])},
        element_sizes={"d": JaggedTensor(t["sizes"], lengths=t["number of sizes"])},
        element_values={"e": JaggedTensor(t["values"], lengths=t["number of values"])},
        labels={"clk": t["label"], "list": JaggedTensor(t["labels"], lengths=t["number of labels"])},
        weights={"w": t["weight"]},
        negatives=SampledNegatives(1, t["hard index"], t["log probability"], t["positive ids"], t["sampled ids"]),
    )
    return batch, tensors


def test_pin_memory_copies_every_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, tensors = every_kind()
    copies: list[tuple[int, torch.Tensor]] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        copies.append((tensor.data_ptr(), tensor.clone()))
        return copies[-1][1]

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    pinned = batch.pin_memory()
    assert sorted(source for source, _ in copies) == sorted(tensor.data_ptr() for tensor in tensors.values())
    copied = {copy.data_ptr() for _, copy in copies}
    assert pinned.dense[BASE]["b"].tolist() == [[1.0, 1.0], [1.0, 1.0]]
    ids = pinned.sparse[BASE]
    assert {tensor.data_ptr() for tensor in (ids.values(), ids.weights(), ids.lengths())} <= copied
    assert ids.length_per_key_or_none() == [3], "counted on the CPU: counting on a GPU would wait for it"
    assert ids.to(torch.device("meta")).length_per_key_or_none() == [3]
    for jagged in (pinned.element_sizes["d"], pinned.element_values["e"], pinned.labels["list"]):
        assert isinstance(jagged, JaggedTensor)
        assert {jagged.values().data_ptr(), jagged.lengths().data_ptr()} <= copied
    assert pinned.weights["w"].tolist() == [1.0, 3.0]
    assert pinned.negatives is not None
    assert pinned.negatives.sampled_ids.data_ptr() in copied
    assert (pinned.negatives.num_sampled, pinned.negatives.num_hard) == (1, 2)


def test_record_stream_records_every_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, tensors = every_kind()
    prepared = KeyedJaggedTensor(["c"], torch.tensor([5]), lengths=torch.tensor([1, 0], dtype=torch.int32))
    batch = replace(batch, lookups={"emb_impls": prepared})
    recorded: list[int] = []
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: recorded.append(tensor.data_ptr()))
    stream: Any = object()
    batch.record_stream(stream)
    expected = [*tensors.values(), prepared.values(), prepared.lengths()]
    assert sorted(recorded) == sorted(tensor.data_ptr() for tensor in expected)
