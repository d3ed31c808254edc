"""The rules of tables without a fused kernel: by hand, and against the kernels where those exist."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation
from fbgemm_gpu.split_table_batched_embeddings_ops_training import ComputeDevice, SplitTableBatchedEmbeddingBagsCodegen
from torch import Tensor

from tzrec.config.kwargs import kwargs
from tzrec.optim.plain_tables import RULES
from tzrec.optim.sparse import fused_params
from tzrec.protos import optimizer_pb2 as pb


@pytest.mark.parametrize("kind", ["sgd_optimizer", "adagrad_optimizer", "rowwise_adagrad_optimizer"])
def test_plain_is_fused(kind: str) -> None:
    """Five steps, ids that repeat in a batch and rows that are never read."""
    config = pb.SparseOptimizer()
    getattr(config, kind).lr = 0.1
    specs = [(12, 8, EmbeddingLocation.HOST, ComputeDevice.CPU)]
    kernel = SplitTableBatchedEmbeddingBagsCodegen(specs, device=torch.device("cpu"), **fused_params(config))
    (fused,) = kernel.split_embedding_weights()
    plain = fused.uniform_(-1, 1).clone()
    rule, begin = RULES[kind]
    state = {key: make(plain) for key, make in begin.items()}
    for _ in range(5):
        ids, gradient = torch.randint(0, 9, (6,)), torch.randn(6, 8)
        kernel(ids, torch.arange(7)).backward(gradient)
        whole = torch.zeros_like(plain).index_add_(0, ids, gradient)
        rule(plain, whole, state, 0.1, kwargs(getattr(config, kind)))
        torch.testing.assert_close(plain, fused, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("mode", "momentum", "change"),
    [
        # gradient (3, 5), weights 2: mean square (9 + 25) / 2 = 17
        ("NONE", 17, lambda grad: 0.1 * grad / 17**0.5),
        # the decay 0.5 * 2 = 1 joins the gradient: (4, 6), mean square 26
        ("L2", 26, lambda grad: 0.1 * (grad + 1) / 26**0.5),
        # the decay goes beside it: 0.1 * 0.5 * 2 = 0.1
        ("DECOUPLE", 17, lambda grad: 0.1 + 0.1 * grad / 17**0.5),
    ],
)
def test_decay_of_rowwise_adagrad_by_hand(mode: str, momentum: float, change: Callable[[Tensor], Tensor]) -> None:
    rule, begin = RULES["rowwise_adagrad_optimizer"]
    weight, grad = torch.full((2, 2), 2.0), torch.tensor([[0.0, 0.0], [3.0, 5.0]])
    state = {key: make(weight) for key, make in begin.items()}
    rule(weight, grad, state, 0.1, {"weight_decay": 0.5, "weight_decay_mode": mode})
    torch.testing.assert_close(weight[1], 2.0 - change(grad[1]))
    assert weight[0].tolist() == [2.0, 2.0]  # not looked up: no decay either
    torch.testing.assert_close(state["momentum1"], torch.tensor([0.0, momentum]))


def test_adam_by_hand() -> None:
    """Row 0 is looked up at steps 1 and 3, row 1 never; beta1 0.5, beta2 0.75, lr 0.1, decay 0.2.

    Step 1, gradient 2: m = 1, v = 1; m / (1 - 0.5) = 2, v / (1 - 0.75) = 4, so 2 / 2 = 1 and
    w = 1 - 0.1 * (1 + 0.2 * 1) = 0.88. Step 2 leaves all but the count. Step 3, gradient 2: m = 0.5 + 1 = 1.5,
    v = 0.75 + 1 = 1.75; corrected by 1 - 0.5^3 = 0.875 and 1 - 0.75^3 = 0.578125.
    """
    rule, begin = RULES["adam_optimizer"]
    weight = torch.ones(2, 4)
    state = {key: make(weight) for key, make in begin.items()}
    arguments = {"beta1": 0.5, "beta2": 0.75, "weight_decay": 0.2}
    looked_up, none = torch.zeros(2, 4), torch.zeros(2, 4)
    looked_up[0] = 2.0
    rule(weight, looked_up, state, 0.1, arguments)
    torch.testing.assert_close(weight[0], torch.full((4,), 0.88))
    rule(weight, none, state, 0.1, arguments)
    torch.testing.assert_close(weight[0], torch.full((4,), 0.88))
    rule(weight, looked_up, state, 0.1, arguments)
    change = (1.5 / 0.875) / (1.75 / 0.578125) ** 0.5
    torch.testing.assert_close(weight[0], torch.full((4,), 0.88 - 0.1 * (change + 0.2 * 0.88)))
    assert torch.equal(weight[1], torch.ones(4))
    assert int(state["step"]) == 3
