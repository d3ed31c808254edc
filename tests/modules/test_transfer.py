from __future__ import annotations

import math

import torch

from tzrec.modules.transfer import Transfer


def test_transfer_of_dim_one_weighs_three_to_one() -> None:
    """dim 1. Previous: relu(3) = 3, own: 1. Scores u^2 c with c = log(3) / 8: 9c and c, so weights 3 to 1."""
    transfer = Transfer(1)
    with torch.no_grad():
        for parameter in transfer.parameters():
            parameter.zero_()
        transfer.info.weight.fill_(1)
        transfer.key.weight.fill_(math.log(3) / 8)
        transfer.query.weight.fill_(1)
        transfer.value.weight.fill_(2)
    torch.testing.assert_close(transfer(torch.tensor([[3.0]]), torch.tensor([[1.0]])), torch.tensor([[5.0]]))
    # what is handed on is never negative: relu(-1) = 0, and of (0, 0) nothing comes
    torch.testing.assert_close(transfer(torch.tensor([[-1.0]]), torch.tensor([[0.0]])), torch.tensor([[0.0]]))
