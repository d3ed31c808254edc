from __future__ import annotations

import torch

from tzrec.modules.extraction import Extraction


def test_by_hand() -> None:
    """Two tasks, one expert each (x and 2 x) and one shared (10 x), gates that know no difference: plain means."""
    level = Extraction(1, 2, 1, {"hidden_units": [1]}, 1, {"hidden_units": [1]}, mixes_shared=True)
    with torch.no_grad():
        for parameter in level.parameters():
            parameter.zero_()
        for expert, factor in zip([*(e[0] for e in level.task_experts), level.shared_experts[0]], (1, 2, 10)):
            expert.layers[0].linear.weight.fill_(factor)
    first, second, shared = torch.tensor([[1.0]]), torch.tensor([[2.0]]), torch.tensor([[3.0]])
    mixed, common = level([first, second], shared)
    assert [each.item() for each in mixed] == [(1 + 30) / 2, (4 + 30) / 2]
    torch.testing.assert_close(common, torch.tensor([[(1 + 4 + 30) / 3]]))


def test_a_gate_chooses() -> None:
    """A gate whose bias is all on the shared expert leaves nothing else."""
    level = Extraction(3, 1, 2, {"hidden_units": [4]}, 1, {"hidden_units": [5, 4]}, mixes_shared=False)
    with torch.no_grad():
        level.task_gates[0].weight.zero_()
        level.task_gates[0].bias.copy_(torch.tensor([0.0, 0.0, 100.0]))
    x, shared = torch.randn(2, 3), torch.randn(2, 3)
    (mixed,), common = level([x], shared)
    torch.testing.assert_close(mixed, level.shared_experts[0](shared))
    assert common is None
