"""Where a run begins: anew, from its own last checkpoint, or from the weights of another run."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tzrec.checkpoint import store
from tzrec.checkpoint.manifest import NAME, CheckpointManifest
from tzrec.checkpoint.position import Position
from tzrec.checkpoint.remap import read_map, rename
from tzrec.checkpoint.store import Checkpoint
from tzrec.distributed import group
from tzrec.env import RankInfo
from tzrec.errors import CheckpointError, TzrecError
from tzrec.log import logger
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.tables.plan_summary import SavedPlan


@dataclass(frozen=True)
class ResumeState:
    """What a run takes over.

    Attributes:
        checkpoint: where weights come from; None for fresh ones.
        position: where the run begins.
        continues: whether it is the same run that goes on: then everything must fit, to the random state.
        optimizer: whether optimizer state comes along.
        names: parameter here -> parameter in the checkpoint, where they differ.
    """

    checkpoint: Checkpoint | None = None
    position: Position = Position()  # noqa: RUF009 - frozen
    continues: bool = False
    optimizer: bool = True
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def plan(self) -> SavedPlan | None:
        """How the checkpoint's tables were sharded, if it says."""
        path = self.checkpoint.path / "plan" if self.checkpoint else None
        return json.loads(path.read_text()) if path and path.exists() else None

    @property
    def numbers(self) -> Mapping[str, float]:
        """What a continued run knows besides tensors, by name."""
        manifest = self.checkpoint.manifest if self.checkpoint and self.continues else None
        return manifest.numbers if manifest else {}

    def stored(self, part: str) -> tuple[str, ...]:
        """Names of the tensors of a part of the checkpoint, empty where it has none."""
        if self.checkpoint is None or not (self.checkpoint.path / part).is_dir():
            return ()
        from tzrec.checkpoint.restore import stored_sizes

        return tuple(stored_sizes(self.checkpoint.path / part))

    def restore(self, part: str, tensors: Callable[[], Mapping[str, Any]]) -> None:
        """Fill the tensors of a part of the checkpoint in place; what it does not hold begins anew.

        Args:
            part: directory of the checkpoint.
            tensors: gives what to fill, by name; not called where nothing comes along.

        Raises:
            CheckpointError: the checkpoint cannot be read, or a continued run does not fit it.
        """
        if self.checkpoint is None:
            return
        # torch's reader is only worth its half second when there is something
        from tzrec.checkpoint.restore import restore

        directory = self.checkpoint.path / part
        if not directory.is_dir():
            logger.warning("%s holds no %s", self.checkpoint.path, part)
            return
        wanted = tensors()
        lines = restore(directory, wanted, rename(wanted, self.names)).lines()
        if lines and self.continues:
            cure = " --ignore_restore_optimizer begins with fresh optimizers." if part == "optimizer" else ""
            text = "\n  ".join(lines)
            raise CheckpointError(f"{directory} does not fit this config, so the run cannot go on:\n  {text}{cure}")
        for line in lines:
            logger.warning("%s stays fresh, %s", part, line)

    def begin(self, place: RankInfo) -> None:
        """Say where the run begins, and set the random state."""
        if self.checkpoint is None:
            return
        logger.info("start  %s %s", "goes on from" if self.continues else "weights of", self.checkpoint.path)
        if self.continues and self.checkpoint.manifest:
            _set_random_state(self.checkpoint.manifest.rng, place.rank)


def find_resume_state(
    config: EasyRecConfig, continue_train: bool, ignore_restore_optimizer: bool, place: RankInfo
) -> ResumeState:
    """Decide it; rank 0 looks and verifies, the others follow.

    Raises:
        CheckpointError: there are checkpoints but no `continue_train`, all are damaged, or the one named is no good.
    """
    train = config.train_config
    own, other = _agreed(lambda: _look(config, continue_train), place)
    if own:
        checkpoint = _trusted(Path(own))
        return ResumeState(checkpoint, checkpoint.position, continues=True, optimizer=not ignore_restore_optimizer)
    if other:
        checkpoint = _trusted(Path(other))
        position = checkpoint.position.data_only() if continue_train else Position()
        names = read_map(Path(train.fine_tune_ckpt_param_map)) if train.fine_tune_ckpt_param_map else {}
        return ResumeState(checkpoint, position, optimizer=not ignore_restore_optimizer, names=names)
    return ResumeState()


def agreed_checkpoint(path: Path, place: RankInfo) -> Checkpoint:
    """The checkpoint at a path, or the newest whole one of a model directory; verified by rank 0.

    Raises:
        CheckpointError: there is none that can be used.
    """
    found, _ = _agreed(lambda: (str(store.find(path).path), ""), place)
    return _trusted(Path(found))


def _look(config: EasyRecConfig, continue_train: bool) -> tuple[str, str]:
    """The run's own checkpoint and the one to fine-tune; the first that exists, the other one empty."""
    model_dir = Path(config.model_dir)
    if store.published(model_dir):
        if not continue_train:
            raise CheckpointError(
                f"{model_dir} already holds checkpoints; --continue_train goes on from the last one, "
                "another --model_dir begins anew"
            )
        found = store.latest(model_dir)
        assert found is not None
        return str(found.path), ""
    if config.train_config.fine_tune_checkpoint:
        return "", str(store.find(Path(config.train_config.fine_tune_checkpoint)).path)
    return "", ""


def _agreed(look: Any, place: RankInfo) -> tuple[str, str]:
    """What rank 0 found, or its error on all ranks."""
    found: dict[str, Any] = {}
    if place.is_main:
        try:
            found = {"paths": look()}
        except TzrecError as error:
            found = {"error": str(error)}
    found = group.broadcast(found)
    if "error" in found:
        raise CheckpointError(found["error"])
    own, other = found["paths"]
    return own, other


def _trusted(path: Path) -> Checkpoint:
    """A checkpoint that rank 0 has verified."""
    return Checkpoint(path, CheckpointManifest.read(path) if (path / NAME).exists() else None)


def _set_random_state(states: Mapping[str, str], rank: int) -> None:
    """Go on drawing where this rank stopped; a rank that did not exist keeps its own seed."""
    if str(rank) in states:
        torch.set_rng_state(_tensor(states[str(rank)]))
    if f"{rank}/cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(_tensor(states[f"{rank}/cuda"]))


def _tensor(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)
