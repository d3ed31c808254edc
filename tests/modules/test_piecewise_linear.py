"""PiecewiseLinear against its formula in Python floats."""

from __future__ import annotations

import torch

from tzrec.modules.piecewise_linear import PiecewiseLinear

EDGES = [[0.0, 1.0, 3.0], [-10.0, 10.0, 20.0]]


def naive(module: PiecewiseLinear, row: list[float]) -> list[float]:
    vectors = module.weight.tolist()
    result = []
    for field, x in enumerate(row):
        intervals = list(zip(EDGES[field], EDGES[field][1:], strict=False))
        shares = [min(max((x - low) / (high - low), 0.0), 1.0) for low, high in intervals]
        result += [sum(t * vectors[field][k][d] for k, t in enumerate(shares)) for d in range(len(vectors[field][0]))]
    return result


def test_piecewise_linear_equals_its_formula() -> None:
    torch.manual_seed(3)
    module = PiecewiseLinear(EDGES, dim=4).double()
    rows = [[-5.0, -10.0], [0.25, 0.0], [1.0, 15.0], [2.5, 20.0], [99.0, 1e9]]
    received = module(torch.tensor(rows, dtype=torch.float64))
    expected = torch.tensor([naive(module, row) for row in rows], dtype=torch.float64)
    torch.testing.assert_close(received, expected, rtol=1e-12, atol=1e-12)


def test_piecewise_linear_is_zero_at_the_first_edge_and_constant_beyond_the_last() -> None:
    module = PiecewiseLinear([[1.0, 2.0, 5.0]], dim=3)
    zero, below, last, above = module(torch.tensor([[1.0], [-7.0], [5.0], [6.0]]))
    assert zero.tolist() == below.tolist() == [0.0, 0.0, 0.0]
    assert last.tolist() == above.tolist() == module.weight[0].sum(0).tolist()


def test_piecewise_linear_has_its_edges_after_a_checkpoint_is_loaded() -> None:
    module, other = PiecewiseLinear(EDGES, dim=4), PiecewiseLinear(EDGES, dim=4)
    other.to_empty(device="cpu").load_state_dict(module.state_dict())
    assert list(module.state_dict()) == ["weight", "edges"]
    assert torch.equal(module(torch.tensor([[0.5, 3.0]])), other(torch.tensor([[0.5, 3.0]])))


def test_piecewise_linear_is_exported_with_its_edges() -> None:
    module = PiecewiseLinear(EDGES, dim=4)
    x = torch.tensor([[0.5, 3.0], [2.0, 12.0]])
    torch.testing.assert_close(torch.export.export(module, (x,)).module()(x), module(x))
