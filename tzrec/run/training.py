"""Training: a session with all that learning needs. The loop over it is in train.py."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import torch

from tzrec.checkpoint import store
from tzrec.checkpoint.cadence import Cadence
from tzrec.checkpoint.manifest import CheckpointManifest
from tzrec.checkpoint.saver import Saver, SaveResult, Tensors
from tzrec.config.kwargs import shortest
from tzrec.config.load import dump_config
from tzrec.data.batch import Batch
from tzrec.distributed import group
from tzrec.distributed.shard import dense_parameters
from tzrec.errors import CheckpointError
from tzrec.heads.train_metrics import TrainMetrics
from tzrec.optim.average import EMA_DIR, uses_average
from tzrec.optim.build import LearningRates, dense_optimizer
from tzrec.optim.pareto import Pareto
from tzrec.optim.schedule import Schedule, schedule
from tzrec.run import cpu
from tzrec.run.evaluate import of_all_ranks
from tzrec.run.metric_logger import StopCondition
from tzrec.run.resume import ResumeState
from tzrec.run.session import Session
from tzrec.run.training_control import TrainingControl
from tzrec.tables.plan_summary import plan_json
from tzrec.tables.sparse_optimizer import SparseOptimizer
from tzrec.version import __version__

_PACKAGES = ("torch", "torchrec", "fbgemm-gpu-cpu", "fbgemm-gpu")


class Training:
    """What the loop works with.

    Attributes:
        session: encoder, model, device.
        position: what has been trained.
        goal: when it is enough.
        rates: the learning rates.
        cadence: when to save.
        steering: what evaluations and the clock say.
        online: the metrics of training batches.
    """

    def __init__(self, session: Session, start: ResumeState) -> None:
        config, train = session.config, session.config.train_config
        self.session = session
        self.position = start.position
        self.loader = session.loader(config.train_input_path, "train")
        self.loader.bad_rows_path = str(session.model_dir / "bad_rows.jsonl")
        self.goal = _goal(session, self.loader.num_rows, self.loader.batch_size)
        self._ahead = self.loader.epoch(self.position.cursor, should_start=True)  # reads while the model is built
        session.build(start.plan)
        start.restore("model", session.model.state_dict)
        self.dense = dense_optimizer(train, dense_parameters(session.model), group.any_rank)
        hook = self.dense.scale.unscale_table_gradient if self.dense.scale else None
        self.sparse = SparseOptimizer(session.rec_model, train.sparse_optimizer, session.rank_info.world_size, hook)
        self._restore_optimizers(start)
        self.steering = _steering(session, start)
        start.begin(session.rank_info)
        schedules: list[tuple[Any, Schedule]] = [(part[0], part[1]) for part in self.dense.parts]
        self.online = TrainMetrics(session.rec_model.heads)
        self.rates = LearningRates([(self.sparse, schedule(train.sparse_optimizer)), *schedules])
        self.cadence = Cadence(train.save_checkpoints_steps, train.save_checkpoints_epochs)
        self._saver = Saver(session.model_dir, train.keep_checkpoint_max, _protected(session))
        self._facts = _facts(session)
        self._averages = uses_average(config.eval_config, train.dense_optimizer)
        self._pareto = _pareto(session)

    def _restore_optimizers(self, start: ResumeState) -> None:
        """Everything that learns besides the weights; the weights must have been restored."""
        if self.dense.average:
            average = self.dense.average.values
            start.restore(EMA_DIR, lambda: average)
        if start.optimizer:
            start.restore("optimizer", self._optimizer_state)
            self.dense.load_scalar_state(start.numbers)
            gathered = start.stored("gathered") if start.continues else ()
            if gathered:
                start.restore("gathered", lambda: self.dense.allocate_gradients(gathered))

    def _optimizer_state(self) -> dict[str, Any]:
        """The live state of all optimizers by parameter."""
        return {**self.sparse.state(), **self.dense.state()}

    def _parts(self) -> dict[str, Tensors]:
        """The live tensors of a checkpoint, by directory."""
        average = self.dense.average.values if self.dense.average else {}
        parts = {"model": self.session.model.state_dict(), "optimizer": self._optimizer_state()}
        return parts | {
            name: part for name, part in ((EMA_DIR, average), ("gathered", self.dense.accumulated_gradients())) if part
        }

    @property
    def over(self) -> bool:
        """Whether there is nothing left to train."""
        return self.goal.is_reached(self.position) or self.steering.enough

    def batches(self) -> Iterator[tuple[Batch, bool]]:
        """Batches until the run is over, pass after pass; and of each whether it is the last of its pass."""
        while not self.over:
            batch = None
            for batch, last in _with_last(self._ahead):
                yield batch, last
                if self.over:
                    return
            if batch is None:  # the checkpoint was written at the very end of a pass
                self.position = self.position.next_epoch()
            self._ahead = self.loader.epoch(self.position.cursor)

    def begin_step(self) -> None:
        """Set the rates and forget gradients; before the forward pass, where the fused kernels note the rate."""
        self.rates.set(self.position.steps, self.position.epochs, self.steering.factor)
        self.sparse.zero_grad()
        self.dense.zero_grad()

    def losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Every loss by name, 0-dimensional, over the rows of this rank."""
        output, batch = self.session.forward(batch)
        self._seen = {task: each.detach() for task, each in output.logits.items()}, batch
        return self.session.rec_model.compute_losses(output, batch, _mean_over_ranks)

    def apply_task_weights(self, losses: dict[str, torch.Tensor], share: float) -> dict[str, torch.Tensor]:
        """The same losses, and with `use_pareto_loss_weight` what turns their sum into `sum_k w_k L_k` of the tasks.

        The arguments are those of `backward_and_step`; all ranks call it together.
        """
        if self._pareto is None:
            return losses
        totals = list(self.session.rec_model.heads.task_totals(losses).values())
        weights = self._pareto.weights([each * share for each in totals])
        more = torch.stack([(weight - 1) * each for weight, each in zip(weights, totals, strict=True)]).sum()
        return {**losses, "pareto_weighting": more}

    def backward_and_step(self, losses: Mapping[str, torch.Tensor], share: float) -> None:
        """Learn from the gradient of the mean loss over the rows of all ranks.

        Args:
            losses: of this rank.
            share: rows of this rank, in units of what ranks have on average; gradients are averaged over ranks.
        """
        self.dense.scale_loss(torch.stack(list(losses.values())).sum() * share).backward()
        self.sparse.step()
        self.dense.step()
        self.online.update(*self._seen, of_all_ranks)

    def save(self, last: bool) -> SaveResult:
        """Copy everything a continued run needs, unless nothing will change it any more; a thread writes it."""
        if last:
            cpu.give_back_freed_memory()
        where = self.session.rank_info
        numbers = {**self.dense.scalar_state(), **self.steering.numbers()}
        manifest = CheckpointManifest(self.position, _random_state(where.rank), *self._facts, numbers)
        plan = json.dumps(plan_json(self.session.model.plan), indent=1)
        saved = self._saver.save(manifest, self._parts(), plan, last)
        if last and self._averages:
            self.wait()  # the evaluation that follows exchanges the very tensors that are being written
        return saved

    def evaluated_weights(self) -> AbstractContextManager[None]:
        """While entered, the model computes with the weights that evaluation asks for."""
        average = self.dense.average
        return average.average_parameters() if average and self._averages else nullcontext()

    def wait(self) -> None:
        """Wait for the save under way; raises what went wrong with it."""
        self._saver.wait()

    def __enter__(self) -> Training:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        """Let the save under way finish, whatever ended the loop; its own error is logged, and raised by `wait`."""
        with suppress(CheckpointError):
            self._saver.wait()


