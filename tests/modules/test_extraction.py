from __future__ import annotations

import torch

from tzrec.modules.extraction import Extraction


def test_extraction_with_equal_gates_returns_means() -> None:
    """Two tasks, one expert each (x and 2 x) and one shared (10 x), gates with equal weights: plain means."""
    level = Extraction(1, 2, 1, {"hidden_units": [1]}, 1, {"hidden_units": [1]}, has_shared_output=True)
    with torch.no_grad():
        for parameter in level.parameters():
            parameter.zero_()
        for expert, factor in zip([*(e[0] for e in level.task_experts), level.shared_experts[0]], (1, 2, 10)):
            expert.layers[0].linear.weight.fill_(factor)
    first, second, shared = torch.tensor([[1.0]]), torch.tensor([[2.0]]), torch.tensor([[3.0]])
    mixed, common = level([first, second], shared)
    assert [output.item() for output in mixed] == [(1 + 30) / 2, (4 + 30) / 2]
    torch.testing.assert_close(common, torch.tensor([[(1 + 4 + 30) / 3]]))


def test_extraction_gate_with_large_bias_selects_expert() -> None:
    """A gate whose bias is all on the shared expert selects it."""
    level = Extraction(3, 1, 2, {"hidden_units": [4]}, 1, {"hidden_units": [5, 4]}, has_shared_output=False)
    with torch.no_grad():
        level.task_gates[0].weight.zero_()
        level.task_gates[0].bias.copy_(torch.tensor([0.0, 0.0, 100.0]))
    x, shared = torch.randn(2, 3), torch.randn(2, 3)
    (mixed,), common = level([x], shared)
    torch.testing.assert_close(mixed, level.shared_experts[0](shared))
    assert common is None
