"""Update rules: one step of each sparse optimizer for a whole table, in place.

The optimizers of fbgemm are computed as in its kernels (FBGEMM, codegen/genscript/optimizers.py), Adadelta and RMSprop,
which it lacks, as in torch.optim, and FTRL as in its paper. A row without a gradient was not looked up: neither its
values nor its state change, and no weight decay is applied to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

EPS = 1e-8
"""Epsilon of the optimizers whose message has no such field, as in the fused kernels."""

ETA = 1e-3
"""Trust coefficient of LARS, as in the fused kernel."""

State = dict[str, Tensor]


def _sgd(weight: Tensor, grad: Tensor, state: State, lr: float, arguments: Mapping[str, Any]) -> None:
    weight.sub_(lr * grad)


def _adagrad(weight: Tensor, grad: Tensor, state: State, lr: float, arguments: Mapping[str, Any]) -> None:
    state["momentum1"].addcmul_(grad, grad)
    weight.addcdiv_(grad, state["momentum1"].sqrt().add_(EPS), value=-lr)


def _rowwise_adagrad(weight: Tensor, grad: Tensor, state: State, lr: float, arguments: Mapping[str, Any]) -> None:
    rows, old, grad = _active_rows(weight, grad)
    decay, mode = arguments["weight_decay"], arguments["weight_decay_mode"]
    if mode == "L2":
        grad = grad + decay * old
    momentum = state["momentum1"][rows] + grad.square().mean(1)  # (R,)
    state["momentum1"][rows] = momentum
    decayed = old * (1 - lr * decay) if mode == "DECOUPLE" else old
    weight[rows] = decayed - (lr / (momentum.sqrt() + EPS)).unsqueeze(1) * grad


def _adam(weight: Tensor, grad: Tensor, state: State, lr: float, arguments: Mapping[str, Any]) -> None:
    """Adam, or partial row-wise Adam if there is one second moment per row; weight decay is decoupled."""
    rows, old, direction = _adam_direction(weight, grad, state, arguments)
    weight[rows] = old - lr * direction


def _lamb(weight: Tensor, grad: Tensor, state: State, lr: float, arguments: Mapping[str, Any]) -> None:
    """LAMB (You et al., ICLR 2020), each row being a layer of the paper; a row of zeros stays zero."""
    rows, old, direction = _adam_direction(weight, grad, state, arguments)
    trust = old.norm(dim=1, keepdim=True) / direction.norm(dim=1, keepdim=True)  # (R, 1)
    weight[rows] = old - lr * trust * direction


def _adam_direction(
    weight: Tensor, grad: Tensor, state: State, arguments: Mapping[str, Any]
) -> tuple[Tensor, Tensor, Tensor]:
    """Update the moments; return the rows `(R,)`, their values and the direction of Adam with decay, both `(R, D)`."""
    beta1, beta2, step = arguments["beta1"], arguments["beta2"], int(state["step"].add_(1))
    rows, old, grad = _active_rows(weight, grad)
    squares = grad.square() if state["exp_avg_sq"].dim() == 2 else grad.square().mean(1)  # (R, D) or (R,)
    first = state["momentum1"][rows].lerp_(grad, 1 - beta1)  # (R, D)
    second = state["exp_avg_sq"][rows].lerp_(squares, 1 - beta2)
    state["momentum1"][rows], state["exp_avg_sq"][rows] = first, second
    scale = (second / (1 - beta2**step)).sqrt_().add_(EPS)
    if scale.dim() == 1:
        scale = scale.unsqueeze(1)  # (R, 1)
    return rows, old, first / (1 - beta1**step) / scale + arguments["weight_decay"] * old


def _lars_sgd(weight: Tensor, grad: Tensor, state: State, lr: float, arguments: Mapping[str, Any]) -> None:
    """LARS (You et al., 2017), each row being a layer of the paper; a row of zeros stays zero."""
    rows, old, grad = _active_rows(weight, grad)
    size, decay = old.norm(dim=1, keepdim=True), arguments["weight_decay"]  # (R, 1)
    rate = lr * ETA * size / (grad.norm(dim=1, keepdim=True) + decay * size)
    momentum = arguments["momentum"] * state["momentum1"][rows] + rate * (grad + decay * old)
    state["momentum1"][rows] = momentum
    weight[rows] = old - momentum


def _adadelta(weight: Tensor, grad: Tensor, state: State, lr: float, arguments: Mapping[str, Any]) -> None:
    rows, old, grad = _active_rows(weight, grad)
    rho, eps = arguments["rho"], arguments["eps"]
    grad = grad + arguments["weight_decay"] * old
    squares = state["square_avg"][rows].lerp_(grad.square(), 1 - rho)
    change = (state["acc_delta"][rows] + eps).sqrt() / (squares + eps).sqrt() * grad
    state["square_avg"][rows] = squares
    state["acc_delta"][rows] = state["acc_delta"][rows].lerp_(change.square(), 1 - rho)
    weight[rows] = old - lr * change


def _rmsprop(weight: Tensor, grad: Tensor, state: State, lr: float, arguments: Mapping[str, Any]) -> None:
    rows, old, grad = _active_rows(weight, grad)
    grad = grad + arguments["weight_decay"] * old
    squares = state["square_avg"][rows].lerp_(grad.square(), 1 - arguments["alpha"])
    state["square_avg"][rows] = squares
    weight[rows] = old - lr * grad / (squares.sqrt() + arguments["eps"])


def _ftrl(weight: Tensor, grad: Tensor, state: State, lr: float, arguments: Mapping[str, Any]) -> None:
    """FTRL-Proximal (McMahan et al., KDD 2013, algorithm 1), with any power in place of the square root.

    The terms are divided by the learning rate; nothing changes while that is 0, at the start of a warm-up.
    """
    if lr == 0:
        return
    rows, old, grad = _active_rows(weight, grad)
    power = -arguments["learning_rate_power"]
    before = state["momentum1"][rows]
    sums = before + grad.square()  # (R, D)
    linear = state["linear"][rows] + grad - (sums.pow(power) - before.pow(power)) / lr * old  # (R, D)
    scale = (arguments["ftrl_beta"] + sums.pow(power)) / lr + arguments["l2_reg"]
    excess = linear.abs() - arguments["l1_reg"]
    state["momentum1"][rows], state["linear"][rows] = sums, linear
    weight[rows] = torch.where(excess > 0, -linear.sign() * excess / scale, 0.0)


def _active_rows(weight: Tensor, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows that have a gradient: their indices `(R,)`, values and gradients `(R, D)`."""
    rows = grad.ne(0).any(1).nonzero().squeeze(1)  # a quarter of the time of count_nonzero
    return rows, weight[rows], grad[rows]


