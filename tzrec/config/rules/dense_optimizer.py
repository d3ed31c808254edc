"""Moving average and loss scale of the dense parameters."""

from __future__ import annotations

from tzrec.config.checker import Checker


def check_dense_optimizer(checker: Checker) -> None:
    """Check the requirements of the moving average and the loss scale."""
    config = checker.config
    for name, section in (("eval_config", config.eval_config), ("export_config", config.export_config)):
        if section.use_dense_ema and not config.train_config.dense_optimizer.HasField("ema"):
            problem = "there is no moving average to use; add train_config.dense_optimizer.ema {}"
            checker.error(f"{name}.use_dense_ema", problem)
    if config.train_config.HasField("grad_scaler") and config.model_config.use_pareto_loss_weight:
        problem = "use_pareto_loss_weight compares unscaled gradients, and those that need a scale are 0 without it"
        checker.error("train_config.grad_scaler", f'{problem}; use mixed_precision: "BF16", or fixed weights')
