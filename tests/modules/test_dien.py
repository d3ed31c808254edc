from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.fixtures.padded_sequences import LENGTHS, double, elements_by_row, from_padded, sample
from tests.fixtures.reference import Array, Weights, sigmoid, weights
from tzrec.modules.dien import DIEN, NextElementLoss, Steps
from tzrec.modules.jagged_sequence import JaggedSequence

WIDTH = 3


def recurrence(w: Weights, name: str, inputs: list[Array], factors: list[float]) -> list[Array]:
    """`u = a sigmoid(W_u i + U_u h + b_u)`, `h' = (1 - u) h + u tanh(W_h i + r (U_h h) + b_h)`."""
    kernel, bias, state = w[f"{name}_input.weight"], w[f"{name}_input.bias"], w[f"{name}_state.weight"]
    h, states = np.zeros(state.shape[1]), []
    size = len(h)
    for i, factor in zip(inputs, factors, strict=True):
        x = [kernel[k * size : (k + 1) * size] @ i + bias[k * size : (k + 1) * size] for k in range(3)]
        y = [state[k * size : (k + 1) * size] @ h for k in range(3)]
        u, r = factor * sigmoid(x[0] + y[0]), sigmoid(x[1] + y[1])
        h = (1 - u) * h + u * np.tanh(x[2] + r * y[2])
        states.append(h)
    return states


def naive(w: Weights, query: Array, elements: list[Array]) -> tuple[Array, list[Array]]:
    """Output, and states of the extractor; elements from the oldest to the newest."""
    states = recurrence(w, "extractor", elements, [1.0] * len(elements))
    scores = np.array([h @ w["attention.weight"] @ query for h in states])
    shares = np.exp(scores) / np.exp(scores).sum()
    evolved = recurrence(w, "evolution", states, list(shares))
    return evolved[-1] if evolved else np.zeros(w["attention.weight"].shape[0]), states


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("hidden_dim", [2, WIDTH])
def test_dien_equals_loop(hidden_dim: int, newest_first: bool) -> None:
    query, sequence, lengths = sample(2, WIDTH)
    module = double(DIEN(2, WIDTH, hidden_dim, newest_first))
    received = module(query, from_padded(sequence, lengths)).detach().numpy()
    w = weights(module)
    for row, elements in enumerate(elements_by_row(sequence)):
        ordered = [element.numpy() for element in (reversed(elements) if newest_first else elements)]
        expected, _ = naive(w, query[row].numpy(), ordered)
        np.testing.assert_allclose(received[row], expected, rtol=0, atol=1e-12)
    assert np.ptp(received) > 0.1


