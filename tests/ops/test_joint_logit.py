from __future__ import annotations

import math

import pytest
import torch

from tzrec.ops.joint_logit import joint_logit


def test_joint_logit_equals_formula() -> None:
    a, b = 3 * torch.randn(2, 1000, dtype=torch.float64)
    torch.testing.assert_close(joint_logit(a, b), torch.logit(torch.sigmoid(a) * torch.sigmoid(b)))
    torch.testing.assert_close(joint_logit(a.float(), b.float()), joint_logit(a, b).float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("a", "b", "expected"), [(200.0, 200.0, 200 - math.log(2)), (-150.0, 1.0, -150 + math.log(1 / (1 + math.exp(-1))))]
)
def test_joint_logit_where_probabilities_round_is_exact(a: float, b: float, expected: float) -> None:
    x = torch.tensor([a, b], requires_grad=True)
    logit = joint_logit(x[0], x[1])
    logit.backward()
    assert logit.item() == pytest.approx(expected, rel=1e-6)
    assert x.grad is not None and bool(((x.grad >= 0) & (x.grad <= 1)).all()) and x.grad.sum() > 0.5


def test_joint_logit_of_half_precision_is_float32() -> None:
    assert joint_logit(torch.ones(1, dtype=torch.bfloat16), torch.ones(1, dtype=torch.bfloat16)).dtype == torch.float32
