"""Trainer: a session with optimizers, data and position. The loop over its steps is in training_loop.py."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tzrec.checkpoint import store
from tzrec.checkpoint.cadence import Cadence
from tzrec.checkpoint.manifest import CheckpointManifest
from tzrec.checkpoint.saver import Saver, SaveResult, Tensors
from tzrec.config.eval_split import evaluation_path
from tzrec.config.kwargs import shortest
from tzrec.config.load import dump_config
from tzrec.config.pinned import pinned_settings
from tzrec.data.batch import Batch
from tzrec.data.loader import DataLoader
from tzrec.distributed import group
from tzrec.distributed.shard import dense_parameters
from tzrec.errors import CheckpointError, TrainingError
from tzrec.heads.train_metrics import TrainMetrics
from tzrec.modules.running_statistics import RunningStatistics
from tzrec.optim.average import EMA_DIR, uses_average
from tzrec.optim.build import LearningRates, dense_optimizer
from tzrec.optim.gradient_watch import GradientWatch
from tzrec.optim.pareto import Pareto
from tzrec.optim.schedule import Schedule, schedule
from tzrec.profile.training_profile import BatchSampler
from tzrec.run import cpu
from tzrec.run.evaluation import eval_data_digest, gather_metric_states
from tzrec.run.evaluation_sample import EvaluationSample
from tzrec.run.finite_state import are_finite, ensure_finite
from tzrec.run.new_data import continue_on_data, continue_on_eval_data, input_path_of_epoch, restored_control
from tzrec.run.pipeline import Step, TrainPipeline, read_steps
from tzrec.run.resume import ResumeState
from tzrec.run.session import Session
from tzrec.run.skipped_steps import SkippedSteps
from tzrec.run.stage_timer import StageTimer
from tzrec.run.stop_condition import StopCondition
from tzrec.run.streams import Streams
from tzrec.storage.path import AnyPath
from tzrec.tables.plan_summary import plan_json
from tzrec.tables.sparse_optimizer import SparseOptimizer
from tzrec.version import __version__

_PACKAGES = ("torch", "torchrec", "fbgemm-gpu-cpu", "fbgemm-gpu")


class Trainer:
    """Operations of the training loop on one rank.

    A context manager: leaving it waits for the save in progress. The session stops the threads that read data.

    Attributes:
        session: encoder, model, device.
        position: steps and data that have been trained.
        loader: training data.
        pipeline: the batches on their way to the model.
        batch_sampler: rows of the batches that rank 0 has read, for the profile of the training data.
        stop_condition: steps or epochs at which the run ends.
        dense: optimizer of the dense parameters.
        sparse: optimizer of the embedding tables.
        learning_rates: of both.
        cadence: steps or epochs between checkpoints.
        control: early stopping, learning rate reduction and time limit.
        train_metrics: metrics of training batches.
        skipped_steps: steps that were not applied, of this run and those that it continues.
        lacks_evaluation: the process ended between the checkpoint from which the run continues and its evaluation.
        counts_evaluation: that evaluation counts for early stopping and learning rate reduction.
        timer: time of the training loop by stage.
        evaluation_sample: batches of the last evaluation, for the report.
    """

    def __init__(self, session: Session, resume: ResumeState, ensure_locked: Callable[[], None] | None = None) -> None:
        """
        Args:
            session: without a model, which is built here.
            resume: where the run starts.
            ensure_locked: raises an error if another run has taken over the model directory.
        """
        config = session.config
        self.session = session
        self._ensure_locked = ensure_locked
        self._trained_batch: Batch | None = None
        self.timer = StageTimer()
        self._random_devices = [session.device] if session.device.type == "cuda" else []
        self.loader = session.loader(input_path_of_epoch(resume, config.train_input_path), "train")
        eval_data = _open_evaluation_data(session)
        self.evaluation_sample = EvaluationSample(config.train_config.report_rows)
        self.loader.bad_rows_path = str(session.model_dir / _bad_rows_name(session))
        self._data = self.loader.identity() if session.rank_info.is_main else None
        resume = continue_on_data(resume, self._data, config, session.rank_info)
        resume = continue_on_eval_data(resume, eval_data, config, session.rank_info)
        self.position = resume.position
        self.stop_condition = _stop_condition(session, self.loader, self.position.data_step)
        batches = self.loader.epoch(self.position.cursor, should_start=True)  # reads while the model is built
        self._build(resume)
        self.batch_sampler = BatchSampler()
        steps = read_steps(batches, self.loader.epoch, self.position, self.stop_condition)
        self.pipeline = TrainPipeline(
            _sampled(steps, self.batch_sampler) if session.rank_info.is_main else steps,
            session.rec_model.embedding_group.start_lookups,
            Streams(session.device),
        )

    def _build(self, resume: ResumeState) -> None:
        """Build the model and its optimizers and restore both."""
        session, config, train = self.session, self.session.config, self.session.config.train_config
        session.cpu = cpu.follow_checkpoint(session.cpu, train, resume.cpu)
        session.build(resume.plan)
        self._columns = session.rec_model.embedding_group.columns()
        resume = resume.with_columns(self._columns)
        resume.restore("model", session.model.state_dict)
        self.dense = dense_optimizer(train, dense_parameters(session.model), group.any_rank)
        hook = self.dense.scale.unscale_table_gradient if self.dense.scale else None
        self.sparse = SparseOptimizer(session.rec_model, train.sparse_optimizer, session.rank_info.world_size, hook)
        self._restore_optimizers(resume)
        self.control = restored_control(resume, config)
        self.cadence = Cadence(train.save_checkpoints_steps, train.save_checkpoints_epochs)
        self._settle_evaluation(resume)
        resume.start(session.rank_info)
        schedules: list[tuple[Any, Schedule]] = [(part[0], part[1]) for part in self.dense.parts]
        self.train_metrics = TrainMetrics(session.rec_model.heads)
        self.learning_rates = LearningRates([(self.sparse, schedule(train.sparse_optimizer)), *schedules])
        protected, max_failed = _protected_checkpoints(session), train.max_failed_saves
        self._saver = Saver(session.model_dir, train.keep_checkpoint_max, protected, max_failed, self._ensure_locked)
        self._config_sha256, self._versions = _config_sha256(session), package_versions()
        self._watch, self._statistics = GradientWatch(self.dense, self.sparse), RunningStatistics(session.rec_model)
        self.skipped_steps = SkippedSteps.from_numbers(resume.numbers)
        self._settings = pinned_settings(config)
        self._evaluates_average = uses_average(config.eval_config, train.dense_optimizer)
        self._pareto = _pareto(session)

    def _restore_optimizers(self, resume: ResumeState) -> None:
        """Restore the moving average and the optimizer state, after the weights."""
        if self.dense.average:
            average = self.dense.average.values
            resume.restore(EMA_DIR, lambda: average)
        if resume.has_optimizer:
            resume.restore("optimizer", self._optimizer_state)
            self.dense.load_scalar_state(resume.numbers)
            accumulated = resume.stored_names("gathered") if resume.is_same_run else ()
            if accumulated:
                resume.restore("gathered", lambda: self.dense.allocate_gradients(accumulated))

    def _settle_evaluation(self, resume: ResumeState) -> None:
        """Apply the evaluation that followed the checkpoint, or note that it is missing.

        Only an evaluation at a step of the cadence counts: an uninterrupted run has no other ones.
        """
        self.lacks_evaluation = self.counts_evaluation = False
        if not resume.is_same_run or resume.checkpoint is None:
            return
        before = resume.checkpoint.position
        is_due = self.cadence.is_due(before)
        is_last = resume.checkpoint.manifest is not None and resume.checkpoint.manifest.is_complete
        metrics = group.broadcast(store.last_evaluation(self.session.model_dir, before.step))
        self.counts_evaluation = is_due and not resume.is_compared_anew
        if metrics and self.counts_evaluation:
            self.control.on_evaluation(metrics)
        has_data = bool(evaluation_path(self.session.config))
        self.lacks_evaluation = has_data and not metrics and (is_due or is_last)

    def _optimizer_state(self) -> dict[str, Any]:
        """Return the live state of all optimizers by parameter."""
        return {**self.sparse.state(), **self.dense.state()}

    def _checkpoint_parts(self) -> dict[str, Tensors]:
        """Return the live tensors of a checkpoint by directory."""
        average = self.dense.average.values if self.dense.average else {}
        parts = {"model": self.session.model.state_dict(), "optimizer": self._optimizer_state()}
        optional = {EMA_DIR: average, "gathered": self.dense.accumulated_gradients()}
        return parts | {name: tensors for name, tensors in optional.items() if tensors}

    @property
    def is_complete(self) -> bool:
        """True once the stop condition or early stopping has ended the run."""
        return self.stop_condition.is_reached(self.position) or self.control.should_stop

    def completion_text(self) -> str:
        """Describe a run that is complete before its first step, for the log."""
        num_steps = self.stop_condition.num_steps
        last = "" if num_steps is None else f" of {num_steps - 1}"
        reason = ", by early stopping" if self.control.should_stop else ""
        return f"already complete: step {self.position.step}{last}{reason}; for new data see docs/incremental.md"

    def seconds(self) -> dict[str, float]:
        """Seconds of the loop by stage, and those that all reader threads were busy with `read` and with `encode`."""
        return {**self.timer.seconds, **self.loader.timer.seconds}

    def steps(self) -> Iterator[Step]:
        """Yield the steps until the run is complete, each with the position set to that before it."""
        while not self.is_complete:
            step = next(self.pipeline, None)
            if step is None:
                return
            self.position = step.before
            yield step

    def begin_step(self) -> None:
        """Set learning rates and clear gradients; before the forward pass, in which fused kernels read the rate."""
        self._statistics.keep()
        group.arrive("the forward pass", self.position.step + 1)
        self.learning_rates.set(self.position.steps, self.position.epochs, self.control.factor)
        self.sparse.zero_grad()
        self.dense.zero_grad()

    def compute_losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Run the forward pass; return every loss by name, 0-dimensional, over the rows of this rank."""
        output = self.session.run_model(batch)
        self._logits, self._batch = {task: logits.detach() for task, logits in output.logits.items()}, batch
        return self.session.rec_model.compute_losses(output, batch, _mean_over_ranks)

    def apply_task_weights(self, losses: dict[str, torch.Tensor], loss_weight: float) -> dict[str, torch.Tensor]:
        """Add the loss that turns the sum of losses into `sum_k w_k L_k` if `use_pareto_loss_weight` is set.

        The arguments are those of `backward_and_step`. All ranks call this together.
        """
        if self._pareto is None:
            return losses
        totals = list(self.session.rec_model.heads.task_totals(losses).values())
        weights = self._pareto.weights([total * loss_weight for total in totals])
        difference = torch.stack([(weight - 1) * total for weight, total in zip(weights, totals, strict=True)]).sum()
        return {**losses, "pareto_weighting": difference}

    def backward(self, losses: Mapping[str, torch.Tensor], loss_weight: float) -> str:
        """Compute the gradient of the mean loss over the rows of all ranks.

        Args:
            losses: losses of this rank.
            loss_weight: `StepSync.loss_weight` of this rank; gradients are averaged over ranks.

        Returns:
            Description of the gradients, and of the running statistics of norms, of this rank with which no parameter
            must be updated; "" if there are none.
        """
        group.arrive("the backward pass", self.position.step + 1)
        self.dense.scale_loss(torch.stack(list(losses.values())).sum() * loss_weight).backward()
        statistics = [f"{name} is not finite" for name in self._statistics.nonfinite_names()]
        problems = [*self._watch.problems(), *statistics]
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        self.timer.lap("backward")
        return f"{problems[0]}{more}" if problems else ""

    def step(self) -> None:
        """Update all parameters with the gradients of the backward pass."""
        self.sparse.step()
        self.dense.step()
        self._trained_batch = replace(self._batch, lookups={})  # is_broken makes them again
        self.session.rec_model.model.after_step(self._batch, group.gather_states)
        self.train_metrics.update(self._logits, self._batch, gather_metric_states)
        self.timer.lap("update")

    def undo_forward(self) -> None:
        """Restore what a forward pass has changed: running statistics of norms. For a step that is not applied."""
        self._statistics.restore()

    def discard_gradients(self) -> None:
        """Remove the gradients of a backward pass, and those that are accumulated with it."""
        self.sparse.zero_grad()
        self.dense.discard()

    def is_broken(self, should_check_gradients: bool = False) -> bool:
        """True if the last applied step could not be applied again; all ranks call this together.

        Its rows had finite losses and gradients, so that the parameters are to blame. False before the first step.

        Args:
            should_check_gradients: also compute gradients, which removes those of the last backward pass.
        """
        if self._trained_batch is None:
            return False
        self._statistics.keep()
        with torch.set_grad_enabled(should_check_gradients), torch.random.fork_rng(self._random_devices):
            output, batch = self.session.forward(self._trained_batch)
            losses = self.session.rec_model.compute_losses(output, batch, _mean_over_ranks)
        is_broken = group.any_rank(not are_finite(losses.values()))
        if should_check_gradients and not is_broken:
            is_broken = group.any_rank(bool(self.backward(losses, loss_weight=1.0)))
        if should_check_gradients:
            self.discard_gradients()
        self._statistics.restore()
        return is_broken

    def save(self, is_final: bool) -> SaveResult:
        """Start saving a checkpoint: a thread writes a copy of the state, or the state itself after the final step.

        Raises:
            TrainingError: the state is not finite, or the losses of the last step are no longer finite with it.
        """
        if is_final:
            cpu.release_freed_memory()
        rank, parts = self.session.rank_info.rank, self._checkpoint_parts()
        if self.is_broken():  # without gradients, those of several batches may be gathered
            raise TrainingError(
                f"step {self.position.step}: the losses of its rows were finite, and after its update they no longer "
                "are, so no checkpoint is saved and the last one stays as it is. Lower the learning rates"
            )
        ensure_finite(parts)
        numbers = {**self.dense.scalar_state(), **self.control.state_dict(), **self.skipped_steps.numbers()}
        manifest = CheckpointManifest(
            self.position,
            _random_state(rank),
            self._config_sha256,
            self._versions,
            numbers,
            data=self._data,
            is_finite=True,
            settings=self._settings,
            columns=self._columns,
            is_complete=self.stop_condition.is_reached(self.position),
            cpu=self.session.cpu.to_json(),
        )
        plan = json.dumps(plan_json(self.session.model.plan), indent=1)
        saved = self._saver.save(manifest, parts, plan, is_final)
        if is_final and self._evaluates_average:
            self.wait()  # the evaluation that follows exchanges the tensors that are being written
        return saved

    def evaluation_weights(self) -> AbstractContextManager[None]:
        """Return a context manager in which the model has the weights to evaluate: trained or averaged ones."""
        average = self.dense.average
        return average.average_parameters() if average and self._evaluates_average else nullcontext()

    @property
    def should_stop(self) -> bool:
        """True once this rank's time is over, or too many saves have failed; ranks agree on it."""
        return self.control.is_time_over or self._saver.has_given_up

    def wait(self) -> None:
        """Wait for the save in progress.

        Raises:
            CheckpointError: `train_config.max_failed_saves` saves in a row have failed.
        """
        self._saver.wait()

    def finish(self) -> None:
        """Wait for the last save and verify its checkpoint. All ranks call this together.

        Raises:
            CheckpointError: it failed, or the checkpoint is damaged.
        """
        self._saver.finish()

    def __enter__(self) -> Trainer:
        return self

    def __exit__(self, *exception: object) -> None:
        """Wait for the save in progress; its error has been logged."""
        with suppress(CheckpointError):
            self._saver.wait()