def _per_value(weight: Tensor) -> Tensor:
    return torch.zeros_like(weight, dtype=torch.float32)


def _per_row(weight: Tensor) -> Tensor:
    return weight.new_zeros(len(weight), dtype=torch.float32)


def _count(weight: Tensor) -> Tensor:
    return torch.zeros((), dtype=torch.int64)


Rule = Callable[[Tensor, Tensor, State, float, Mapping[str, Any]], None]
"""One step of one table in place: weight (R, D), gradient (R, D), state, learning rate, fields of the message."""

_MOMENTS: dict[str, Callable[[Tensor], Tensor]] = {"momentum1": _per_value, "exp_avg_sq": _per_value, "step": _count}

RULES: dict[str, tuple[Rule, dict[str, Callable[[Tensor], Tensor]]]] = {
    "sgd_optimizer": (_sgd, {}),
    "adagrad_optimizer": (_adagrad, {"momentum1": _per_value}),
    "rowwise_adagrad_optimizer": (_rowwise_adagrad, {"momentum1": _per_row}),
    "adam_optimizer": (_adam, _MOMENTS),
    "partial_rowwise_adam_optimizer": (_adam, {**_MOMENTS, "exp_avg_sq": _per_row}),
    "lamb_optimizer": (_lamb, _MOMENTS),
    "partial_rowwise_lamb_optimizer": (_lamb, {**_MOMENTS, "exp_avg_sq": _per_row}),
    "lars_sgd_optimizer": (_lars_sgd, {"momentum1": _per_value}),
    "adadelta_optimizer": (_adadelta, {"square_avg": _per_value, "acc_delta": _per_value}),
    "rmsprop_optimizer": (_rmsprop, {"square_avg": _per_value}),
    "ftrl_optimizer": (_ftrl, {"momentum1": _per_value, "linear": _per_value}),
}
"""Per member of `SparseOptimizer.optimizer`, its rule and its state, named as in the fused kernels or torch.optim."""
