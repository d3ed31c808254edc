"""Checkpoints of a model directory: list, open the newest or the best, delete old ones."""

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
from tzrec.data.atomic import remove_directory, write_text
from tzrec.errors import CheckpointError
from tzrec.log import logger

RESULTS = "train_eval_result_v2.txt"
"""File of the evaluations during training, one JSON object per line."""

_PATTERN = re.compile(r"model\.ckpt-(\d+)")
_UNFINISHED = re.compile(r"model\.ckpt-\d+\.(tmp|old)")


@dataclass(frozen=True)
class Checkpoint:
    """Checkpoint on disk.

    Attributes:
        path: its directory.
        manifest: None if another program wrote the checkpoint.
    """

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


def checkpoint_path(model_dir: Path, step: int) -> Path:
    """Return the path of the checkpoint of a step."""
    return model_dir / f"model.ckpt-{step}"


def list_checkpoints(model_dir: Path) -> list[Path]:
    """List the checkpoints by rising step, without verifying them."""
    paths = [(int(match[1]), path) for path in _entries(model_dir) if (match := _PATTERN.fullmatch(path.name))]
    return [path for _, path in sorted(paths)]


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a checkpoint; verify it if it has a manifest, which a checkpoint of another program has not.

    Raises:
        CheckpointError: it does not exist, is damaged, or is not a checkpoint.
    """
    if (path / NAME).exists():
        manifest = CheckpointManifest.read(path)
        manifest.verify(path)
        return Checkpoint(path, manifest)
    if (path / "model" / ".metadata").exists():
        logger.warning("%s has no %s, so it cannot be verified", path, NAME)
        return Checkpoint(path, None)
    raise CheckpointError(f"{path} is not a checkpoint: it has neither {NAME} nor model/.metadata")


def latest(model_dir: Path) -> Checkpoint | None:
    """Return the newest valid checkpoint, or None if there is none; log a warning for each damaged one.

    Raises:
        CheckpointError: all checkpoints are damaged.
    """
    problems = []
    for path in reversed(list_checkpoints(model_dir)):
        try:
            manifest = CheckpointManifest.read(path)
            manifest.verify(path)
        except CheckpointError as error:
            problems.append(str(error))
            logger.warning("%s; trying the previous one", error)
            continue
        return Checkpoint(path, manifest)
    if problems:
        raise CheckpointError("all checkpoints are damaged:\n  " + "\n  ".join(problems))
    return None


def find(path: Path) -> Checkpoint:
    """Open the checkpoint at a path, or the newest valid one of a model directory.

    Raises:
        CheckpointError: there is none.
    """
    if "model.ckpt-" in path.name or (path / "model").is_dir():
        return open_checkpoint(path)
    checkpoint = latest(path)
    if checkpoint is None:
        raise CheckpointError(f"{path} holds no model.ckpt-<step>; train first, or choose another path")
    return checkpoint


def best_first(model_dir: Path, metric: str, larger_is_better: bool) -> list[Path]:
    """List the paths of the evaluated checkpoints, including deleted ones, the best one first.

    Evaluations in which the metric is null are skipped.

    Raises:
        CheckpointError: there are evaluations, but none has this metric.
    """
    lines = _results(model_dir)
    if lines and not any(metric in line for line in lines):
        names = ", ".join(key for key in lines[-1] if key != "global_step")
        raise CheckpointError(f'export_config.best_exporter_metric: no evaluation has "{metric}"; use one of {names}')
    values = {line["global_step"]: line.get(metric) for line in lines}  # a repeated step counts once
    sign = 1 if larger_is_better else -1
    scored = [(sign * value, step) for step, value in values.items() if value is not None]
    return [checkpoint_path(model_dir, step) for _, step in sorted(scored, reverse=True)]  # of equals the newest first


def last_evaluation(model_dir: Path, step: int) -> dict[str, float] | None:
    """Return the last evaluation of a step by name, with null as NaN; None if there is none."""
    lines = [line for line in _results(model_dir) if line["global_step"] == step]
    return {name: math.nan if value is None else value for name, value in lines[-1].items()} if lines else None


def repeat_from(model_dir: Path, step: int) -> None:
    """Remove the evaluations after a step, which a resumed run repeats, and lines that were not written to their end.

    The caller holds the lock of the directory.
    """
    path = model_dir / RESULTS
    lines = [line for line in read_results(path) if line["global_step"] <= step]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    if path.exists() and path.read_text(errors="replace") != text:
        write_text(path, text)


def read_results(path: Path) -> list[dict[str, Any]]:
    """Read a file of evaluations; a line that was not written to its end is skipped with a warning."""
    results = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines() if path.exists() else (), start=1):
        try:
            result = json.loads(line)
            if not isinstance(result["global_step"], int):
                raise ValueError("no step")
        except (ValueError, TypeError, KeyError):
            logger.warning("%s:%d: skipped, not an evaluation: %s", path, number, line[:60])
            continue
        results.append(result)
    return results


def _results(model_dir: Path) -> list[dict[str, Any]]:
    return read_results(model_dir / RESULTS)


def best(model_dir: Path, metric: str, larger_is_better: bool) -> Checkpoint:
    """Open the best checkpoint by a metric, or the newest one if there is no evaluation.

    Raises:
        CheckpointError: the metric is unknown, or the checkpoint is deleted or damaged.
    """
    paths = best_first(model_dir, metric, larger_is_better)
    return open_checkpoint(paths[0]) if paths else find(model_dir)


Protected = Callable[[Sequence[Path]], Collection[Path]]
"""Function that selects the checkpoints that must not be deleted among older ones."""


def prune(model_dir: Path, keep: int, protected: Protected) -> None:
    """Delete the checkpoints that are neither among the newest `keep` (0: all) nor protected."""
    older = list_checkpoints(model_dir)[:-keep] if keep else []
    for path in set(older).difference(protected(older)):
        remove_directory(path)


def remove_unfinished(model_dir: Path) -> None:
    """Delete the directories of interrupted saves and deletions. The caller holds the lock of the directory."""
    for path in _entries(model_dir):
        if _UNFINISHED.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def _entries(model_dir: Path) -> list[Path]:
    return sorted(model_dir.iterdir()) if model_dir.is_dir() else []
