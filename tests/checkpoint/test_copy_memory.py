"""Memory of the copies that a save makes."""

from __future__ import annotations

import pytest
import torch

from tzrec.checkpoint import copy_memory
from tzrec.checkpoint.copy_memory import CopyMemory

TENSORS = [
    torch.arange(24.0).view(6, 4).t(),  # not contiguous
    torch.tensor(7),
    torch.zeros(0, 3),
    torch.arange(5, dtype=torch.bfloat16),
    torch.rand(3, requires_grad=True),
]


@pytest.mark.parametrize(("available", "is_kept"), [(10**9, True), (1000, True), (450, False)])
def test_copies_are_equal_and_reuse_memory_where_it_is_plenty(
    monkeypatch: pytest.MonkeyPatch, available: float, is_kept: bool
) -> None:
    """126 bytes: less than a quarter of 1000, less than a half but more than a quarter of 450."""
    assert sum(tensor.nbytes for tensor in TENSORS) == 126
    monkeypatch.setattr(copy_memory.env, "available_memory", lambda: float(available))
    memory = CopyMemory()
    first = memory.copy(TENSORS)
    assert first is not None
    second = memory.copy([tensor.detach() + 1 for tensor in TENSORS])
    assert second is not None
    for tensor, copied in zip(TENSORS, second, strict=True):
        assert torch.equal(copied, tensor.detach() + 1) and copied.dtype == tensor.dtype and not copied.requires_grad
    pointers = [[copied.data_ptr() for copied in copies if copied.numel()] for copies in (first, second)]
    assert (pointers[0] == pointers[1]) == is_kept


def test_copies_of_other_sizes_take_new_memory() -> None:
    memory = CopyMemory()
    memory.copy([torch.zeros(3)])
    copies = memory.copy([torch.ones(4), torch.ones(2)])
    assert copies is not None and [copied.tolist() for copied in copies] == [[1.0] * 4, [1.0] * 2]


def test_copy_with_little_memory_returns_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_memory.env, "available_memory", lambda: 252.0)
    assert CopyMemory().copy(TENSORS) is None
