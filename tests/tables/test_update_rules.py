"""Update rules of tables with a dense kernel, compared with formulas and with the fused kernels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation
from fbgemm_gpu.split_table_batched_embeddings_ops_training import ComputeDevice, SplitTableBatchedEmbeddingBagsCodegen
from torch import Tensor

from tzrec.config.kwargs import kwargs
from tzrec.config.options import member_messages, optimizer_bytes
from tzrec.config.schema import oneof_of
from tzrec.protos import optimizer_pb2 as pb
from tzrec.tables.sparse_optimizer import fused_params
from tzrec.tables.update_rules import RULES


@pytest.mark.parametrize("kind", ["sgd_optimizer", "adagrad_optimizer", "rowwise_adagrad_optimizer"])
def test_rule_equals_fused_kernel(kind: str) -> None:
    """Five steps, ids that repeat in a batch and rows that are never read."""
    config = pb.SparseOptimizer()
    getattr(config, kind).lr = 0.1
    specs = [(12, 8, EmbeddingLocation.HOST, ComputeDevice.CPU)]
    kernel = SplitTableBatchedEmbeddingBagsCodegen(specs, device=torch.device("cpu"), **fused_params(config))
    (fused,) = kernel.split_embedding_weights()
    unfused = fused.uniform_(-1, 1).clone()
    rule, initial_state = RULES[kind]
    state = {key: make(unfused) for key, make in initial_state.items()}
    for _ in range(5):
        ids, gradient = torch.randint(0, 9, (6,)), torch.randn(6, 8)
        kernel(ids, torch.arange(7)).backward(gradient)
        table_gradient = torch.zeros_like(unfused).index_add_(0, ids, gradient)
        rule(unfused, table_gradient, state, 0.1, kwargs(getattr(config, kind)))
        torch.testing.assert_close(unfused, fused, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", RULES)
def test_optimizer_bytes_equal_those_of_the_state(kind: str) -> None:
    weight = torch.zeros(7, 4)
    tensors = [make(weight) for make in RULES[kind][1].values()]
    size = sum(tensor.nbytes for tensor in tensors if tensor.dim())  # without the step count
    assert optimizer_bytes(member_messages(oneof_of(pb.SparseOptimizer, "optimizer"))[kind], 7, 4) == size


@pytest.mark.parametrize(
    ("mode", "momentum", "change"),
    [
        # gradient (3, 5), weights 2: mean square (9 + 25) / 2 = 17
        ("NONE", 17, lambda grad: 0.1 * grad / 17**0.5),
        # the decay 0.5 * 2 = 1 is added to the gradient: (4, 6), mean square 26
        ("L2", 26, lambda grad: 0.1 * (grad + 1) / 26**0.5),
        # the decay is added to the change: 0.1 * 0.5 * 2 = 0.1
        ("DECOUPLE", 17, lambda grad: 0.1 + 0.1 * grad / 17**0.5),
    ],
)
def test_rowwise_adagrad_with_weight_decay_equals_formula(
    mode: str, momentum: float, change: Callable[[Tensor], Tensor]
) -> None:
    rule, initial_state = RULES["rowwise_adagrad_optimizer"]
    weight, grad = torch.full((2, 2), 2.0), torch.tensor([[0.0, 0.0], [3.0, 5.0]])
    state = {key: make(weight) for key, make in initial_state.items()}
    rule(weight, grad, state, 0.1, {"weight_decay": 0.5, "weight_decay_mode": mode})
    torch.testing.assert_close(weight[1], 2.0 - change(grad[1]))
    assert weight[0].tolist() == [2.0, 2.0]  # not looked up: no weight decay
    torch.testing.assert_close(state["momentum1"], torch.tensor([0.0, momentum]))


def test_adam_of_rows_looked_up_in_some_steps_equals_formula() -> None:
    """Row 0 is looked up at steps 1 and 3, row 1 never; beta1 0.5, beta2 0.75, lr 0.1, decay 0.2.

    Step 1, gradient 2: m = 1, v = 1; m / (1 - 0.5) = 2, v / (1 - 0.75) = 4, so 2 / 2 = 1 and
    w = 1 - 0.1 * (1 + 0.2 * 1) = 0.88. Step 2 changes the count only. Step 3, gradient 2: m = 0.5 + 1 = 1.5,
    v = 0.75 + 1 = 1.75; corrected by 1 - 0.5^3 = 0.875 and 1 - 0.75^3 = 0.578125.
    """
    rule, initial_state = RULES["adam_optimizer"]
    weight = torch.ones(2, 4)
    state = {key: make(weight) for key, make in initial_state.items()}
    arguments = {"beta1": 0.5, "beta2": 0.75, "weight_decay": 0.2}
    gradient, no_gradient = torch.zeros(2, 4), torch.zeros(2, 4)
    gradient[0] = 2.0
    rule(weight, gradient, state, 0.1, arguments)
    torch.testing.assert_close(weight[0], torch.full((4,), 0.88))
    rule(weight, no_gradient, state, 0.1, arguments)
    torch.testing.assert_close(weight[0], torch.full((4,), 0.88))
    rule(weight, gradient, state, 0.1, arguments)
    change = (1.5 / 0.875) / (1.75 / 0.578125) ** 0.5
    torch.testing.assert_close(weight[0], torch.full((4,), 0.88 - 0.1 * (change + 0.2 * 0.88)))
    assert torch.equal(weight[1], torch.ones(4))
    assert int(state["step"]) == 3


LR = 0.1
FIELDS = {
    "sgd_optimizer": {},
    "adagrad_optimizer": {},
    "rowwise_adagrad_optimizer": {"weight_decay": 0.3, "weight_decay_mode": "L2"},
    "adam_optimizer": {"beta1": 0.6, "beta2": 0.8, "weight_decay": 0.3},
    "partial_rowwise_adam_optimizer": {"beta1": 0.6, "beta2": 0.8, "weight_decay": 0.3},
    "lamb_optimizer": {"beta1": 0.6, "beta2": 0.8, "weight_decay": 0.3},
    "partial_rowwise_lamb_optimizer": {"beta1": 0.6, "beta2": 0.8, "weight_decay": 0.3},
    "lars_sgd_optimizer": {"momentum": 0.7, "weight_decay": 0.3},
    "adadelta_optimizer": {"rho": 0.9, "eps": 1e-6, "weight_decay": 0.3},
    "rmsprop_optimizer": {"alpha": 0.9, "eps": 1e-8, "weight_decay": 0.3},
    "ftrl_optimizer": {"learning_rate_power": -0.4, "ftrl_beta": 0.5, "l1_reg": 0.01, "l2_reg": 0.2},
}


class Row:
    """One row of a table under any optimizer, from the formulas; a step without a gradient changes the count only."""

    def __init__(self, kind: str, w: np.ndarray) -> None:
        self.kind, self.a, self.w = kind, FIELDS[kind], w.astype(np.float64)
        self.m, self.v, self.t = np.zeros_like(self.w), np.zeros_like(self.w), 0

    def step(self, g: np.ndarray) -> None:
        self.t += 1
        if not g.any():
            return
        g, w, a = g.astype(np.float64), self.w, self.a
        decay = a.get("weight_decay", 0.0)
        if self.kind in ("rowwise_adagrad_optimizer", "adadelta_optimizer", "rmsprop_optimizer"):
            g = g + decay * w
        if self.kind == "sgd_optimizer":
            self.w = w - LR * g
        elif "adagrad" in self.kind:
            self.v = self.v + (np.full_like(g, (g**2).mean()) if "rowwise" in self.kind else g**2)
            self.w = w - LR * g / (np.sqrt(self.v) + 1e-8)
        elif self.kind == "rmsprop_optimizer":
            self.v = a["alpha"] * self.v + (1 - a["alpha"]) * g**2
            self.w = w - LR * g / (np.sqrt(self.v) + a["eps"])
        elif self.kind == "adadelta_optimizer":
            self.v = a["rho"] * self.v + (1 - a["rho"]) * g**2
            change = np.sqrt(self.m + a["eps"]) / np.sqrt(self.v + a["eps"]) * g
            self.m = a["rho"] * self.m + (1 - a["rho"]) * change**2
            self.w = w - LR * change
        elif self.kind == "lars_sgd_optimizer":
            size, slope = np.sqrt((w**2).sum()), np.sqrt((g**2).sum())
            self.m = a["momentum"] * self.m + LR * 0.001 * size / (slope + decay * size) * (g + decay * w)
            self.w = w - self.m
        elif self.kind == "ftrl_optimizer":
            roots = self.v**0.4, (self.v + g**2) ** 0.4
            self.v, self.m = self.v + g**2, self.m + g - (roots[1] - roots[0]) / LR * w
            shrunk = np.sign(self.m) * a["l1_reg"] - self.m
            self.w = np.where(np.abs(self.m) > a["l1_reg"], shrunk / ((0.5 + roots[1]) / LR + a["l2_reg"]), 0.0)
        else:
            self.m = a["beta1"] * self.m + (1 - a["beta1"]) * g
            squares = np.full_like(g, (g**2).mean()) if "partial" in self.kind else g**2
            self.v = a["beta2"] * self.v + (1 - a["beta2"]) * squares
            r = (self.m / (1 - a["beta1"] ** self.t)) / (
                np.sqrt(self.v / (1 - a["beta2"] ** self.t)) + 1e-8
            ) + decay * w
            trust = np.sqrt((w**2).sum()) / np.sqrt((r**2).sum()) if "lamb" in self.kind else 1.0
            self.w = w - LR * trust * r


@pytest.mark.parametrize("kind", sorted(RULES))
def test_three_steps_of_each_rule_equal_formulas(kind: str) -> None:
    """Row 0 is looked up at every step, row 1 at the first and the last, row 2 never."""
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    before = weight.clone()
    rows = [Row(kind, row.numpy()) for row in weight]
    rule, initial_state = RULES[kind]
    state = {key: make(weight) for key, make in initial_state.items()}
    for step in range(3):
        grad = torch.randn(3, 4, generator=torch.Generator().manual_seed(10 + step))
        grad[2] = 0.0
        if step == 1:
            grad[1] = 0.0
        rule(weight, grad, state, LR, FIELDS[kind])
        for row, row_grad in zip(rows, grad.numpy(), strict=True):
            row.step(row_grad)
        expected = torch.tensor(np.stack([row.w for row in rows]), dtype=torch.float32)
        torch.testing.assert_close(weight, expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(weight[2], before[2])
    assert (weight[:2] - before[:2]).abs().min() > 0


@pytest.mark.parametrize("kind", sorted(RULES))
def test_step_without_gradient_changes_nothing(kind: str) -> None:
    weight = torch.randn(3, 4)
    before = weight.clone()
    rule, initial_state = RULES[kind]
    rule(weight, torch.zeros(3, 4), {key: make(weight) for key, make in initial_state.items()}, LR, FIELDS[kind])
    assert torch.equal(weight, before)


@pytest.mark.parametrize(
    ("kind", "build"),
    [
        ("adadelta_optimizer", lambda w: torch.optim.Adadelta([w], lr=LR, rho=0.9, eps=1e-6, weight_decay=0.3)),
        ("rmsprop_optimizer", lambda w: torch.optim.RMSprop([w], lr=LR, alpha=0.9, eps=1e-8, weight_decay=0.3)),
    ],
)
def test_rules_without_fused_kernel_equal_torch(kind: str, build: Callable[[Tensor], torch.optim.Optimizer]) -> None:
    weight = torch.randn(3, 4)
    reference = torch.nn.Parameter(weight.clone())
    optimizer = build(reference)
    rule, initial_state = RULES[kind]
    state = {key: make(weight) for key, make in initial_state.items()}
    for _ in range(5):
        grad = torch.randn(3, 4)
        reference.grad = grad.clone()
        optimizer.step()
        rule(weight, grad, state, LR, FIELDS[kind])
    torch.testing.assert_close(weight, reference.detach(), rtol=1e-5, atol=1e-6)


def test_ftrl_with_l1_makes_values_exactly_zero() -> None:
    """Gradients (3, -0.5), rate 1, l1 1, weights 0: n = (9, 0.25), z = (3, -0.5), so w = ((1 - 3) / (1 + 3), 0)."""
    rule, initial_state = RULES["ftrl_optimizer"]
    weight = torch.zeros(1, 2)
    state = {key: make(weight) for key, make in initial_state.items()}
    arguments = {"learning_rate_power": -0.5, "ftrl_beta": 1.0, "l1_reg": 1.0, "l2_reg": 0.0}
    rule(weight, torch.tensor([[3.0, -0.5]]), state, 1.0, arguments)
    assert weight.tolist() == [[-0.5, 0.0]]
    assert state["momentum1"].tolist() == [[9.0, 0.25]]
    assert state["linear"].tolist() == [[3.0, -0.5]]


def test_ftrl_without_regularization_stays_finite() -> None:
    rule, initial_state = RULES["ftrl_optimizer"]
    weight = torch.ones(1, 2)
    state = {key: make(weight) for key, make in initial_state.items()}
    arguments = {"learning_rate_power": -0.5, "ftrl_beta": 0.0, "l1_reg": 0.0, "l2_reg": 0.0}
    rule(weight, torch.tensor([[2.0, 0.0]]), state, 0.5, arguments)
    # z = 2 - 2 / 0.5 * 1 = -2, so w = 2 / (2 / 0.5)
    assert weight.tolist() == [[0.5, 0.0]]


def test_ftrl_with_rate_zero_changes_nothing() -> None:
    rule, initial_state = RULES["ftrl_optimizer"]
    weight = torch.ones(2, 2)
    state = {key: make(weight) for key, make in initial_state.items()}
    rule(weight, torch.ones(2, 2), state, 0.0, FIELDS["ftrl_optimizer"])
    assert torch.equal(weight, torch.ones(2, 2))
    assert not any(value.any() for value in state.values())


def test_every_member_of_the_schema_has_a_rule() -> None:
    members = {field.name for field in pb.SparseOptimizer.DESCRIPTOR.oneofs_by_name["optimizer"].fields}
    assert set(RULES) == members