def _open_evaluation_data(session: Session) -> str:
    """Open the data of evaluations, so that what cannot be read fails now; return its digest on rank 0, else ""."""
    if not evaluation_path(session.config):
        return ""
    loader = session.evaluation_loader()
    digest = eval_data_digest(session, loader) if session.rank_info.is_main else ""
    loader.close()
    return digest


def _sampled(steps: Iterator[Step], sampler: BatchSampler) -> Iterator[Step]:
    """Yield steps unchanged, and add their batches to the sampler."""
    for step in steps:
        sampler.add(step.batch)
        yield step


def _mean_over_ranks(weights: torch.Tensor) -> torch.Tensor:
    """Compute the mean of the sample weights of one step over all ranks; 0 without rows."""
    total, rows = group.total([float(weights.sum()), len(weights)])
    return weights.new_tensor(total / max(rows, 1))


def _stop_condition(session: Session, loader: DataLoader, data_step: int) -> StopCondition:
    """Return the rule that ends the run: `num_steps` and `num_epochs` count from the start on the present files."""
    train, num_rows = session.config.train_config, loader.num_rows
    has_early_end = train.HasField("early_stopping") or train.HasField("max_minutes")
    if not train.num_epochs:
        return StopCondition(data_step + train.num_steps, has_early_end=has_early_end)
    if num_rows is None or session.config.data_config.HasField("batch_cost_size"):  # the number of steps is unknown
        return StopCondition(None, train.num_epochs, num_rows, has_early_end)
    full_batches, rest = divmod(num_rows, loader.batch_size * session.rank_info.world_size)
    partial_batches = 1 if rest and not session.config.data_config.drop_remainder else 0
    num_steps = data_step + (full_batches + partial_batches) * train.num_epochs
    return StopCondition(num_steps, train.num_epochs, has_early_end=has_early_end)


