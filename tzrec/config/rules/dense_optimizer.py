"""What trains the dense parameters: parts, accumulation, clipping, loss scale, moving average."""

from __future__ import annotations

import re

from tzrec.config.checker import Checker, repeated

_CLIPPING = ("norm", "value", "none")


def check_dense_step(checker: Checker) -> None:
    """The fields of train_config that shape a dense step, and who uses the moving average."""
    config = checker.config
    train, dense = config.train_config, config.train_config.dense_optimizer
    for path, part in repeated("train_config.dense_optimizer.part_optimizers", dense.part_optimizers):
        try:
            re.compile(part.regex_pattern)
        except re.error as error:
            checker.error(f"{path}.regex_pattern", f"{part.regex_pattern!r} is no regular expression: {error}")
    if not 0 <= dense.ema.decay <= 1:
        checker.error("train_config.dense_optimizer.ema.decay", f"{dense.ema.decay:g} is not in [0, 1]")
    for name, section in (("eval_config", config.eval_config), ("export_config", config.export_config)):
        if section.use_dense_ema and not dense.HasField("ema"):
            checker.error(
                f"{name}.use_dense_ema", "there is no moving average to use; add train_config.dense_optimizer.ema {}"
            )
    if train.HasField("grad_clipping"):
        _check_clipping(checker)
    if train.HasField("grad_scaler"):
        _check_scaler(checker)


def _check_clipping(checker: Checker) -> None:
    clipping, path = checker.config.train_config.grad_clipping, "train_config.grad_clipping"
    if clipping.clipping_type.lower() not in _CLIPPING:
        checker.unknown_name(f"{path}.clipping_type", "clipping_type", clipping.clipping_type, _CLIPPING)
    for name in ("max_gradient", "norm_type"):
        if not getattr(clipping, name) > 0:
            checker.error(f"{path}.{name}", f"{getattr(clipping, name):g} is not above 0")


def _check_scaler(checker: Checker) -> None:
    scaler, path = checker.config.train_config.grad_scaler, "train_config.grad_scaler"
    if not scaler.init_scale > 0:
        checker.error(f"{path}.init_scale", f"{scaler.init_scale:g} is not above 0")
    if not scaler.growth_factor >= 1:
        checker.error(f"{path}.growth_factor", f"{scaler.growth_factor:g} is below 1: the scale would shrink")
    if not 0 < scaler.backoff_factor < 1:
        checker.error(f"{path}.backoff_factor", f"{scaler.backoff_factor:g} is not in (0, 1)")
    if scaler.growth_interval == 0:
        checker.error(f"{path}.growth_interval", "0 steps; set it above 0")
    if checker.config.model_config.use_pareto_loss_weight:
        said = "use_pareto_loss_weight compares gradients as they are, and those that need a scale are 0 without it"
        checker.error(path, f'{said}; use mixed_precision: "BF16", or fixed weights')
