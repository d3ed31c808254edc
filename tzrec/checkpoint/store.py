"""Checkpoints of a model directory: list, open the newest or the best, delete old ones."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tzrec.checkpoint.manifest import NAME, CheckpointManifest
from tzrec.checkpoint.position import Position
from tzrec.checkpoint.sealed_json import DamagedJsonError, read_json
from tzrec.data.atomic import remove_directory, remove_path, write_text
from tzrec.data.store_directory import StoreDirectory, marked_names
from tzrec.errors import CheckpointError, StoreError
from tzrec.log import logger, side_output
from tzrec.storage.path import AnyPath, StorePath
from tzrec.tables.plan_summary import SavedPlan

RESULTS = "train_eval_result_v2.txt"
"""File of the evaluations during training, one JSON object per line."""
EVAL_DATA = "eval_data"
"""Key of a line of RESULTS: a digest of the evaluated rows. Lines of older versions do not have it."""
PROFILE = "profile.json"
"""File of the distribution of the features in training; a package has a copy."""

_PATTERN = re.compile(r"model\.ckpt-(\d+)")
_UNFINISHED = re.compile(r"model\.ckpt-\d+\.(tmp|old)")


@dataclass(frozen=True)
class Checkpoint:
    """Checkpoint on disk.

    Attributes:
        path: its directory.
        manifest: None if another program wrote the checkpoint.
    """

    path: AnyPath
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


def checkpoint_path(model_dir: AnyPath, step: int) -> AnyPath:
    """Return the path of the checkpoint of a step."""
    return model_dir / f"model.ckpt-{step}"


def list_checkpoints(model_dir: AnyPath) -> list[AnyPath]:
    """List the checkpoints by rising step, without verifying them."""
    entries = _entries(model_dir)
    marked = marked_names([path.name for path in entries])
    steps = [(int(match[1]), path) for path in entries if (match := _PATTERN.fullmatch(path.name))]
    paths = [path for _, path in sorted(steps, key=lambda step: step[0])]
    return [path for path in paths if path.name not in marked or not _is_unfinished(path)]


def is_present(path: AnyPath) -> bool:
    """True if a checkpoint exists; False for one that a run has deleted, or whose deletion it has begun."""
    return StoreDirectory(path, NAME).is_present if isinstance(path, StorePath) else path.exists()


def _is_unfinished(path: AnyPath) -> bool:
    """True for a checkpoint in a store that is being written or deleted, or was when its process ended."""
    return isinstance(path, StorePath) and StoreDirectory(path, NAME).is_unfinished


def open_checkpoint(path: AnyPath) -> Checkpoint:
    """Open a checkpoint; verify it if it has a manifest, which a checkpoint of another program has not.

    Raises:
        CheckpointError: it does not exist, is damaged, holds values that are not finite, or is not a checkpoint.
    """
    if (path / NAME).exists():
        return Checkpoint(path, _verified(path))
    if _is_unfinished(path):
        raise CheckpointError(f"{path} is not complete: it is being written or deleted, or its process ended meanwhile")
    if (path / "model" / ".metadata").exists():
        logger.warning("%s has no %s, so it cannot be verified", path, NAME)
        _ensure_finite(path)
        return Checkpoint(path, None)
    raise CheckpointError(f"{path} is not a checkpoint: it has neither {NAME} nor model/.metadata")


def read_plan(path: AnyPath) -> SavedPlan | None:
    """Read the sharding plan of a checkpoint; None if it has none.

    Raises:
        CheckpointError: it is no plan.
    """
    try:
        plan = read_json(path / "plan")
    except FileNotFoundError:
        return None
    except DamagedJsonError as error:
        raise CheckpointError(f"{path / 'plan'} is damaged: {error}") from None
    entries = [entry for tables in plan.values() for entry in (tables.values() if isinstance(tables, dict) else [None])]
    if not all(isinstance(entry, dict) and isinstance(entry.get("sharding_type"), str) for entry in entries):
        raise CheckpointError(f"{path / 'plan'} is damaged: it is no sharding plan")
    return plan


def latest(model_dir: AnyPath) -> Checkpoint | None:
    """Return the newest valid checkpoint, or None if there is none; log a warning for each damaged one.

    Raises:
        CheckpointError: all checkpoints are damaged.
    """
    checkpoint, _ = _newest_valid(model_dir)
    return checkpoint


def recover(model_dir: AnyPath) -> Checkpoint | None:
    """Return the newest valid checkpoint and move the damaged ones after it aside.

    The caller holds the lock of the directory. A checkpoint moved aside has the name `model.ckpt-<step>.damaged`; it is
    no longer counted, and the step can be saved again.

    Raises:
        CheckpointError: all checkpoints are damaged; then none is moved.
    """
    checkpoint, damaged = _newest_valid(model_dir)
    for path in damaged:
        _move_aside(path)
    return checkpoint


def _newest_valid(model_dir: AnyPath) -> tuple[Checkpoint | None, list[AnyPath]]:
    """Return the newest valid checkpoint and the damaged ones that are newer."""
    problem_by_path = {}
    for path in reversed(list_checkpoints(model_dir)):
        try:
            manifest = _verified(path)
        except CheckpointError as error:
            if not is_present(path):  # by a run that trains and has newer checkpoints
                logger.info("%s was deleted while it was opened; trying the newest one again", path)
                return _newest_valid(model_dir)
            problem_by_path[path] = str(error)
            logger.warning("%s; trying the previous one", error)
            continue
        return Checkpoint(path, manifest), list(problem_by_path)
    if problem_by_path:
        raise CheckpointError("all checkpoints are damaged:\n  " + "\n  ".join(problem_by_path.values()))
    return None, []


def _verified(path: AnyPath) -> CheckpointManifest:
    """Read the manifest of a checkpoint, and verify its files and values."""
    manifest = CheckpointManifest.read(path)
    manifest.verify(path)
    if not manifest.is_finite:
        _ensure_finite(path)
    return manifest


def _ensure_finite(path: AnyPath) -> None:
    from tzrec.checkpoint.finite import ensure_finite_values  # imports torch, which a list of checkpoints does not need

    ensure_finite_values(path)


def _move_aside(path: AnyPath) -> None:
    names = (f"{path.name}.damaged{number}" for number in ("", *range(2, 1000)))
    target = next(path.with_name(name) for name in names if not _is_occupied(path.with_name(name)))
    try:
        if isinstance(path, Path):
            path.rename(target)
        else:
            assert isinstance(target, StorePath)
            StoreDirectory(path, NAME).move(target)
        logger.warning("%s is damaged and was renamed to %s; delete it when you no longer need it", path, target.name)
    except (OSError, StoreError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        logger.warning("%s is damaged and could not be renamed to %s: %s", path, target.name, reason)


def _is_occupied(path: AnyPath) -> bool:
    return os.path.lexists(path) if isinstance(path, Path) else path.exists()


def find(path: AnyPath) -> Checkpoint:
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


def best_first(model_dir: AnyPath, metric: str, larger_is_better: bool) -> list[AnyPath]:
    """List the paths of the evaluated checkpoints, including deleted ones, the best one first.

    Only those count that were evaluated on the rows of the last evaluation, see `comparable`. Evaluations in which the
    metric is null are skipped.

    Raises:
        CheckpointError: there are evaluations, but none has this metric.
    """
    lines = comparable(read_results(model_dir / RESULTS))
    if lines and not any(metric in line for line in lines):
        names = ", ".join(key for key in lines[-1] if key not in ("global_step", EVAL_DATA))
        raise CheckpointError(f'export_config.best_exporter_metric: no evaluation has "{metric}"; use one of {names}')
    values = {line["global_step"]: line.get(metric) for line in lines}  # a repeated step counts once
    sign = 1 if larger_is_better else -1
    scored = [(sign * value, step) for step, value in values.items() if value is not None]
    return [checkpoint_path(model_dir, step) for _, step in sorted(scored, reverse=True)]  # of equals the newest first


def comparable(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the last evaluations on the same rows: values on other rows do not compare with theirs.

    Args:
        lines: evaluations in their order. One without a digest counts as the one after it.
    """
    kept: list[dict[str, Any]] = []
    digest = None
    for line in reversed(lines):
        digest = digest or line.get(EVAL_DATA)
        if line.get(EVAL_DATA, digest) != digest:
            break
        kept.append(line)
    return kept[::-1]


