"""Properties of the modules of all sequence encoders: empty rows, limits, half precision, gradients, export."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.fixtures.padded_sequences import LENGTHS, double, from_padded, sample
from tzrec.modules.bst import BST, BSTShape
from tzrec.modules.dien import DIEN
from tzrec.modules.din import DIN, MultiWindowDIN
from tzrec.modules.eta import ETA
from tzrec.modules.sdim import SDIM
from tzrec.modules.self_attention import SelfAttention
from tzrec.modules.sequence_pooling import DotAttention, Pooling
from tzrec.modules.transact import TransAct
from tzrec.modules.transformer import TransformerBlock

QUERY_DIM, DIM = 3, 4


def block(width: int) -> TransformerBlock:
    return TransformerBlock(width, 2, 3, "nn.Tanh", 0.1, 0.1, 0.1)


MLP = {"hidden_units": [5, 3], "activation": "nn.Tanh"}
MODULES: dict[str, Callable[[], Any]] = {
    "din": lambda: DIN(QUERY_DIM, DIM, MLP),
    "multi_window_din": lambda: MultiWindowDIN(QUERY_DIM, DIM, [1, 2], MLP),
    "mean": lambda: Pooling(DIM, True),
    "sum": lambda: Pooling(DIM, False),
    "dot": lambda: DotAttention(DIM),
    "eta": lambda: ETA(QUERY_DIM, DIM, 2, 8, 4, 2),
    "sdim": lambda: SDIM(QUERY_DIM, DIM, 12, 2),
    "dien_oldest_first": lambda: DIEN(QUERY_DIM, DIM, 2, newest_first=False),
    "dien_newest_first": lambda: DIEN(QUERY_DIM, DIM, DIM, newest_first=True),
    "bst_head": lambda: BST(QUERY_DIM, DIM, BSTShape(4, "head", 6, True, True, True), [block(6)], 0.1, 0.02),
    "bst_tail": lambda: BST(QUERY_DIM, DIM, BSTShape(5, "tail", DIM, False, False, False), [block(DIM)], 0.1, 0.02),
    "transact": lambda: TransAct(QUERY_DIM, DIM, 4, 2, [block(6), block(6)], 1, 3),
    "self_attention": lambda: SelfAttention(DIM, 4, 2),
}
PADDED = {"self_attention"}
EMPTY = LENGTHS.index(0)


@pytest.fixture(params=MODULES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class OnPadded(nn.Module):
    """A module that reads jagged sequences, on padded ones."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module, self.out_dim = module, module.out_dim

    def forward(self, query: Tensor, sequence: Tensor, lengths: Tensor) -> Any:
        return self.module(query, from_padded(sequence, lengths))


def build(name: str) -> Any:
    """A module in float64 in evaluation, with random weights."""
    module = MODULES[name]()
    return double(module if name in PADDED else OnPadded(module)).eval()


def inputs(name: str) -> tuple[Tensor, Tensor, Tensor]:
    query, sequence, lengths = sample(DIM if name == "dot" else QUERY_DIM, DIM)
    return query, sequence, lengths


def empty_output(name: str, query: Tensor) -> Tensor:
    """Output for rows without elements: zeros; that of multi_window_din ends with the padded query."""
    if name == "multi_window_din":
        return functional.pad(query, (2 * DIM, DIM - QUERY_DIM))
    return query.new_zeros(len(query), build(name).out_dim)


def test_row_without_elements_is_exactly_zero(name: str) -> None:
    query, sequence, lengths = inputs(name)
    received = build(name)(query, sequence, lengths)[EMPTY]
    assert torch.equal(received, empty_output(name, query)[EMPTY])


@pytest.mark.parametrize("longest", [0, 1, 5])
def test_batch_without_elements_is_exactly_zero(name: str, longest: int) -> None:
    query, _, lengths = inputs(name)
    sequence = torch.zeros(len(lengths), longest, DIM, dtype=torch.float64)
    received = build(name)(query, sequence, torch.zeros_like(lengths))
    assert torch.equal(received, empty_output(name, query))


