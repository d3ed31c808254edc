"""Memory of encoders on long sequences: proportional to the number of elements, not to rows times the longest row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tzrec.modules.din import DIN, MultiWindowDIN
from tzrec.modules.eta import ETA
from tzrec.modules.jagged_sequence import JaggedSequence
from tzrec.modules.sdim import SDIM
from tzrec.modules.self_attention import SelfAttention
from tzrec.modules.sequence_pooling import DotAttention, Pooling
from tzrec.modules.sim import SIM

DIM, ROWS, LONGEST = 8, 500, 10_000
ENCODERS: dict[str, Callable[[], Any]] = {
    "din": lambda: DIN(DIM, DIM, {"hidden_units": [16, 8]}),
    "multi_window_din": lambda: MultiWindowDIN(DIM, DIM, [10, 100, 10_000], {"hidden_units": [16]}),
    "mean": lambda: Pooling(DIM, True),
    "dot": lambda: DotAttention(DIM),
    "sim": lambda: SIM(DIM, DIM, 200, 8, 2),
    "eta": lambda: ETA(DIM, DIM, 48, 16, 16, 2),
    "sdim": lambda: SDIM(DIM, DIM, 16, 2),
}


class LargestTensor(TorchDispatchMode):
    """Record the number of values of the largest tensor that is computed, and the number of operations."""

    def __init__(self) -> None:
        super().__init__()
        self.size = self.num_operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.num_operations += 1
        sizes = [x.untyped_storage().nbytes() // 4 for x in tree_leaves(result) if isinstance(x, Tensor)]
        self.size = max([self.size, *sizes])
        return result


def train_step(name: str, lengths: Tensor) -> LargestTensor:
    """Run one step forward and backward."""
    torch.manual_seed(0)
    module, query = ENCODERS[name](), torch.randn(len(lengths), DIM, requires_grad=True)
    sequence = JaggedSequence.of(torch.randn(int(lengths.sum()), DIM, requires_grad=True), lengths)
    arguments = (sequence.positions % 3 == 0,) if name == "sim" else ()
    with LargestTensor() as largest:
        module(query, sequence, *arguments).square().sum().backward()
    assert sequence.values.grad is not None
    assert torch.isfinite(sequence.values.grad).all()
    assert sequence.values.grad.ne(0).any()
    return largest


@pytest.mark.parametrize("name", ENCODERS)
def test_one_long_row_among_short_ones_costs_memory_of_its_elements(name: str) -> None:
    """One row of 10,000 elements and 500 rows of two: padded elements would be 455 times as many."""
    lengths = torch.full((ROWS,), 2)
    lengths[7] = LONGEST
    largest = train_step(name, lengths)
    assert largest.size <= 40 * int(lengths.sum())


@pytest.mark.parametrize("name", ENCODERS)
def test_twice_as_many_elements_cost_twice_the_memory_and_as_many_operations(name: str) -> None:
    small, large = (train_step(name, torch.tensor([length, 3, 0, length])) for length in (LONGEST // 2, LONGEST))
    assert large.size <= 2.2 * small.size
    assert large.num_operations == small.num_operations


def test_self_attention_over_a_long_row_does_not_store_its_weights() -> None:
    """Of 2,000 elements there are 4 million attention weights in each head."""
    module, values = SelfAttention(DIM, 8, 2), torch.randn(1, 2000, DIM, requires_grad=True)
    with LargestTensor() as largest:
        module(None, values, torch.tensor([1900])).sum().backward()
    assert values.grad is not None and values.grad.ne(0).any()
    assert largest.size <= 100 * 2000
