"""Build dense optimizers from their messages; set the learning rates of every optimizer of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from google.protobuf.message import Message
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import Optimizer

from tzrec import registry
from tzrec.config.kwargs import kwargs
from tzrec.config.names import did_you_mean
from tzrec.config.regex import compile_regex
from tzrec.log import logger
from tzrec.optim.average import MovingAverage
from tzrec.optim.dense import Clip, DenseOptimizer, no_clip
from tzrec.optim.loss_scale import LossScale
from tzrec.optim.schedule import Schedule, schedule
from tzrec.protos import optimizer_pb2 as pb
from tzrec.protos.train_pb2 import GradClipping, TrainConfig


def dense_optimizer(
    train: TrainConfig, params: Iterable[tuple[str, torch.Tensor]], any_rank: Callable[[bool], bool]
) -> DenseOptimizer:
    """Build the optimizer of the dense parameters.

    Args:
        train: accumulation, clipping, loss scale, average, and the optimizers.
        params: dense parameters by name.
        any_rank: reduces a flag of this rank to True if it is set on any rank.
    """
    named, dense = dict(params), train.dense_optimizer
    scale = LossScale(any_rank, **kwargs(train.grad_scaler)) if train.HasField("grad_scaler") else None
    average = MovingAverage(named, kwargs(dense.ema)["decay"]) if dense.HasField("ema") else None
    batches = max(train.gradient_accumulation_steps, 1)
    return DenseOptimizer(_parts(dense, named), batches, _clip(train.grad_clipping), scale, average)


def _parts(
    config: pb.DenseOptimizer, params: Mapping[str, torch.Tensor]
) -> list[tuple[Optimizer, Schedule, dict[str, torch.Tensor]]]:
    """Build the optimizers with their schedules and parameters.

    A parameter belongs to the first of `part_optimizers` whose `regex_pattern` matches its whole name, else to the
    optimizer of the config itself; a part without a schedule has that of the config.
    """
    remaining = dict(params)
    parts = []
    for index, part in enumerate(config.part_optimizers):
        regex = compile_regex(part.regex_pattern)
        matched = {name: param for name, param in remaining.items() if regex.fullmatch(name)}
        remaining = {name: param for name, param in remaining.items() if name not in matched}
        scheduled = part if part.WhichOneof("learning_rate") else config
        if matched:
            parts.append((_optimizer(part, matched), schedule(scheduled), matched))
        else:
            logger.warning(
                'part_optimizers[%d].regex_pattern "%s" matches no parameter, or only those of earlier parts%s',
                index,
                part.regex_pattern,
                did_you_mean(part.regex_pattern, remaining),
            )
    if remaining:
        parts.append((_optimizer(config, remaining), schedule(config), remaining))
    return parts


def _clip(config: GradClipping) -> Clip:
    """Build the clipping of gradients; the norm of one rank is that of all, as `enable_global_grad_clip` asks."""
    kind, fields = config.clipping_type.lower(), kwargs(config)
    if kind == "norm":
        return partial(clip_grad_norm_, max_norm=fields["max_gradient"], norm_type=fields["norm_type"])
    return partial(clip_grad_value_, clip_value=fields["max_gradient"]) if kind == "value" else no_clip


def _optimizer(config: Message, params: Mapping[str, torch.Tensor]) -> Optimizer:
    member = registry.oneof_member(config, "optimizer")
    if member is None:
        raise LookupError(f"{config.DESCRIPTOR.name}.optimizer is not set")
    _, message = member
    # messages are named after the classes of torch.optim: AdamWOptimizer is for AdamW
    optimizer_class = getattr(torch.optim, message.DESCRIPTOR.name.removesuffix("Optimizer"))
    device = next(iter(params.values())).device.type
    optimizer: Optimizer = optimizer_class(list(params.values()), **_arguments(message, device))
    return optimizer


def _arguments(message: Message, device: str) -> dict[str, Any]:
    """Arguments of torch's class, with its fused kernel (up to 20x faster on CPU) unless the config disables it."""
    arguments = kwargs(message)
    if "beta1" in arguments:
        arguments["betas"] = (arguments.pop("beta1"), arguments.pop("beta2"))
    if "fused" in arguments:
        adagrad_on_gpu = device != "cpu" and message.DESCRIPTOR.name == "AdagradOptimizer"  # torch has no such kernel
        arguments["fused"] = not adagrad_on_gpu and (arguments["fused"] or not message.HasField("fused"))
    return arguments


class LearningRates:
    """Learning rates of several optimizers, set by their schedules. A rate of 0 (a frozen table) stays 0."""

    def __init__(self, optimizers: Iterable[tuple[Any, Schedule]]) -> None:
        self._groups = [
            (group, float(group["lr"]), lr_schedule)
            for optimizer, lr_schedule in optimizers
            for group in optimizer.param_groups
        ]

    def set(self, steps: int, epochs: int, factor: float = 1.0) -> None:
        """Set the rates of the next step.

        Args:
            steps: number of steps taken.
            epochs: number of complete epochs.
            factor: multiplies the rates.
        """
        for group, base, lr_schedule in self._groups:
            group["lr"] = factor * lr_schedule.lr(base, epochs if lr_schedule.by_epoch else steps) if base else 0.0

    def last_lr(self) -> list[float]:
        """Rates that are set, one per parameter group."""
        return [float(group["lr"]) for group, _, _ in self._groups]