def _with_last(batches: Iterator[Batch]) -> Iterator[tuple[Batch, bool]]:
    """Each batch and whether it is the last; reads one ahead."""
    batch = next(batches, None)
    while batch is not None:
        following = next(batches, None)
        yield batch, following is None
        batch = following


def _mean_over_ranks(weights: torch.Tensor) -> torch.Tensor:
    """Mean of the sample weights of one step over all ranks; 0 of none."""
    total, rows = group.total([float(weights.sum()), len(weights)])
    return weights.new_tensor(total / max(rows, 1))


def _goal(session: Session, rows: int | None, batch_size: int) -> StopCondition:
    train = session.config.train_config
    if not train.num_epochs:
        return StopCondition(train.num_steps)
    if rows is None:
        return StopCondition(None, train.num_epochs)
    all_ranks = batch_size * session.rank_info.world_size
    whole, rest = divmod(rows, all_ranks)
    short = 1 if rest and not session.config.data_config.drop_remainder else 0
    return StopCondition((whole + short) * train.num_epochs, train.num_epochs)


def _steering(session: Session, start: ResumeState) -> TrainingControl:
    """As it was when the checkpoint was written, and what the evaluation of that checkpoint said afterwards."""
    steering = TrainingControl(session.config.train_config)
    if start.continues:
        steering.set_numbers(start.numbers)
        metrics = group.broadcast(store.evaluation_of(session.model_dir, start.position.step))
        if metrics:
            steering.on_evaluation(metrics)
    return steering


def _protected(session: Session) -> store.Protected:
    """What pruning must leave: the best of the older checkpoints, and the best of all where that one is exported."""
    export, count = session.config.export_config, session.config.train_config.keep_checkpoint_best
    exported = int(export.exporter_type == "best")

    def best(older: Sequence[Path]) -> list[Path]:
        if not (count or exported):
            return []
        ranked = store.best_first(session.model_dir, export.best_exporter_metric, export.metric_larger_is_better)
        return ranked[:exported] + [path for path in ranked if path in older][:count]

    return best


def _pareto(session: Session) -> Pareto | None:
    """The weights of the tasks, where they are found anew at every step."""
    chosen = session.config.model_config
    if not chosen.use_pareto_loss_weight:
        return None
    towers = getattr(chosen, chosen.WhichOneof("model")).task_towers
    least = [shortest(tower.pareto_min_loss_weight) for tower in towers]
    return Pareto(session.model, (parameter for _, parameter in dense_parameters(session.model)), least)


def _facts(session: Session) -> tuple[str, dict[str, str]]:
    """Digest of the config, and versions."""
    versions = {"tzrec": __version__}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return hashlib.sha256(dump_config(session.config).encode()).hexdigest(), versions


def _random_state(rank: int) -> dict[str, str]:
    states = {f"{rank}": torch.get_rng_state()}
    if torch.cuda.is_available():
        states[f"{rank}/cuda"] = torch.cuda.get_rng_state()
    return {name: base64.b64encode(state.numpy().tobytes()).decode() for name, state in states.items()}
