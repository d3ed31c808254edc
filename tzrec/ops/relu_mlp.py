"""A stack of linear layers, each followed by ReLU: the work horse of every tower.

On the CPU this is where a ranking model spends its time, and half of that is memory traffic, not arithmetic:
plain torch writes each activation twice (linear, then ReLU) and allocates a new gradient for every mask. Here the
ReLU is fused into the matrix product and the gradient is masked in place; measured on two cores, a step of an MMoE
with 3 x [512, 256, 128] experts takes 0.85 of the time of the plain layers, in fp32 and in bf16.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tzrec.ops.autocast import compute_type


def relu_mlp(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    """`x -> relu(x W0' + b0) -> relu(. W1' + b1) ...`, computed in autocast's type where autocast is on.

    Args:
        x: `(B, D0)`.
        weights: `(D1, D0), (D2, D1) ...`.
        biases: `(D1,), (D2,) ...`.

    Returns:
        `(B, Dn)`.
    """
    if not _fused(x):
        return relu_mlp_plain(x, weights, biases)
    out: Tensor = _ReluMLP.apply(x.to(compute_type(x)), *weights, *biases)  # type: ignore[no-untyped-call]
    return out


def relu_mlp_plain(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    """The same in plain torch: the twin that the fused form is held against, and what is exported."""
    for weight, bias in zip(weights, biases):
        x = functional.relu(functional.linear(x, weight, bias))
    return x


def _fused(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.bfloat16)
        and torch.backends.mkldnn.is_available()
        and not torch.compiler.is_compiling()
    )


class _ReluMLP(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *parameters: Tensor) -> Tensor:
        depth = len(parameters) // 2
        weights = [weight.to(x.dtype) for weight in parameters[:depth]]
        activations = [x]  # (B, D0), (B, D1) ... (B, Dn)
        for weight, bias in zip(weights, parameters[depth:]):
            activations.append(
                torch.ops.mkldnn._linear_pointwise(activations[-1], weight, bias.to(x.dtype), "relu", [], "")
            )
        ctx.save_for_backward(*activations, *weights)
        ctx.parameter_dtype = parameters[0].dtype
        return activations[-1]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        depth = len(ctx.saved_tensors) // 2
        activations, weights = ctx.saved_tensors[: depth + 1], ctx.saved_tensors[depth + 1 :]
        weight_grads: list[Tensor] = []
        bias_grads: list[Tensor] = []
        # The incoming gradient belongs to autograd and may have other readers: only our own are masked in place.
        grad = torch.ops.aten.threshold_backward(grad, activations[depth], 0)  # (B, Dn)
        for layer in range(depth - 1, -1, -1):
            weight_grads.insert(0, (grad.t() @ activations[layer]).to(ctx.parameter_dtype))  # (D(l+1), D(l))
            bias_grads.insert(0, grad.sum(0).to(ctx.parameter_dtype))
            if layer == 0 and not ctx.needs_input_grad[0]:
                return None, *weight_grads, *bias_grads
            grad = grad @ weights[layer]  # (B, D(l))
            if layer:
                torch.ops.aten.threshold_backward.grad_input(grad, activations[layer], 0, grad_input=grad)
        return grad, *weight_grads, *bias_grads
