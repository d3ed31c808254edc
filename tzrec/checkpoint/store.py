"""The checkpoints of a model directory: which there are, which is the newest, which the best, which may go."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tzrec.checkpoint.manifest import NAME, CheckpointManifest
from tzrec.checkpoint.position import Position
from tzrec.data.atomic import remove_directory
from tzrec.errors import CheckpointError
from tzrec.log import logger

RESULTS = "train_eval_result_v2.txt"
"""Evaluations during training, one JSON object a line."""

_PATTERN = re.compile(r"model\.ckpt-(\d+)")
_UNFINISHED = re.compile(r"model\.ckpt-\d+\.(tmp|old)")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk; `manifest` is None for one that another program wrote."""

    path: Path
    manifest: CheckpointManifest | None

    @property
    def position(self) -> Position:
        if self.manifest:
            return self.manifest.position
        match = _PATTERN.fullmatch(self.path.name)
        return Position(step=int(match[1]) if match else 0)

    @property
    def step(self) -> int:
        return self.position.step


def path_of(model_dir: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return model_dir / f"model.ckpt-{step}"


def published(model_dir: Path) -> list[Path]:
    """Checkpoints by rising step, whole or not."""
    found = [(int(match[1]), path) for path in _entries(model_dir) if (match := _PATTERN.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def open_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint that was named: verified where it has a manifest, taken on trust where another program wrote it.

    Raises:
        CheckpointError: it does not exist, is damaged, or is no checkpoint.
    """
    if (path / NAME).exists():
        manifest = CheckpointManifest.read(path)
        manifest.verify(path)
        return Checkpoint(path, manifest)
    if (path / "model" / ".metadata").exists():
        logger.warning("%s has no %s, so nothing says that it is whole", path, NAME)
        return Checkpoint(path, None)
    raise CheckpointError(f"{path} is no checkpoint: it has neither {NAME} nor model/.metadata")


def latest(model_dir: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole, or None where there has never been one; says which ones it had to pass over.

    Raises:
        CheckpointError: there are checkpoints, but every one is damaged.
    """
    problems = []
    for path in reversed(published(model_dir)):
        try:
            manifest = CheckpointManifest.read(path)
            manifest.verify(path)
        except CheckpointError as error:
            problems.append(str(error))
            logger.warning("%s; trying the one before", error)
            continue
        return Checkpoint(path, manifest)
    if problems:
        raise CheckpointError("no checkpoint can be used:\n  " + "\n  ".join(problems))
    return None


def find(path: Path) -> Checkpoint:
    """The checkpoint at a path, or the newest whole one of a model directory.

    Raises:
        CheckpointError: there is none.
    """
    if "model.ckpt-" in path.name or (path / "model").is_dir():
        return open_checkpoint(path)
    checkpoint = latest(path)
    if checkpoint is None:
        raise CheckpointError(f"{path} holds no model.ckpt-<step>; train first, or name another path")
    return checkpoint


def best_path(model_dir: Path, metric: str, larger_is_better: bool) -> Path | None:
    """Where the checkpoint with the best value of a metric in train_eval_result_v2.txt lies, if it still exists.

    None where nothing has been evaluated yet. Evaluations in which the metric is null are left out.

    Raises:
        CheckpointError: evaluations exist, but none has this metric.
    """
    return next(iter(best_first(model_dir, metric, larger_is_better)), None)


def best_first(model_dir: Path, metric: str, larger_is_better: bool) -> list[Path]:
    """Where the checkpoints that have been evaluated lie, or lay, the best one first.

    Raises:
        CheckpointError: evaluations exist, but none has this metric.
    """
    lines = _results(model_dir)
    if lines and not any(metric in line for line in lines):
        known = ", ".join(key for key in lines[-1] if key != "global_step")
        raise CheckpointError(f'export_config.best_exporter_metric: no evaluation has "{metric}"; there are {known}')
    values = {line["global_step"]: line.get(metric) for line in lines}  # of a step that was evaluated again, the last
    sign = 1 if larger_is_better else -1
    scored = [(sign * value, step) for step, value in values.items() if value is not None]
    return [path_of(model_dir, step) for _, step in sorted(scored, reverse=True)]  # of equals the newest first


def evaluation_of(model_dir: Path, step: int) -> dict[str, float] | None:
    """The last evaluation of a step while training, by name, null as NaN; None where there was none."""
    found = [line for line in _results(model_dir) if line["global_step"] == step]
    return {name: math.nan if value is None else value for name, value in found[-1].items()} if found else None


def _results(model_dir: Path) -> list[dict[str, Any]]:
    path = model_dir / RESULTS
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()] if path.exists() else []


def best(model_dir: Path, metric: str, larger_is_better: bool) -> Checkpoint:
    """The best checkpoint by a metric; the newest where nothing has been evaluated.

    Raises:
        CheckpointError: the metric is unknown, or the checkpoint is gone or damaged.
    """
    path = best_path(model_dir, metric, larger_is_better)
    return open_checkpoint(path) if path else find(model_dir)


Protected = Callable[[Sequence[Path]], Collection[Path]]
"""Which of some older checkpoints must not be deleted."""


def prune(model_dir: Path, keep: int, protected: Protected) -> None:
    """Delete all but the newest `keep` checkpoints (0: delete none) and the protected ones among the others."""
    older = published(model_dir)[:-keep] if keep else []
    for path in set(older).difference(protected(older)):
        remove_directory(path)


def remove_leftovers(model_dir: Path) -> None:
    """Delete what interrupted saves and deletions left behind; only the holder of the directory's lock may."""
    for path in _entries(model_dir):
        if _UNFINISHED.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def _entries(model_dir: Path) -> list[Path]:
    return sorted(model_dir.iterdir()) if model_dir.is_dir() else []
