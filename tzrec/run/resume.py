"""Initial state of a run: fresh, resumed from its last checkpoint, or fine-tuned from another run."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from tzrec.checkpoint import store
from tzrec.checkpoint.columns import ColumnMap, Columns, column_maps
from tzrec.checkpoint.manifest import NAME, CheckpointManifest
from tzrec.checkpoint.position import Position
from tzrec.checkpoint.remap import read_map, stored_names
from tzrec.checkpoint.store import Checkpoint
from tzrec.config.pinned import OPTIMIZERS, pinned_changes, pinned_settings
from tzrec.distributed import group
from tzrec.env import RankInfo
from tzrec.errors import CheckpointError, TzrecError
from tzrec.log import logger
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.protos.train_pb2 import TrainConfig
from tzrec.storage.path import AnyPath, to_path
from tzrec.tables.plan_summary import SavedPlan

_NEW_RUN = "Undo the change, or start a new run from these weights: another --model_dir, and --fine_tune_checkpoint."


@dataclass(frozen=True)
class ResumeState:
    """Checkpoint and position from which a run starts.

    Attributes:
        checkpoint: source of the weights; None for random ones.
        position: first step and position in the data.
        is_same_run: the run continues its own checkpoint: then every tensor must match, and the random state is
            restored as well.
        has_optimizer: restore optimizer state.
        old_name_by_name: parameter of this model -> parameter in the checkpoint, where they differ.
        column_maps: feature groups with other columns than in the checkpoint that is fine-tuned.
        changes: changed settings of tables, for the error of a run that continues its own checkpoint.
        accepts_new_data: start an epoch over the present files if the position has no meaning in them.
        has_new_data: the run continues with files on which the checkpoint was not trained.
        has_new_eval_data: the run continues with evaluations on other rows than those before the checkpoint.
        note: addition to the line that names the checkpoint.
    """

    checkpoint: Checkpoint | None = None
    position: Position = Position()  # noqa: RUF009 - frozen
    is_same_run: bool = False
    has_optimizer: bool = True
    old_name_by_name: Mapping[str, str] = field(default_factory=dict)
    column_maps: Sequence[ColumnMap] = ()
    changes: Sequence[str] = ()
    accepts_new_data: bool = False
    has_new_data: bool = False
    has_new_eval_data: bool = False
    note: str = ""

    @property
    def model_dir(self) -> AnyPath:
        """Directory of the checkpoint."""
        assert self.checkpoint is not None
        return self.checkpoint.path.parent

    @property
    def plan(self) -> SavedPlan | None:
        """Sharding plan of the checkpoint, if it has one."""
        return store.read_plan(self.checkpoint.path) if self.checkpoint else None

    @property
    def numbers(self) -> Mapping[str, float]:
        """State of a continued run besides its tensors, by name."""
        manifest = self.checkpoint.manifest if self.checkpoint and self.is_same_run else None
        return manifest.numbers if manifest else {}

    @property
    def is_compared_anew(self) -> bool:
        """True if values of evaluations before the checkpoint do not count for those after it."""
        return self.has_new_data or self.has_new_eval_data

    @property
    def cpu(self) -> Mapping[str, str]:
        """CPU settings of a continued run, by name; empty if its checkpoint does not hold them."""
        manifest = self.checkpoint.manifest if self.checkpoint and self.is_same_run else None
        return manifest.cpu if manifest else {}

    def with_columns(self, columns: Columns) -> ResumeState:
        """Return the state for a model with these columns of feature groups."""
        manifest = self.checkpoint.manifest if self.checkpoint and not self.is_same_run else None
        return replace(self, column_maps=column_maps(manifest.columns, columns)) if manifest else self

    def stored_names(self, part: str) -> tuple[str, ...]:
        """List the tensors of a part of the checkpoint; none if it does not have the part."""
        if self.checkpoint is None or not (self.checkpoint.path / part).is_dir():
            return ()
        from tzrec.checkpoint.restore import stored_sizes

        return tuple(stored_sizes(self.checkpoint.path / part))

    def restore(self, part: str, tensors: Callable[[], Mapping[str, Any]]) -> None:
        """Fill the tensors of a part of the checkpoint in place; tensors that it does not hold keep their values.

        Args:
            part: directory of the checkpoint.
            tensors: returns the tensors to fill, by name; not called without a checkpoint.

        Raises:
            CheckpointError: the checkpoint cannot be read, or does not match a run that continues it.
        """
        if self.checkpoint is None:
            return
        # the import takes half a second, which a fresh run does not need
        from tzrec.checkpoint.restore import restore

        directory = self.checkpoint.path / part
        if not directory.is_dir():
            logger.warning("%s not restored: %s holds no %s", _title(part), self.checkpoint.path, part)
            return
        targets = tensors()
        result = restore(directory, targets, stored_names(targets, self.old_name_by_name), self.column_maps)
        if self.is_same_run:
            is_optimizer = part == "optimizer"
            fix = "--ignore_restore_optimizer starts with new optimizer state." if is_optimizer else _NEW_RUN
            if part == "model":
                unexpected = (f"{name}: in the checkpoint, not in the model" for name in result.unexpected)
                result = replace(result, settings=(*self.changes, *unexpected))
            result.ensure_complete(f"{directory} does not match this config, so the run cannot be resumed", fix)
        for name, columns in result.remapped.items():
            logger.info("start  %s: %s", name, columns)
        for problem in result.problems:
            logger.warning("%s not restored: %s", _title(part), problem)

    def start(self, rank_info: RankInfo) -> None:
        """Log the source of the weights and restore the random state of a continued run."""
        if self.checkpoint is None:
            return
        source = "resuming from" if self.is_same_run else "weights of"
        logger.info("start  %s %s%s", source, self.checkpoint.path, self.note)
        if self.is_same_run and self.checkpoint.manifest:
            try:
                _set_random_state(self.checkpoint.manifest.rng, rank_info.rank)
            except (ValueError, RuntimeError, TypeError) as error:
                raise CheckpointError(f"{self.checkpoint.path}: its random state is damaged: {error}") from None


def find_resume_state(
    config: EasyRecConfig,
    continue_train: bool,
    ignore_restore_optimizer: bool,
    accept_new_data: bool,
    rank_info: RankInfo,
) -> ResumeState:
    """Choose and verify the checkpoint to start from on rank 0 and broadcast it.

    Raises:
        CheckpointError: there are checkpoints but no `continue_train`, all are damaged, the named one is not valid, or
            a setting of the run that is continued has changed.
    """
    train, has_optimizer = config.train_config, not ignore_restore_optimizer
    own_path, other_path, *changes = agree(lambda: _find_paths(config, continue_train, has_optimizer), rank_info)
    if own_path:
        checkpoint = _open_verified(to_path(own_path))
        return ResumeState(
            checkpoint,
            checkpoint.position,
            is_same_run=True,
            has_optimizer=has_optimizer,
            changes=tuple(changes),
            accepts_new_data=accept_new_data,
        )
    if other_path:
        checkpoint = _open_verified(to_path(other_path))
        position = checkpoint.position.data_only() if continue_train else Position()
        names = read_map(to_path(train.fine_tune_ckpt_param_map)) if train.fine_tune_ckpt_param_map else {}
        return ResumeState(
            checkpoint,
            position,
            has_optimizer=has_optimizer,
            old_name_by_name=names,
            accepts_new_data=accept_new_data,
        )
    return ResumeState()


def agree_on_checkpoint(find: Callable[[], Checkpoint], rank_info: RankInfo) -> Checkpoint:
    """Find and verify a checkpoint on rank 0 and broadcast its path.

    Raises:
        CheckpointError: raised by `find` on rank 0, raised here on all ranks.
    """
    (path,) = agree(lambda: (str(find().path),), rank_info)
    return _open_verified(to_path(path))


def _find_paths(config: EasyRecConfig, continue_train: bool, has_optimizer: bool) -> tuple[str, ...]:
    """Return the run's own checkpoint and the one to fine-tune: the first that exists, and "" for the other.

    They are followed by the changed settings of the run's own checkpoint.
    """
    model_dir = to_path(config.model_dir)
    if store.list_checkpoints(model_dir):
        if not continue_train:
            raise CheckpointError(
                f"{model_dir} already holds checkpoints; --continue_train resumes from the last one, "
                "another --model_dir starts a new run"
            )
        checkpoint = store.recover(model_dir)
        assert checkpoint is not None
        return str(checkpoint.path), "", *_changed_settings(checkpoint, config, has_optimizer)
    if config.train_config.fine_tune_checkpoint:
        return "", str(store.find(to_path(config.train_config.fine_tune_checkpoint)).path)
    return "", ""


def _changed_settings(checkpoint: Checkpoint, config: EasyRecConfig, has_optimizer: bool) -> list[str]:
    """List the changed settings of tables, which the restored tensors may show as well.

    Raises:
        CheckpointError: an optimizer or a schedule has changed.
    """
    if checkpoint.manifest is None:
        return []
    changes = pinned_changes(checkpoint.manifest.settings, pinned_settings(config))
    optimizer = [change for change in changes if change.startswith(OPTIMIZERS)]
    if optimizer and has_optimizer and config.train_config.new_optimizer == TrainConfig.ERROR:
        lines = "\n  ".join(changes)
        raise CheckpointError(
            f"{checkpoint.path} was trained with other settings, so the run cannot be resumed:\n  {lines}\nUndo the "
            "change, or set train_config.new_optimizer: CONTINUE to use the new values with the old optimizer state, "
            "or pass --ignore_restore_optimizer to start with new optimizer state"
        )
    return [change for change in changes if change not in optimizer]


def agree(find: Callable[[], tuple[str, ...]], rank_info: RankInfo) -> tuple[str, ...]:
    """Call `find` on rank 0; return its result, or raise its error, on all ranks."""
    outcome: dict[str, Any] = {}
    if rank_info.is_main:
        try:
            outcome = {"paths": find()}
        except TzrecError as error:
            outcome = {"error": str(error)}
    outcome = group.broadcast(outcome)
    if "error" in outcome:
        raise CheckpointError(outcome["error"])
    return tuple(outcome["paths"])


def _open_verified(path: AnyPath) -> Checkpoint:
    """Open a checkpoint that rank 0 has verified."""
    return Checkpoint(path, CheckpointManifest.read(path) if (path / NAME).exists() else None)


def _title(part: str) -> str:
    return "optimizer state" if part == "optimizer" else part


def _set_random_state(states: Mapping[str, str], rank: int) -> None:
    """Restore the random number generators of this rank; a rank that did not exist before keeps its seed."""
    if str(rank) in states:
        torch.set_rng_state(_decode(states[str(rank)]))
    if f"{rank}/cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(_decode(states[f"{rank}/cuda"]))


def _decode(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)
