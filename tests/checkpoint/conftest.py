"""A small checkpointed state without any model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import torch

from tzrec.checkpoint.manifest import CheckpointManifest
from tzrec.checkpoint.position import Position
from tzrec.checkpoint.saver import Saver, SaveResult
from tzrec.data.batch import Cursor

Save = Callable[..., SaveResult]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """torch's checkpoint log goes into every report of a failure otherwise."""
    logging.getLogger("c10d-NullHandler-dcp_logger").setLevel(logging.WARNING)


def tensors(value: float) -> dict[str, torch.Tensor]:
    return {"table": torch.full((6, 4), value), "bias": torch.tensor([value, -value])}


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Save tensors full of one number as a step's checkpoint and wait for it."""

    def act(step: int, value: float, keep: int = 0, protected: Sequence[Path] = (), **more: torch.Tensor) -> SaveResult:
        saver = Saver(tmp_path, keep, lambda older: protected)
        manifest = CheckpointManifest(Position(step, Cursor(2, 30, 8)), rng={"0": "cmFuZG9t"}, versions={"tzrec": "1"})
        parts: Mapping[str, Mapping[str, torch.Tensor]] = {
            "model": {**tensors(value), **more},
            "optimizer": {"table.exp_avg": torch.full((6, 4), value / 2)},
        }
        saved = saver.save(manifest, parts, plan='{"table": {}}')
        saver.wait()
        return saved

    return act
