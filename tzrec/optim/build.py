"""Dense optimizers from their messages, and the learning rates of every optimizer of a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from google.protobuf.message import Message
from torch.optim import Optimizer

from tzrec import registry
from tzrec.config.kwargs import kwargs
from tzrec.optim.schedule import Schedule, schedule
from tzrec.protos import optimizer_pb2 as pb

_CLASSES: Mapping[str, type[Optimizer]] = {
    "sgd_optimizer": torch.optim.SGD,
    "adagrad_optimizer": torch.optim.Adagrad,
    "adam_optimizer": torch.optim.Adam,
    "adamw_optimizer": torch.optim.AdamW,
    "adadelta_optimizer": torch.optim.Adadelta,
    "rmsprop_optimizer": torch.optim.RMSprop,
}


class DenseOptimizer:
    """The dense parameters of a model with their optimizers, one for each part that a config singles out.

    Attributes:
        parts: optimizer, its schedule and the parameters it moves, by name; every parameter is in one part.
    """

    def __init__(self, parts: list[tuple[Optimizer, Schedule, dict[str, torch.Tensor]]]) -> None:
        self.parts = parts

    def zero_grad(self) -> None:
        for optimizer, _, _ in self.parts:
            optimizer.zero_grad(set_to_none=True)

    def step(self) -> None:
        for optimizer, _, _ in self.parts:
            optimizer.step()

    def state(self) -> dict[str, torch.Tensor]:
        """Every tensor of optimizer state, as `<parameter>.<name of the state>`; allocates what has not been used yet.

        The tensors are the live ones, so that loading into them in place restores the optimizer.
        """
        found: dict[str, torch.Tensor] = {}
        for optimizer, _, params in self.parts:
            if not optimizer.state:
                _allocate(optimizer)
            for name, param in params.items():
                found |= {f"{name}.{key}": value for key, value in optimizer.state[param].items() if value is not None}
        return found


def _allocate(optimizer: Optimizer) -> None:
    """Make torch create the state of an unused optimizer: one step along nothing, then parameters and state as new."""
    params = [param for group in optimizer.param_groups for param in group["params"]]
    values = [param.detach().clone() for param in params]
    grads = [param.grad for param in params]
    for param in params:
        param.grad = torch.zeros_like(param)
    optimizer.step()
    for param, value, grad in zip(params, values, grads, strict=True):
        param.detach().copy_(value)
        param.grad = grad
        for state in optimizer.state[param].values():
            if state is not None:
                state.zero_()  # of weight decay; Adagrad, whose state may begin elsewhere, never comes here


def dense_optimizer(config: pb.DenseOptimizer, params: Iterable[tuple[str, torch.Tensor]]) -> DenseOptimizer:
    """The optimizers of the dense parameters.

    A parameter belongs to the first `part_optimizers` whose `regex_pattern` matches its whole name, else to the
    optimizer of the config itself; a part without a schedule of its own follows that of the config.
    """
    rest = dict(params)
    parts = []
    for part in config.part_optimizers:
        taken = {name: param for name, param in rest.items() if re.fullmatch(part.regex_pattern, name)}
        rest = {name: param for name, param in rest.items() if name not in taken}
        own = part if part.WhichOneof("learning_rate") else config
        if taken:
            parts.append((_optimizer(part, taken), schedule(own), taken))
    if rest:
        parts.append((_optimizer(config, rest), schedule(config), rest))
    return DenseOptimizer(parts)


def _optimizer(config: Message, params: Mapping[str, torch.Tensor]) -> Optimizer:
    member = registry.chosen(config, "optimizer")
    if member is None:
        raise LookupError(f"{config.DESCRIPTOR.name}.optimizer is not set")
    field, message = member
    return _CLASSES[field.name](list(params.values()), **_arguments(message, next(iter(params.values())).device.type))


def _arguments(message: Message, device: str) -> dict[str, Any]:
    """Arguments of torch's class; its fused kernel (up to twenty times faster on CPU) unless the config says no."""
    arguments = kwargs(message)
    if "beta1" in arguments:
        arguments["betas"] = (arguments.pop("beta1"), arguments.pop("beta2"))
    if "fused" in arguments:
        adagrad_on_gpu = device != "cpu" and message.DESCRIPTOR.name == "AdagradOptimizer"  # torch has no such kernel
        arguments["fused"] = not adagrad_on_gpu and (arguments["fused"] or not message.HasField("fused"))
    return arguments


class Rates:
    """Moves the learning rates of several optimizers along their schedules. A rate of 0 (a frozen table) stays 0."""

    def __init__(self, optimizers: Iterable[tuple[Any, Schedule]]) -> None:
        self._groups = [
            (group, float(group["lr"]), each) for optimizer, each in optimizers for group in optimizer.param_groups
        ]

    def set(self, steps: int, epochs: int) -> None:
        """Set the rates of the step before which `steps` steps and `epochs` epochs have been taken."""
        for group, base, each in self._groups:
            group["lr"] = each.lr(base, epochs if each.by_epoch else steps) if base else 0.0

    def now(self) -> list[float]:
        """The rates in force, one per group."""
        return [float(group["lr"]) for group, _, _ in self._groups]
