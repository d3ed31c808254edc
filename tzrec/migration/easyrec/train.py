"""train_config, eval_config and export_config: optimizers, schedules, and the length of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tzrec.migration.easyrec.source import Rows, Source, only
from tzrec.protos.pipeline_pb2 import EasyRecConfig

_BETAS: Rows = {"beta1": "beta1", "beta2": "beta2"}
_DECAYED: Rows = {**_BETAS, "weight_decay": ("weight_decay", 1e-6)}
_MOMENTUM: Rows = {"momentum_optimizer_value": ("momentum", 0.9)}
_RMSPROP: Rows = {"decay": ("alpha", 0.9), "epsilon": ("eps", 1.0)}
_ADAGRAD: Rows = {"initial_accumulator_value": ("initial_accumulator_value", 0.1)}

_Optimizers = Mapping[str, tuple[str, Rows]]

DENSE_OPTIMIZERS: _Optimizers = {
    "rms_prop": ("rmsprop", _RMSPROP),
    "momentum": ("sgd", _MOMENTUM),
    "momentumw": ("sgd", {**_MOMENTUM, "weight_decay": ("weight_decay", 1e-6)}),
    "adam": ("adam", _BETAS),
    "adam_async": ("adam", _BETAS),
    "lazy_adam": ("adam", _BETAS),
    "adamw": ("adamw", _DECAYED),
    "adam_asyncw": ("adamw", _DECAYED),
    "adagrad": ("adagrad", _ADAGRAD),
    "ftrl": ("adagrad", _ADAGRAD),
}
"""Optimizer there, without `_optimizer` -> dense optimizer here and its fields."""

SPARSE_OPTIMIZERS: _Optimizers = {
    **DENSE_OPTIMIZERS,
    "momentum": ("sgd", {}),
    "momentumw": ("sgd", {}),
    "adamw": ("adam", _DECAYED),
    "adam_asyncw": ("adam", _DECAYED),
}
"""The same for the optimizer of the tables."""

_RATE = 0.002
SCHEDULES: Mapping[str, tuple[str, str, Rows]] = {
    "constant": ("constant", "learning_rate", {}),
    "exponential_decay": (
        "exponential_decay",
        "initial_learning_rate",
        {
            "decay_steps": ("decay_size", 4000000),
            "decay_factor": ("decay_factor", 0.95),
            "staircase": ("staircase", True),
            "burnin_learning_rate": ("warmup_learning_rate", 0.0),
            "burnin_steps": ("warmup_size", 0),
            "min_learning_rate": ("min_learning_rate", 0.0),
        },
    ),
    "manual_step": ("manual_step", "initial_learning_rate", {"warmup": "warmup"}),
    "cosine_decay": (
        "cosine_annealing",
        "learning_rate_base",
        {
            "total_steps": ("T_max", 4000000),
            "warmup_learning_rate": ("warmup_learning_rate", 0.0002),
            "warmup_steps": ("warmup_size", 10000),
        },
    ),
    "poly_decay": ("constant", "learning_rate_base", {}),
    "transformer": ("constant", "learning_rate_base", {}),
}
"""Schedule there, without `_learning_rate` -> schedule here, field of the learning rate, and fields of the schedule."""

_WIDE = "wide tables have no optimizer of their own here"
NOTES: Mapping[str, str] = {
    "ftrl": "adagrad_optimizer is used; for tables there is an ftrl_optimizer, whose l2_reg is twice as large",
    "momentum": "tables are trained without momentum",
    "momentumw": "tables are trained without momentum and weight decay",
    "rms_prop": "RMSprop has no momentum here",
    "hold_base_rate_steps": "the rate is not held after the warm-up",
    "poly_decay": "there is no polynomial decay; the rate is constant",
    "transformer": "there is no such schedule; the rate is constant",
}
"""What is changed, by field."""


def convert_train(source: Source, target: EasyRecConfig, is_wide_and_deep: bool, data: Source | None) -> None:
    """Convert train_config.

    Args:
        source: train_config.
        target: the whole config.
        is_wide_and_deep: model_class is WideAndDeep, whose first of several optimizers trains the wide tables.
        data: data_config, which holds num_epochs.
    """
    train = target.train_config
    optimizers = source.messages("optimizer_config")
    if is_wide_and_deep and len(optimizers) > 1:
        optimizers[0].remark(_WIDE)
        for name in optimizers[0].names():
            optimizers[0].note(name, _WIDE)
        optimizers = optimizers[1:]
    sparse, dense = (optimizers[0], optimizers[-1]) if optimizers else (None, None)
    _convert_optimizer(sparse, train.sparse_optimizer, SPARSE_OPTIMIZERS, is_sparse=True)
    _convert_optimizer(dense, train.dense_optimizer, DENSE_OPTIMIZERS, is_sparse=False)
    if dense is not None and dense.flag("use_moving_average"):
        train.dense_optimizer.ema.decay = dense.number("moving_average_decay", 0.9999)
    norm = source.number("gradient_clipping_by_norm")
    if norm > 0:
        train.grad_clipping.clipping_type, train.grad_clipping.max_gradient = "norm", norm
    source.copy(
        train,
        {
            "save_checkpoints_steps": "save_checkpoints_steps",
            "keep_checkpoint_max": "keep_checkpoint_max",
            "log_step_count_steps": "log_step_count_steps",
            "is_profiling": "is_profiling",
            "fine_tune_checkpoint": "fine_tune_checkpoint",
        },
    )
    source.note("fine_tune_checkpoint", "variables of TensorFlow cannot be loaded; name a checkpoint of this project")
    train.ClearField("fine_tune_checkpoint")
    num_epochs = data.integer("num_epochs") if data is not None else 0
    if num_steps := source.integer("num_steps"):
        train.num_steps = num_steps
    else:
        train.num_epochs = num_epochs or 1


def _convert_optimizer(source: Source | None, target: Any, table: _Optimizers, is_sparse: bool) -> None:
    """Convert an optimizer with its schedule; Adam with a constant rate if there is none."""
    name = _member(source, "_optimizer", table)
    if source is None or not name:
        only(target, "adam_optimizer").lr = 0.001
        only(target, "constant_learning_rate")
        return
    member, rows = table[name]
    optimizer, settings = only(target, f"{member}_optimizer"), source.child(f"{name}_optimizer")
    settings.copy(optimizer, rows)
    settings.text("momentum_optimizer_value")  # of which the note speaks where it is not copied
    factor = source.number("embedding_learning_rate_multiplier", 1.0) if is_sparse else 1.0
    optimizer.lr = _convert_schedule(settings.message("learning_rate"), target) * factor


def _member(source: Source | None, suffix: str, table: Mapping[str, object]) -> str:
    """Return the name in a table of the field that is set, and report its note; "" if there is none."""
    fields = source.names() if source is not None else []
    for name in [field.removesuffix(suffix) for field in fields if field.endswith(suffix)]:
        if source is not None and name in table:
            if name in NOTES:
                source.note(f"{name}{suffix}", NOTES[name])
            return name
    return ""


def _convert_schedule(source: Source | None, target: Any) -> float:
    """Convert a schedule; return the learning rate, which is a field of the optimizer here."""
    name = _member(source, "_learning_rate", SCHEDULES)
    if source is None or not name:
        only(target, "constant_learning_rate")
        return _RATE
    member, rate, rows = SCHEDULES[name]
    settings, schedule = source.child(f"{name}_learning_rate"), only(target, f"{member}_learning_rate")
    settings.copy(schedule, rows)
    for step in settings.messages("schedule"):
        schedule.schedule_sizes.append(step.integer("step"))
        schedule.learning_rates.append(step.number("learning_rate", _RATE))
    if settings.number("hold_base_rate_steps"):
        settings.note("hold_base_rate_steps", NOTES["hold_base_rate_steps"])
    return settings.number(rate, _RATE)


def convert_eval(source: Source, target: EasyRecConfig) -> None:
    """Convert eval_config, after data_config; its metrics belong to the model."""
    if num_examples := source.integer("num_examples"):
        batch_size = target.data_config.eval_batch_size or target.data_config.batch_size
        target.eval_config.num_steps = math.ceil(num_examples / batch_size)


_EXPORTERS: Mapping[str, str] = {"final": "latest", "latest": "latest", "best": "best", "none": "latest"}


def convert_export(source: Source, target: EasyRecConfig) -> None:
    """Convert export_config."""
    exporter = source.text("exporter_type", "final")
    target.export_config.exporter_type = _EXPORTERS.get(exporter, "latest")
    if exporter not in _EXPORTERS:
        source.note("exporter_type", f'"{exporter}" is not known here; latest is used')
    rows: Rows = {"best_exporter_metric": "best_exporter_metric", "metric_bigger": "metric_larger_is_better"}
    source.copy(target.export_config, rows)
    files: Sequence[str] = source.texts("asset_files")
    if files:
        source.note("asset_files", f"pass them to the export: --asset_files {','.join(files)}")
