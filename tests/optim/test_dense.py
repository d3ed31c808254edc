"""Accumulation, clipping, loss scale and moving average of the dense optimizer, compared with formulas."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from torch import Tensor

from tzrec.errors import TrainingError
from tzrec.optim.build import dense_optimizer
from tzrec.optim.dense import DenseOptimizer
from tzrec.optim.loss_scale import LossScale
from tzrec.protos.train_pb2 import TrainConfig

SGD = "dense_optimizer { sgd_optimizer { lr: 0.5 momentum: 0 } }"
GRADS = [[1.0, -2.0], [0.5, 0.25], [-3.0, 0.75], [2.0, 1.0], [0.25, -1.0], [4.0, 3.0]]


def build(text: str, **params: torch.nn.Parameter) -> DenseOptimizer:
    return dense_optimizer(text_format.Parse(text, TrainConfig()), params.items(), lambda flag: flag)


def start(*values: float) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor(values))


def train_batch(optimizer: DenseOptimizer, **slopes: tuple[Tensor, list[float]]) -> None:
    """Train a batch whose loss has the given gradient in each parameter."""
    optimizer.zero_grad()
    loss = torch.stack([(param * torch.tensor(slope)).sum() for param, slope in slopes.values()]).sum()
    optimizer.scale_loss(loss).backward()
    optimizer.step()


def test_gradients_of_three_batches_are_averaged_for_one_step() -> None:
    w = start(1.0, 2.0)
    optimizer = build(SGD + "gradient_accumulation_steps: 3", w=w)
    expected = np.array([1.0, 2.0])
    for number, grad in enumerate(GRADS, start=1):
        train_batch(optimizer, w=(w, grad))
        if number % 3 == 0:
            expected = expected - 0.5 * np.mean(GRADS[number - 3 : number], axis=0)
        np.testing.assert_allclose(w.detach().numpy(), expected, rtol=1e-6)
    assert optimizer.accumulated_gradients() == {}


def test_default_is_one_batch_per_step() -> None:
    w = start(1.0, 2.0)
    for text in (SGD, SGD + "gradient_accumulation_steps: 0", SGD + "gradient_accumulation_steps: 1"):
        before = w.detach().clone()
        train_batch(build(text, w=w), w=(w, [1.0, -2.0]))
        torch.testing.assert_close(w.detach(), before - 0.5 * torch.tensor([1.0, -2.0]))


def test_accumulated_gradients_are_restored() -> None:
    text = SGD + "gradient_accumulation_steps: 3"
    uninterrupted, resumed = start(1.0, 2.0), start(1.0, 2.0)
    old = build(text, w=uninterrupted)
    for grad in GRADS[:2]:
        train_batch(old, w=(uninterrupted, grad))
    new = build(text, w=resumed)
    new.load_scalar_state(old.scalar_state())
    for name, grad in new.allocate_gradients(old.accumulated_gradients()).items():
        grad.copy_(old.accumulated_gradients()[name])
    for optimizer, param in ((old, uninterrupted), (new, resumed)):
        train_batch(optimizer, w=(param, GRADS[2]))
    assert torch.equal(uninterrupted, resumed)
    assert not torch.equal(uninterrupted.detach(), torch.tensor([1.0, 2.0]))


# gradients (3, 0) and (0, 4): a Euclidean norm of 5, a largest value of 4, a sum of 7
@pytest.mark.parametrize(
    ("clipping", "factors"),
    [
        ("", (3, 4)),
        ("clipping_type: 'none'", (3, 4)),
        ("clipping_type: 'norm'", (0.6, 0.8)),
        ("clipping_type: 'NORM' max_gradient: 2.5 enable_global_grad_clip: true", (1.5, 2)),
        ("clipping_type: 'norm' max_gradient: 6", (3, 4)),
        ("clipping_type: 'norm' norm_type: 1 max_gradient: 3.5", (1.5, 2)),
        ("clipping_type: 'norm' norm_type: inf max_gradient: 2", (1.5, 2)),
        ("clipping_type: 'value' max_gradient: 3.5", (3, 3.5)),
    ],
)
def test_clipping_by_norm_or_by_value(clipping: str, factors: tuple[float, float]) -> None:
    a, b = start(0.0, 0.0), start(0.0, 0.0)
    train_batch(build(SGD + f"grad_clipping {{ {clipping} }}", a=a, b=b), a=(a, [3.0, 0.0]), b=(b, [0.0, 4.0]))
    torch.testing.assert_close(a.detach(), torch.tensor([-0.5 * factors[0], 0.0]), rtol=1e-5, atol=0)
    torch.testing.assert_close(b.detach(), torch.tensor([0.0, -0.5 * factors[1]]), rtol=1e-5, atol=0)


def test_average_is_updated_after_steps_not_batches() -> None:
    w = start(1.0, 2.0)
    optimizer = build(SGD.replace("} }", "} ema { decay: 0.75 } }") + "gradient_accumulation_steps: 2", w=w)
    weight = average = np.array([1.0, 2.0])
    for number, grad in enumerate(GRADS, start=1):
        train_batch(optimizer, w=(w, grad))
        if number % 2 == 0:
            weight = weight - 0.5 * np.mean(GRADS[number - 2 : number], axis=0)
            average = 0.75 * average + 0.25 * weight
        assert optimizer.average
        np.testing.assert_allclose(optimizer.average.values["w"].numpy(), average, rtol=1e-6)
    before = w.detach().clone()
    with optimizer.average.average_parameters():
        np.testing.assert_allclose(w.detach().numpy(), average, rtol=1e-6)
    assert torch.equal(w, before)
    np.testing.assert_allclose(optimizer.average.values["w"].numpy(), average, rtol=1e-6)


def test_power_of_two_as_loss_scale_changes_nothing() -> None:
    plain, scaled = start(1.0, 2.0), start(1.0, 2.0)
    text = SGD + "gradient_accumulation_steps: 2 grad_clipping { clipping_type: 'norm' }"
    one, two = build(text, w=plain), build(text + "grad_scaler {}", w=scaled)
    for grad in GRADS:
        train_batch(one, w=(plain, grad))
        train_batch(two, w=(scaled, grad))
    assert torch.equal(plain, scaled)


def test_step_with_overflow_is_skipped_and_lowers_scale() -> None:
    """In float32 a gradient of 1e35 times 65536 is infinite."""
    w = start(1.0, 2.0)
    text = SGD.replace("} }", "} ema { decay: 0.5 } }")
    optimizer = build(text + "grad_scaler { growth_interval: 2 growth_factor: 4 }", w=w)
    assert optimizer.scale
    assert optimizer.average
    scales = []
    for grad in ([1.0, 1.0], [1e35, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]):
        train_batch(optimizer, w=(w, grad))
        scales.append(optimizer.scale.value)
    assert scales == [65536, 32768, 32768, 131072, 131072]
    assert w.tolist() == [1.0 - 4 * 0.5, 2.0 - 4 * 0.5]
    # the weights were 0.5, 0, -0.5, -1 after the four steps: 1, 0.75, 0.375, -0.0625, -0.53125
    assert optimizer.average.values["w"].tolist() == [-0.53125, 0.46875]


def test_loss_scale_equals_grad_scaler_of_torch() -> None:
    fields = {"init_scale": 1024.0, "growth_factor": 3.0, "backoff_factor": 0.25, "growth_interval": 2}
    expected, scale = torch.amp.GradScaler("cpu", **fields), LossScale(lambda flag: flag, **fields)
    param = start(1.0)
    optimizer = torch.optim.SGD([param], lr=0.0)
    for slope in (1.0, 1.0, 1.0, torch.inf, torch.nan, 1.0, 1.0, 1.0):
        param.grad = torch.tensor([slope * expected.scale(torch.ones(())).item()])
        grad = torch.tensor([slope * scale.value])
        assert scale.unscale([grad]) is (abs(slope) < torch.inf)
        expected.unscale_(optimizer)
        torch.testing.assert_close(grad, param.grad, equal_nan=True)
        expected.step(optimizer)
        expected.update()
        assert scale.value == expected.get_scale()


def test_table_gradients_are_unscaled_and_finite() -> None:
    flags = []
    scale = LossScale(lambda flag: flags.append(flag) or flag, 256.0, 2.0, 0.5, 2000)
    reached = scale.unscale_table_gradient(torch.tensor([[256.0, torch.inf], [torch.nan, -1.0]]))
    assert reached.tolist() == [[1.0, 0.0], [0.0, -1 / 256]]
    assert scale.unscale([torch.tensor([1.0])]) is False, "the dense parameters leave that step out as well"
    assert scale.unscale([torch.tensor([1.0])]) is True
    assert flags == [True, False]
    assert scale.value == 128.0


def test_overflow_on_other_rank_skips_step() -> None:
    scale = LossScale(lambda flag: True, 256.0, 2.0, 0.5, 2000)
    assert scale.unscale([torch.tensor([1.0])]) is False
    assert scale.value == 128.0


def test_repeated_overflows_raise() -> None:
    scale = LossScale(lambda flag: flag, 2.0, 2.0, 2.0**-16, 2000)
    scale.unscale([torch.tensor([torch.inf])])
    with pytest.raises(TrainingError, match="overflow even with a loss scale of"):
        scale.unscale([torch.tensor([torch.inf])])


def fp16(x: Tensor, w: Tensor) -> Tensor:
    return (x.half() @ w.half().T).float()


def bf16(x: Tensor, w: Tensor) -> Tensor:
    return (x.bfloat16() @ w.bfloat16().T).float()


@pytest.mark.parametrize(("dtype", "product"), [(torch.float16, fp16), (torch.bfloat16, bf16)])
def test_step_in_half_precision_equals_formula(dtype: torch.dtype, product: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Products are taken in half precision, weights and their steps are not."""
    x, y = torch.randn(8, 5), torch.randn(8, 1)
    w = torch.nn.Parameter(torch.randn(1, 5))
    before = w.detach().clone()
    optimizer = build(SGD + "grad_scaler { init_scale: 64 }", w=w)
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype):
        out = torch.nn.functional.linear(x, w)
    assert out.dtype == dtype
    optimizer.scale_loss((out.float() - y).square().mean()).backward()
    optimizer.step()
    slope = 64 * 2 * (product(x, before) - y) / 8  # (8, 1), rounded to half precision on its way into the product
    grad = (slope.to(dtype).T @ x.to(dtype)).float() / 64
    torch.testing.assert_close(w.detach(), before - 0.5 * grad, rtol=1e-5, atol=1e-6)
    exact = 2 * ((x @ before.T - y).T @ x) / 8
    assert (grad - exact).abs().max() > 1e-5, "the test sees the rounding"


def test_small_gradients_are_kept_in_fp16_with_scale() -> None:
    """1e-8 is less than half of FP16's smallest number, 6e-8; times 65536 it is an ordinary one."""
    steps = []
    for scaler in ("", "grad_scaler {}"):
        w = start(1.0)
        optimizer = build(SGD + scaler, w=w)
        optimizer.zero_grad()
        optimizer.scale_loss(w.half().float().sum() * 1e-8).backward()
        optimizer.step()
        steps.append(w.grad.item() if w.grad is not None else None)
    assert steps[0] == 0.0
    assert steps[1] == pytest.approx(1e-8, rel=1e-3)
