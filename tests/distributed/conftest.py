"""One run of two ranks for all tests of this room, after one rank alone has saved what the two shall restore."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.distributed.training import CASES, Case, Run
from tzrec.distributed import group
from tzrec.env import RankInfo


@pytest.fixture
def alone() -> Iterator[None]:
    """A process group of one rank."""
    group.init(RankInfo(0, 1, 0, 1, launched=False))
    yield
    group.close()


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs leave their checkpoints: `one/<optimizer>` by one rank, `<case>` by two."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def one(directory: Path) -> dict[str, dict[str, Any]]:
    """What one rank did, per optimizer: its tables after training, the losses of three more steps."""
    from tests.distributed import toy

    group.init(RankInfo(0, 1, 0, 1, launched=False))
    done = {}
    for optimizer in {case.optimizer for case in CASES if not case.fields}:
        run = Run(Case("one", optimizer))
        losses = run.train()
        run.save(directory / "one" / optimizer)
        tables = {name: value for name, _, _, value in run.pieces()}
        more = [run.step(rows, 0.05) for rows in toy.global_batches(3, first=50)]
        done[optimizer] = {"losses": losses, "tables": tables, "more": more}
    group.close()
    return done


@pytest.fixture(scope="session")
def two(directory: Path, one: dict[str, Any]) -> list[dict[str, Any]]:
    """What each of two ranks reports; see `training.main`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.distributed.training", str(directory)],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            cwd=Path(__file__).parents[2],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    errors = [rank.communicate(timeout=120)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(errors)
    return [torch.load(directory / f"rank{rank}.pt", weights_only=True) for rank in range(2)]