def _bad_rows_name(session: Session) -> str:
    """Return the name of the file of bad rows: in a store, which cannot append, each rank has its own."""
    is_shared = session.rank_info.is_main or isinstance(session.model_dir, Path)
    return "bad_rows.jsonl" if is_shared else f"bad_rows-{session.rank_info.rank}.jsonl"


def _protected_checkpoints(session: Session) -> store.Protected:
    """Protect from pruning the best of the older checkpoints, and the best of all if `export_config` exports it."""
    export, num_best = session.config.export_config, session.config.train_config.keep_checkpoint_best
    num_exported = int(export.exporter_type == "best")

    def best(older: Sequence[AnyPath]) -> list[AnyPath]:
        if not (num_best or num_exported):
            return []
        ranked = store.best_first(session.model_dir, export.best_exporter_metric, export.metric_larger_is_better)
        return ranked[:num_exported] + [path for path in ranked if path in older][:num_best]

    return best


def _pareto(session: Session) -> Pareto | None:
    """Build the Pareto loss weights if the config uses them."""
    model_config = session.config.model_config
    if not model_config.use_pareto_loss_weight:
        return None
    towers = getattr(model_config, model_config.WhichOneof("model")).task_towers
    min_weights = [shortest(tower.pareto_min_loss_weight) for tower in towers]
    return Pareto(session.model, (parameter for _, parameter in dense_parameters(session.model)), min_weights)


def _config_sha256(session: Session) -> str:
    return hashlib.sha256(dump_config(session.config).encode()).hexdigest()


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that compute, by name."""
    versions = {"tzrec": __version__}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _random_state(rank: int) -> dict[str, str]:
    """Encode the state of this rank's random number generators in base64."""
    states = {f"{rank}": torch.get_rng_state()}
    if torch.cuda.is_available():
        states[f"{rank}/cuda"] = torch.cuda.get_rng_state()
    return {name: base64.b64encode(state.numpy().tobytes()).decode() for name, state in states.items()}
