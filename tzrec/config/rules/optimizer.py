"""Optimizers, their learning rates, and how tables are spread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from google.protobuf.message import Message

from tzrec.config.checker import Checker, repeated
from tzrec.config.names import hint
from tzrec.config.optimizers import BY_ROWS
from tzrec.config.schema import fields_of, oneof_name
from tzrec.protos import optimizer_pb2 as pb
from tzrec.protos.feature_pb2 import ParameterConstraints

_SHARDINGS_ON_CPU = ("data_parallel", "table_wise", "column_wise", "row_wise")
_SHARDINGS = (*_SHARDINGS_ON_CPU, "table_row_wise", "table_column_wise", "grid_shard")
_BY_COLUMNS = ("column_wise", "table_column_wise")
_KERNELS_ON_CPU = ("dense", "fused")
_KERNELS = (*_KERNELS_ON_CPU, "fused_uvm", "fused_uvm_caching", "key_value")

# field of any optimizer -> what it must be
_POSITIVE = ("eps", "max_gradient")
_FROM_ZERO = ("lr", "weight_decay", "momentum", "initial_accumulator_value")
_SHARES = ("beta1", "beta2", "rho", "alpha")


def check_optimizers(checker: Checker) -> None:
    """Both optimizers of train_config, their parts and the planner constraints."""
    for path, message in checker.messages():
        if isinstance(message, (pb.SparseOptimizer, pb.DenseOptimizer, pb.PartOptimizer)):
            _check_choice(checker, path, message)
        elif isinstance(message, ParameterConstraints):
            _check_constraints(checker, path, message)
        elif message.DESCRIPTOR.name in _SCHEDULES:
            _SCHEDULES[message.DESCRIPTOR.name](checker, path, message)


def _check_choice(checker: Checker, path: str, config: Message) -> None:
    chosen = config.WhichOneof("optimizer")
    if chosen is None and not checker.has_parse_errors(path):
        names = [name for name, field in fields_of(config).items() if oneof_name(field) == "optimizer"]
        checker.error(path, f"no optimizer is chosen; there are {', '.join(names)}")
    needs_schedule = not isinstance(config, pb.PartOptimizer) and not checker.has_parse_errors(path)
    if needs_schedule and config.WhichOneof("learning_rate") is None:
        checker.error(path, "no schedule is chosen; for a constant rate add constant_learning_rate {}")
    if chosen is None:
        return
    _check_values(checker, f"{path}.{chosen}", getattr(config, chosen))


def _check_values(checker: Checker, path: str, optimizer: Any) -> None:
    for field, value in optimizer.ListFields():
        here = f"{path}.{field.name}"
        if field.name in _POSITIVE and not value > 0:
            checker.error(here, f"{value:g} is not above 0")
        elif field.name in _FROM_ZERO and not value >= 0:
            checker.error(here, f"{value:g} is below 0")
        elif field.name in _SHARES and not 0 <= value < 1:
            checker.error(here, f"{value:g} is not in [0, 1)")
    is_nesterov = isinstance(optimizer, pb.SGDOptimizer) and optimizer.nesterov
    if is_nesterov and (optimizer.momentum == 0 or optimizer.dampening):
        checker.error(f"{path}.nesterov", "needs momentum above 0 and dampening 0")


def _check_exponential(checker: Checker, path: str, config: pb.ExponentialDecayLR) -> None:
    if config.decay_size == 0:
        checker.error(f"{path}.decay_size", "must be set above 0: the steps (or epochs) of one decay")
    if not config.decay_factor > 0:
        checker.error(f"{path}.decay_factor", f"{config.decay_factor:g} is not above 0")


def _check_manual(checker: Checker, path: str, config: pb.ManualStepLR) -> None:
    sizes, rates = list(config.schedule_sizes), list(config.learning_rates)
    if len(sizes) != len(rates) or not sizes:
        received = f"{len(rates)} rates for {len(sizes)} schedule_sizes"
        checker.error(f"{path}.learning_rates", f"{received}; give one rate for each switch point, and at least one")
    if sizes != sorted(set(sizes)):
        checker.error(f"{path}.schedule_sizes", f"{sizes} do not rise")


def _check_cosine(checker: Checker, path: str, config: pb.CosineAnnealingLR) -> None:
    if config.T_max == 0:
        checker.error(f"{path}.T_max", "must be set above 0: the steps (or epochs) from the base rate to the lowest")


def _check_restarts(checker: Checker, path: str, config: pb.CosineAnnealingWarmRestartsLR) -> None:
    if config.T_0 == 0:
        checker.error(f"{path}.T_0", "must be set above 0: the steps (or epochs) of the first period")
    if config.T_mult == 0:
        checker.error(f"{path}.T_mult", "must be at least 1: each period is so many times the one before")


_SCHEDULES: Mapping[str, Callable[[Checker, str, Any], None]] = {
    "ExponentialDecayLR": _check_exponential,
    "ManualStepLR": _check_manual,
    "CosineAnnealingLR": _check_cosine,
    "CosineAnnealingWarmRestartsLR": _check_restarts,
}


def _check_constraints(checker: Checker, path: str, config: ParameterConstraints) -> None:
    types, kernels = (_SHARDINGS_ON_CPU, _KERNELS_ON_CPU) if checker.on_cpu else (_SHARDINGS, _KERNELS)
    sharding_types = repeated(f"{path}.sharding_types", config.sharding_types)
    _check_names(checker, sharding_types, "sharding type", types, _SHARDINGS)
    compute_kernels = repeated(f"{path}.compute_kernels", config.compute_kernels)
    _check_names(checker, compute_kernels, "compute kernel", kernels, _KERNELS)
    chosen = checker.config.train_config.sparse_optimizer.WhichOneof("optimizer")
    if config.sharding_types and set(config.sharding_types) <= set(_BY_COLUMNS) and chosen in BY_ROWS:
        said = f"steps of {chosen} depend on whole rows, which {' and '.join(config.sharding_types)} cut"
        checker.error(f"{path}.sharding_types", f"{said}; allow table_wise or row_wise too, or use adagrad_optimizer")


def _check_names(
    checker: Checker, named: Iterable[tuple[str, str]], what: str, offered: Sequence[str], known: Sequence[str]
) -> None:
    for path, name in named:
        if name not in known:
            checker.error(path, f'unknown {what} "{name}"{hint(name, known)}')
        elif name not in offered:
            checker.error(path, f'{what} "{name}" needs CUDA; on {checker.device} there are {", ".join(offered)}')
