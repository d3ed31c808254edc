from __future__ import annotations

import torch

from tzrec.modules.dropout import Dropout


def test_dropout_in_evaluation_is_identity() -> None:
    torch.manual_seed(1)
    layer, x = Dropout(0.5), torch.ones(1000)
    assert set(layer(x).tolist()) == {0.0, 2.0}
    assert torch.equal(layer.eval()(x), x)
