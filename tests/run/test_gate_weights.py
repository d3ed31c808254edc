"""Weights of gates over experts."""

from __future__ import annotations

import pytest
import torch

from tzrec.modules.experts import MixtureOfExperts
from tzrec.modules.extraction import Extraction
from tzrec.run.gate_weights import observe_gates


def test_observe_gates_averages_the_softmax_over_all_rows() -> None:
    torch.manual_seed(1)
    model = MixtureOfExperts(4, 3, {"hidden_units": [2]}, num_task=2)
    x = torch.randn(50, 4)
    with observe_gates(model) as gates:
        model(x[:20])
        model(x[20:])
    model(x)  # no longer observed
    assert [weights.num_rows for weights in gates] == [50, 50]
    for number, weights in enumerate(gates):
        expected = torch.softmax(model.gates[number](x), dim=1).mean(0).tolist()
        value = weights.to_json(["ctr", "cvr"])
        assert value["gate"] == ["ctr", "cvr"][number]
        assert value["weights"] == pytest.approx(expected, abs=1e-6)


def test_observe_gates_names_the_shared_gate_of_an_extraction() -> None:
    expert = {"hidden_units": [2]}
    model = Extraction(4, 2, 1, expert, 1, expert, has_shared_output=True)
    x = torch.randn(3, 4)
    with observe_gates(model) as gates:
        model([x, x], x)
    assert [weights.to_json(["a", "b"])["gate"] for weights in gates] == ["a", "b", "shared"]
    assert [len(weights.total) for weights in gates] == [2, 2, 3]
