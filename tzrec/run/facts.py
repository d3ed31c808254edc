"""RunFacts: what a run is, for its record and for listeners: data, seed, versions, hardware, metrics, tables."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from tzrec import env
from tzrec.config.eval_split import evaluation_path
from tzrec.distributed.shard import dense_parameters
from tzrec.heads.eval_metrics import EvalMetrics
from tzrec.run.trainer import Trainer, package_versions
from tzrec.tables.plan_summary import plan_rows


@dataclass(frozen=True)
class MetricInfo:
    """Meaning of a metric or loss of the evaluation.

    Attributes:
        kind: name without the task, such as `auc`.
        task: name of the task; "" for the only one.
        larger_is_better: None for a metric with its best value in between.
        is_loss: True for a loss.
    """

    kind: str
    task: str
    larger_is_better: bool | None
    is_loss: bool


@dataclass(frozen=True)
class RunFacts:
    """Facts of a run at its start.

    Attributes:
        step: last trained step of the checkpoint that it resumes; -1 for a new run.
        model: member of `model_config.model`.
        seed: `train_config.seed`.
        num_ranks: number of processes.
        train_input_path, eval_input_path: of the config; the latter as it is evaluated.
        num_train_rows: rows of an epoch; None if unknown.
        batch_size: rows of a batch of one rank.
        num_steps: steps at which the run ends; None if unknown.
        num_dense_parameters: parameters outside of the tables.
        tables: name, rows, dim, bytes, sharding and kernel of each table.
        metrics: results of an evaluation by name.
        versions: of Python and packages.
        hardware: processor, cores, memory and devices.
    """

    step: int
    model: str
    seed: int
    num_ranks: int
    train_input_path: str
    eval_input_path: str
    num_train_rows: int | None
    batch_size: int
    num_steps: int | None
    num_dense_parameters: int
    tables: list[dict[str, Any]]
    metrics: Mapping[str, MetricInfo]
    versions: Mapping[str, str]
    hardware: Mapping[str, Any]


def run_facts(trainer: Trainer) -> RunFacts:
    """Collect the facts of a run before its first step."""
    session, config = trainer.session, trainer.session.config
    rows = plan_rows(session.rec_model, session.model.plan, config.train_config)
    names = ("table", "rows", "dim", "bytes", "sharding", "kernel")
    return RunFacts(
        step=trainer.position.step,
        model=str(config.model_config.WhichOneof("model")),
        seed=config.train_config.seed,
        num_ranks=session.rank_info.world_size,
        train_input_path=config.train_input_path,
        eval_input_path=evaluation_path(config),
        num_train_rows=trainer.loader.num_rows,
        batch_size=trainer.loader.batch_size,
        num_steps=trainer.stop_condition.num_steps,
        num_dense_parameters=sum(parameter.numel() for _, parameter in dense_parameters(session.model)),
        tables=[{name: getattr(row, name) for name in names} for row in rows],
        metrics=_metrics(EvalMetrics(session.rec_model.heads)),
        versions={"python": platform.python_version(), **package_versions()},
        hardware=_hardware(trainer),
    )


def _metrics(metrics: EvalMetrics) -> dict[str, MetricInfo]:
    infos = {}
    for task, head in metrics.heads.served.items():
        for kind in head.metric_factories:
            name = kind + head.suffix
            infos[name] = MetricInfo(kind, task, metrics.metrics[name].larger_is_better, False)
        infos |= {kind + head.suffix: MetricInfo(kind, task, False, True) for kind in head.losses}
    return infos | {name: MetricInfo(name, "", False, True) for name in metrics.losses if name not in infos}


def _hardware(trainer: Trainer) -> dict[str, Any]:
    device = trainer.session.device
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "processor": str(trainer.session.cpu.processor),
        "cores": env.available_cpus(),
        "threads": trainer.session.cpu.num_threads,
        "memory_bytes": int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "host": platform.node(),
    }
