from __future__ import annotations

import torch
from torch import nn

from tzrec.modules.running_statistics import RunningStatistics


def test_restore_undoes_a_forward_pass() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    statistics = RunningStatistics(model)
    model(torch.randn(4, 2))
    statistics.keep()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model(torch.randn(4, 2))
    assert not torch.equal(before["1.running_mean"], model.state_dict()["1.running_mean"])
    statistics.restore()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_nonfinite_names_lists_a_variance_that_overflowed() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2))
    statistics = RunningStatistics(model)
    assert statistics.nonfinite_names() == []
    assert torch.isfinite(model(torch.tensor([[1e30, 0.0], [-1e30, 1.0]]))).all(), "the output does not show it"
    assert statistics.nonfinite_names() == ["0.running_var"]
    assert RunningStatistics(nn.Linear(1, 1)).nonfinite_names() == []
