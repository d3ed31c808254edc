"""Exchanges on one and on two ranks."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tzrec.distributed import group
from tzrec.distributed.peers import LostRankError


def test_gather_states_of_different_lengths(two: list[dict[str, Any]]) -> None:
    for rank in two:
        first, second = rank["gathered"]
        assert first["n"].tolist() == [0]
        assert second["n"].tolist() == [0, 1]
        assert first["only0"].shape == (0, 2)
        assert "only0" not in second


def test_flags_of_two_ranks_are_reduced(two: list[dict[str, Any]]) -> None:
    assert [rank["agree"] for rank in two] == [[False, True, True, False]] * 2


def test_total_of_two_ranks_is_sum(two: list[dict[str, Any]]) -> None:
    assert [rank["total"] for rank in two] == [[3.0, 1.0]] * 2


def test_broadcast_and_gather_on_two_ranks(two: list[dict[str, Any]]) -> None:
    assert [rank["told"] for rank in two] == [[{"from": 0}, [{"rank": 0}, {"rank": 1}]]] * 2


def test_exchanges_of_one_rank_return_its_values(alone: None) -> None:
    assert group.all_agree(True)
    assert not group.all_agree(False)
    assert group.any_rank(True)
    assert not group.any_rank(False)
    assert group.total([1.5, 2.0]) == [1.5, 2.0]
    assert group.broadcast({"a": [1]}) == {"a": [1]}
    (state,) = group.gather_states({"hits": torch.tensor([1, 2])})
    assert state["hits"].tolist() == [1, 2]
    group.barrier()


def test_packed_tensors_keep_type_and_shape() -> None:
    state = {
        "scores": torch.tensor([[0.25], [1.0]]),
        "none": torch.empty(0, 3, dtype=torch.float64),
        "count": torch.tensor(7),
        "mask": torch.tensor([True, False]),
    }
    header = [(name, str(tensor.dtype), list(tensor.shape)) for name, tensor in state.items()]
    back = group._unpack(header, b"".join(group._bytes(tensor) for tensor in state.values()))
    for name, tensor in state.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor)


@pytest.mark.parametrize(
    "message",
    [
        "[/pytorch/third_party/gloo/gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 8000ms for recv",
        "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [10.77.0.2]:41234",
        "Application timeout caused pair closure",
    ],
)
def test_error_of_exchange_is_replaced_by_name_of_lost_rank(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    class Watch:
        def explain(self, error: BaseException) -> LostRankError:
            return LostRankError(f"rank 1 is gone ({error})")

    monkeypatch.setattr(group, "_peers", Watch())
    with pytest.raises(LostRankError, match="rank 1 is gone"), group.naming_lost_ranks():
        raise RuntimeError(message)


def test_error_of_this_rank_is_raised_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "_peers", object())
    with pytest.raises(RuntimeError, match="shapes"), group.naming_lost_ranks():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


@pytest.mark.parametrize("agreed", [True, False])
def test_together_raises_where_any_rank_has_failed(agreed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = []
    monkeypatch.setattr(group, "all_agree", lambda flag: flags.append(flag) or (flag and agreed))
    if agreed:
        assert group.together(lambda: 3) == 3
    else:
        with pytest.raises(RuntimeError, match="another rank has failed"):
            group.together(lambda: 3)
    with pytest.raises(ZeroDivisionError):
        group.together(lambda: 1 // 0)
    assert flags == [True, False]