class Pair(nn.Module):
    """A score of state and element with weights."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).tanh()


def expected_loss(module: DIEN, scorer: Pair | None, newest_first: bool, negatives: list[list[Array]]) -> float:
    """Mean over all pairs; `negatives` are those of the elements, in the order of the data."""
    query, sequence, _ = sample(2, WIDTH)
    terms = []
    for row, elements in enumerate(elements_by_row(sequence)):
        order = list(reversed(range(len(elements)))) if newest_first else list(range(len(elements)))
        _, states = naive(weights(module), query[row].numpy(), [elements[t].numpy() for t in order])
        for step in range(len(order) - 1):
            scores = []
            for candidate in (elements[order[step + 1]].numpy(), negatives[row][order[step + 1]]):
                if scorer is None:
                    scores.append(states[step] @ candidate)
                else:
                    w = weights(scorer)
                    x = np.concatenate([states[step], candidate])
                    scores.append(np.tanh(w["linear.weight"][0] @ x + w["linear.bias"][0]))
            terms.append(-np.log(sigmoid(scores[0])) - np.log(1 - sigmoid(scores[1])))
    return float(np.mean(terms))


def compute(module: DIEN, loss: NextElementLoss, sequence: JaggedSequence, negatives: JaggedSequence | None) -> Tensor:
    steps = Steps.of(sequence, module.newest_first)
    result: Tensor = loss(module.extract(sequence, steps), sequence, steps, negatives)
    return result


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("has_scorer", [False, True])
def test_loss_of_parallel_negatives_equals_loop(has_scorer: bool, newest_first: bool) -> None:
    _, sequence, lengths = sample(2, WIDTH)
    _, others, _ = sample(2, WIDTH, seed=7)
    module, scorer = double(DIEN(2, WIDTH, WIDTH, newest_first)), double(Pair()) if has_scorer else None
    jagged, negatives = (from_padded(x, lengths) for x in (sequence, others))
    received = compute(module, NextElementLoss(scorer), jagged, negatives)
    expected = expected_loss(
        module, scorer, newest_first, [[x.numpy() for x in row] for row in elements_by_row(others)]
    )
    assert received.item() == pytest.approx(expected, rel=1e-12)


def test_negatives_that_equal_the_next_element_or_are_missing_do_not_count() -> None:
    """Of six pairs three are left: a row of three has one negative only, and one is the clicked element."""
    _, sequence, lengths = sample(2, WIDTH)
    _, others, _ = sample(2, WIDTH, seed=7)
    others[3, 2] = sequence[3, 2]
    module, loss = double(DIEN(2, WIDTH, WIDTH, False)), NextElementLoss(None)
    jagged, short = (
        from_padded(sequence, lengths),
        from_padded(others, lengths.clamp(max=4)),
    )
    received = compute(module, loss, jagged, from_padded(others[:, :1], lengths))
    assert received.item() == 0  # no pair
    alone = from_padded(sequence[3:], lengths[3:])
    steps = Steps.of(alone, False)
    states = module.extract(alone, steps)[:3]
    received = compute(module, loss, alone, from_padded(others[3:, :4], lengths[3:]))
    terms = [
        torch.nn.functional.softplus(-(states[t] @ sequence[3, t + 1]))
        + torch.nn.functional.softplus(states[t] @ others[3, t + 1])
        for t in (0, 2)
    ]
    torch.testing.assert_close(received, sum(terms) / 2)
    assert compute(module, loss, jagged, short) > 0


def test_negatives_of_the_batch_are_elements_other_than_the_next() -> None:
    """Of elements 0, 1, 2 as vectors, the negative of element t + 1 is one of the two others."""
    values = torch.eye(3, dtype=torch.float64)
    sequence = from_padded(values.unsqueeze(0), torch.tensor([3]))
    steps, loss = Steps.of(sequence, False), NextElementLoss(None)
    states = torch.tensor([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    torch.manual_seed(0)
    received = {round(loss(states, sequence, steps, None).item(), 6) for _ in range(40)}

    def term(positive: float, negative: float) -> float:
        return -np.log(sigmoid(positive)) - np.log(1 - sigmoid(negative))

    possible = {round((term(2, a) + term(32, b)) / 2, 6) for a in (1, 4) for b in (8, 16)}
    assert received == possible


def test_loss_of_a_batch_without_pairs_is_zero_with_zero_gradients() -> None:
    module, loss = double(DIEN(2, WIDTH, WIDTH, True)), NextElementLoss(double(Pair()))
    for lengths in ([0, 0], [1, 0], [1, 1]):
        values = torch.randn(sum(lengths), WIDTH, dtype=torch.float64, requires_grad=True)
        sequence = JaggedSequence.of(values, torch.tensor(lengths))
        for negatives in (None, JaggedSequence.of(values.detach()[:0], torch.zeros(2, dtype=torch.int64))):
            received = compute(module, loss, sequence, negatives)
            assert received.item() == 0
            received.backward()
            assert values.grad is None or values.grad.eq(0).all()


def test_gradients_of_loss_equal_finite_differences() -> None:
    _, sequence, lengths = sample(2, WIDTH)
    _, others, _ = sample(2, WIDTH, seed=7)
    module, loss = double(DIEN(2, WIDTH, WIDTH, False)), NextElementLoss(double(Pair()))
    negatives = from_padded(others, lengths)

    def run(values: Tensor) -> Tensor:
        return compute(module, loss, JaggedSequence.of(values, lengths), negatives)

    values = from_padded(sequence, lengths).values.requires_grad_()
    assert torch.autograd.gradcheck(run, (values,))
    assert LENGTHS[0] == 0