def last_evaluation(model_dir: AnyPath, step: int) -> dict[str, float] | None:
    """Return the results of the last evaluation of a step by name, with null as NaN; None if there is none."""
    lines = [line for line in read_results(model_dir / RESULTS) if line["global_step"] == step]
    return metric_values(lines[-1]) if lines else None


def last_eval_data(model_dir: AnyPath, step: int) -> str:
    """Return the digest of the rows that were evaluated last, up to a step; "" if it is unknown."""
    digests = [line.get(EVAL_DATA, "") for line in read_results(model_dir / RESULTS) if line["global_step"] <= step]
    return next(filter(None, reversed(digests)), "")


def metric_values(line: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a line of results by name, with null as NaN."""
    return {name: math.nan if value is None else value for name, value in line.items() if name != EVAL_DATA}


def repeat_from(model_dir: AnyPath, step: int) -> None:
    """Remove the evaluations after a step, which a resumed run repeats, and lines that were not written to their end.

    The caller holds the lock of the directory.
    """
    path = model_dir / RESULTS
    with side_output(path):
        results = read_results(path)
        kept = [result for result in results if result["global_step"] <= step]
        if len(kept) < len(results):
            logger.info("start  %d evaluations in %s are repeated", len(results) - len(kept), path)
        text = "".join(f"{json.dumps(result)}\n" for result in kept)
        if path.exists() and path.read_text(errors="replace") != text:
            write_text(path, text)


def read_results(path: AnyPath) -> list[dict[str, Any]]:
    """Read a file of evaluations; a line that was not written to its end is skipped with a warning."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        logger.warning("%s cannot be read, as if there were no evaluations: %s", path, error.strerror)
        return []
    results = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            result = _evaluation(line)
            if result is None:
                logger.warning("%s:%d: skipped, not an evaluation: %.60s", path, number, line)
            else:
                results.append(result)
    return results


def _evaluation(line: str) -> dict[str, Any] | None:
    """Parse a step and its metrics; None if the line is anything else."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or type(value.get("global_step")) is not int:
        return None
    numbers = (number for name, number in value.items() if name != EVAL_DATA)
    is_number = all(number is None or isinstance(number, (int, float)) for number in numbers)
    return value if is_number and isinstance(value.get(EVAL_DATA, ""), str) else None


def best(model_dir: AnyPath, metric: str, larger_is_better: bool) -> Checkpoint:
    """Open the best checkpoint by a metric, or the newest one if there is no evaluation.

    Raises:
        CheckpointError: the metric is unknown, or the checkpoint is deleted or damaged.
    """
    paths = best_first(model_dir, metric, larger_is_better)
    if not paths:
        return find(model_dir)
    try:
        return open_checkpoint(paths[0])
    except CheckpointError:
        if best_first(model_dir, metric, larger_is_better)[0] != paths[0]:  # a run that trains has a better one
            return best(model_dir, metric, larger_is_better)
        if not is_present(paths[0]):
            raise CheckpointError(
                f"{paths[0]}, the best checkpoint by {metric}, was deleted; train with export_config.exporter_type: "
                '"best" or keep_checkpoint_best to keep it'
            ) from None
        raise


Protected = Callable[[Sequence[AnyPath]], Collection[AnyPath]]
"""Function that selects the checkpoints that must not be deleted among older ones."""


class VerifiedCheckpoints:
    """Checkpoints known to be valid. Each one is read once, and again only after one of its files has changed."""

    def __init__(self) -> None:
        self._files_by_path: dict[AnyPath, frozenset[tuple[str | int, ...]]] = {}

    def add(self, path: AnyPath) -> None:
        """Add a checkpoint that was just written or read."""
        self._files_by_path[path] = _describe_files(path)

    def is_valid(self, path: AnyPath) -> bool:
        """Verify a checkpoint, unless its files are those that were verified before; log a warning if it is damaged."""
        files = _describe_files(path)
        if self._files_by_path.get(path) != files:
            try:
                CheckpointManifest.read(path).verify(path)
            except CheckpointError as error:
                logger.warning("%s", error)
                return False
            self._files_by_path[path] = files
        return True


def prune(model_dir: AnyPath, keep: int, protected: Protected, verified: VerifiedCheckpoints) -> None:
    """Delete the checkpoints that are neither among the newest `keep` valid ones (0: all) nor protected.

    Damaged checkpoints among those are moved aside, as in `recover`.
    """
    if not keep:
        return
    newest_first = list(reversed(list_checkpoints(model_dir)))
    num_valid = 0
    while newest_first and num_valid < keep:
        path = newest_first.pop(0)
        if verified.is_valid(path):
            num_valid += 1
        else:
            _move_aside(path)
    older = newest_first[::-1]
    for path in set(older).difference(protected(older)):
        remove_directory(path) if isinstance(path, Path) else StoreDirectory(path, NAME).delete()


def remove_unfinished(model_dir: AnyPath) -> None:
    """Delete what interrupted saves and deletions left. The caller holds the lock of the directory."""
    entries = _entries(model_dir)
    for path in entries:
        if isinstance(path, Path) and _UNFINISHED.fullmatch(path.name):
            remove_path(path)
    for name in marked_names([path.name for path in entries if isinstance(path, StorePath)]):
        path = model_dir / name
        assert isinstance(path, StorePath)
        directory = StoreDirectory(path, NAME)
        directory.delete() if directory.is_unfinished else directory.publish()


def _describe_files(path: AnyPath) -> frozenset[tuple[str | int, ...]]:
    """Collect name, size, time of change and inode of each file of a checkpoint; in a store, what it tells instead."""
    if isinstance(path, StorePath):
        return frozenset((name, stat.st_size, stat.version) for name, stat in path.files().items())
    files = []
    for directory, _, names in os.walk(path):
        for name in names:
            stat = os.lstat(os.path.join(directory, name))
            files.append((os.path.join(directory, name), stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return frozenset(files)


def _entries(model_dir: AnyPath) -> list[AnyPath]:
    if isinstance(model_dir, StorePath):
        return list(model_dir.iterdir())
    return list(model_dir.iterdir()) if model_dir.is_dir() else []
