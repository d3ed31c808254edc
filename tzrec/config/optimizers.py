"""What the rules and the kernels both have to know of the members of `SparseOptimizer.optimizer`."""

from __future__ import annotations

# those that run inside the backward pass; the others visit whole tables in each step
FUSED_ON_CPU = ("sgd_optimizer", "adagrad_optimizer", "rowwise_adagrad_optimizer")
FUSED_ON_CUDA = (
    *FUSED_ON_CPU,
    "adam_optimizer",
    "partial_rowwise_adam_optimizer",
    "lars_sgd_optimizer",
    "lamb_optimizer",
    "partial_rowwise_lamb_optimizer",
)

# those whose step depends on the whole row; of a row cut into columns each piece would go another way
BY_ROWS = (
    "rowwise_adagrad_optimizer",
    "partial_rowwise_adam_optimizer",
    "lamb_optimizer",
    "partial_rowwise_lamb_optimizer",
    "lars_sgd_optimizer",
)