def test_clamped_lengths_keep_the_first_elements(name: str) -> None:
    """Divisors count the elements that are kept, not those of the row."""
    query, sequence, lengths = inputs(name)
    module = build(name)
    torch.testing.assert_close(
        module(query, sequence, lengths.clamp(max=2)), module(query, sequence[:, :2], lengths.clamp(max=2))
    )


def test_lengths_beyond_the_padding_count_the_elements_that_exist(name: str) -> None:
    query, sequence, lengths = inputs(name)
    module = build(name)
    cut = sequence[:, :2]
    torch.testing.assert_close(module(query, cut, lengths), module(query, cut, lengths.clamp(max=2)))


def test_values_after_the_end_have_no_effect(name: str) -> None:
    query, sequence, lengths = inputs(name)
    module = build(name)
    expected = module(query, sequence, lengths)
    is_padding = torch.arange(sequence.shape[1]) >= lengths.unsqueeze(1)
    torch.testing.assert_close(module(query, sequence + 7 * is_padding.unsqueeze(2), lengths), expected)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_masks_padding(name: str, half: torch.dtype) -> None:
    query, sequence, lengths = (x.float() if x.is_floating_point() else x for x in inputs(name))
    module = build(name).float()
    with torch.autocast("cpu", half):
        received = module(query, sequence, lengths)
        halves = module(query.to(half), sequence.to(half), lengths)
    assert torch.equal(received[EMPTY].float(), empty_output(name, query)[EMPTY].to(received.dtype).float())
    expected = module(query, sequence, lengths)
    torch.testing.assert_close(received.float(), expected, rtol=0.03, atol=0.03)
    torch.testing.assert_close(halves.float(), expected, rtol=0.05, atol=0.05)


def test_gradients_equal_finite_differences(name: str) -> None:
    """Those of a row without elements are zero, not NaN."""
    query, sequence, lengths = inputs(name)
    module = build(name)
    names = [key for key, _ in module.named_parameters()]

    def forward(query: Tensor, sequence: Tensor, *weights: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(
            module, dict(zip(names, weights, strict=True)), (query, sequence, lengths)
        )
        return result

    leaves = (query.requires_grad_(), sequence.requires_grad_(), *module.parameters())
    assert torch.autograd.gradcheck(forward, leaves)
    (grad,) = torch.autograd.grad(forward(*leaves).sum(), [sequence], allow_unused=True)
    assert grad is not None
    assert grad[EMPTY].eq(0).all()


def test_exported_program_equals_the_module(name: str) -> None:
    """For any number of rows and elements, and with rows that are all empty."""
    query, sequence, lengths = inputs(name)
    module: nn.Module = build(name)
    rows, longest = torch.export.Dim("rows", min=2), torch.export.Dim.AUTO
    shapes = ({0: rows}, {0: rows, 1: longest}, {0: rows})
    program = torch.export.export(module, (query, sequence, lengths), dynamic_shapes=shapes).module()
    longer = torch.cat([functional.pad(sequence, (0, 0, 0, 4))] * 2)
    queries, ends = torch.cat([query] * 2), torch.cat([lengths, 0 * lengths])
    torch.testing.assert_close(program(queries, longer, ends), module(queries, longer, ends))
    assert torch.equal(program(query, sequence[:, :1], 0 * lengths), empty_output(name, query))


def test_training_overfits_random_labels(name: str) -> None:
    """24 rows of learned elements; those without elements have the same label.

    The output of sdim has length 1 at most.
    """
    torch.manual_seed(3)
    query, sequence, lengths = (torch.cat([x] * 6) for x in inputs(name))
    query, sequence = (torch.randn_like(x).float().requires_grad_() for x in (query, sequence))
    module = build(name).float()
    head = nn.Linear(module.out_dim, 1)
    labels = torch.randint(0, 2, (len(lengths), 1)).float() * (lengths > 0).unsqueeze(1)
    optimizer = torch.optim.Adam([query, sequence, *module.parameters(), *head.parameters()], 0.1)
    history = []
    for _ in range(120):
        loss = functional.binary_cross_entropy_with_logits(head(module(query, sequence, lengths)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < (0.6 if name == "sdim" else 0.1) * history[0], (history[0], history[-1])
