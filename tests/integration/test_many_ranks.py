"""Runs on 8, 4, 2 and 1 ranks with equal global batches: training, resuming, evaluation, prediction, a lost rank."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.chaos.workspace import Workspace, checkpoints, read_tensors, trained_times
from tests.fixtures.rank_jobs import dying_job, evaluate_job, predict_job, train_job
from tests.fixtures.rank_pool import RankPool
from tests.fixtures.small_run import results
from tzrec.report.record import ANALYSIS

ROWS, BATCH = 597, 64
"""Nine full steps and one of 21 rows: two or three on each of 8 ranks."""
SHARDINGS = ["table_wise", "row_wise", "column_wise", "data_parallel"]
QUICK = [*SHARDINGS[:2], *(pytest.param(name, marks=pytest.mark.slow) for name in SHARDINGS[2:])]


@pytest.fixture(scope="module")
def pool() -> Iterator[RankPool]:
    with RankPool(8) as processes:
        yield processes


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Rows in files and row groups of unequal size."""
    space = Workspace(tmp_path_factory.mktemp("ranks") / "w")
    space.write_rows("data", [333, 7, 257])
    space.write_rows("other", [201, 40], first=100)
    return space


def run(
    pool: RankPool,
    workspace: Workspace,
    name: str,
    num_ranks: int,
    sharding: str = "",
    resume: bool = False,
    **edits: Any,
) -> list[dict[str, float]]:
    """Train with batches whose sum over the ranks is 64; return the losses of every step."""
    edits = {path.replace("__", "."): value for path, value in edits.items()}
    edits |= {"data_config.batch_size": BATCH // num_ranks}
    edits |= {"train_config.global_embedding_constraints.sharding_types": [sharding]} if sharding else {}
    first, *others = pool.run(num_ranks, train_job, config_of(workspace, name), edits, resume)
    assert others == [[] for _ in others]
    return first  # type: ignore[no-any-return]


def config_of(workspace: Workspace, name: str) -> Path:
    """Write a config without dropout, whose random numbers differ between ranks."""
    return workspace.write_config(
        name,
        train=f"{workspace.directory}/data/*.parquet",
        eval=f"{workspace.directory}/other/*.parquet",
        num_rows=ROWS,
        num_epochs=2,
        keep=9,
        edit={"dropout_ratio: [0.1, 0.1]": "", "log_step_count_steps: 10": "log_step_count_steps: 1"},
    )


def metrics(workspace: Workspace, name: str) -> dict[str, float]:
    return results(workspace.directory / name)[-1]


def assert_every_row_was_trained_twice(workspace: Workspace, name: str) -> None:
    times = trained_times(read_tensors(checkpoints(workspace.directory / name)[-1]))
    assert times.tolist() == [2] * ROWS


def assert_losses_are_close(a: list[dict[str, float]], b: list[dict[str, float]]) -> None:
    """Sums over the rows of a batch are added in another order."""
    assert len(a) == len(b)
    for number, (one, other) in enumerate(zip(a, b, strict=True)):
        assert one == pytest.approx(other, abs=2e-5), f"step {number}"


@pytest.fixture(scope="module")
def one(pool: RankPool, workspace: Workspace) -> list[dict[str, float]]:
    """Losses of one rank in two epochs, `model_dir` one."""
    return run(pool, workspace, "one", 1)


@pytest.fixture(scope="module")
def eight(pool: RankPool, workspace: Workspace) -> list[dict[str, float]]:
    """Losses of eight ranks, with checkpoints within the first epoch; `model_dir` eight."""
    return run(pool, workspace, "eight", 8)


def test_eight_ranks_have_losses_of_one(
    workspace: Workspace, one: list[dict[str, float]], eight: list[dict[str, float]]
) -> None:
    assert len(one) == 20
    assert_losses_are_close(one, eight)
    assert metrics(workspace, "eight") == pytest.approx(metrics(workspace, "one"), abs=1e-4)
    assert_every_row_was_trained_twice(workspace, "eight")


@pytest.mark.parametrize("sharding", QUICK)
def test_four_ranks_have_losses_of_one(
    pool: RankPool, workspace: Workspace, one: list[dict[str, float]], sharding: str
) -> None:
    assert_losses_are_close(one, run(pool, workspace, f"four {sharding}", 4, sharding))
    assert metrics(workspace, f"four {sharding}") == pytest.approx(metrics(workspace, "one"), abs=1e-4)
    assert_every_row_was_trained_twice(workspace, f"four {sharding}")


@pytest.mark.slow
@pytest.mark.parametrize("sharding", SHARDINGS)
def test_eight_ranks_with_sharding_have_losses_of_one(
    pool: RankPool, workspace: Workspace, one: list[dict[str, float]], sharding: str
) -> None:
    assert_losses_are_close(one, run(pool, workspace, f"eight {sharding}", 8, sharding))


@pytest.mark.parametrize(
    ("num_ranks", "sharding"),
    [
        (4, "row_wise"),
        (1, ""),
        pytest.param(2, "", marks=pytest.mark.slow),
        *(pytest.param(8, name, marks=pytest.mark.slow) for name in SHARDINGS),
    ],
)
def test_checkpoint_of_eight_ranks_is_resumed_on_other_ranks(
    pool: RankPool, workspace: Workspace, eight: list[dict[str, float]], num_ranks: int, sharding: str
) -> None:
    """From within an epoch: 6 steps were trained, and nothing is lost or repeated."""
    name = keep_until_step(workspace, "eight", f"eight to {num_ranks} {sharding}", 5)
    assert_losses_are_close(eight[6:], run(pool, workspace, name, num_ranks, sharding, resume=True))
    assert_every_row_was_trained_twice(workspace, name)


def test_checkpoint_of_one_rank_is_resumed_on_eight(
    pool: RankPool, workspace: Workspace, one: list[dict[str, float]]
) -> None:
    name = keep_until_step(workspace, "one", "one to 8", 5)
    assert_losses_are_close(one[6:], run(pool, workspace, name, 8, resume=True))
    assert_every_row_was_trained_twice(workspace, name)


def keep_until_step(workspace: Workspace, source: str, name: str, step: int) -> str:
    """Copy a model directory without the checkpoints after a step."""
    shutil.copytree(workspace.directory / source, workspace.directory / name)
    for path in checkpoints(workspace.directory / name):
        if int(path.name.removeprefix("model.ckpt-")) > step:
            shutil.rmtree(path)
    assert checkpoints(workspace.directory / name)[-1].name == f"model.ckpt-{step}"
    return name


@pytest.mark.parametrize("num_ranks", [4, 8])
def test_evaluation_on_many_ranks_is_that_of_one(
    pool: RankPool, workspace: Workspace, eight: list[dict[str, float]], num_ranks: int
) -> None:
    """241 rows in batches of 8: the ranks have different numbers of them."""
    config, edits = config_of(workspace, "eight"), {"data_config.eval_batch_size": 8}
    (expected,) = pool.run(1, evaluate_job, config, edits)
    for values in pool.run(num_ranks, evaluate_job, config, edits):
        assert values == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("report_rows", "num_analyzed"), [(87, 87), (86, 56)])
def test_report_of_four_ranks_analyzes_the_held_out_rows_that_fit(
    pool: RankPool, workspace: Workspace, report_rows: int, num_analyzed: int
) -> None:
    """The last 87 rows are held out: most batches have none of them; of those that have some, every other one stays."""
    name = f"held out {report_rows}"
    split = {"data_config__eval_split__column": "row_id", "data_config__eval_split__from": "510"}
    edits: dict[str, Any] = {"eval_input_path": "", "train_config__num_epochs": 1, **split}
    run(pool, workspace, name, 4, train_config__report_rows=report_rows, **edits)
    analysis = json.loads((workspace.directory / name / ANALYSIS).read_text())
    assert analysis["num_rows"] == num_analyzed


@pytest.mark.parametrize("num_ranks", [4, 8])
def test_prediction_on_many_ranks_has_every_row_once(
    pool: RankPool, workspace: Workspace, eight: list[dict[str, float]], num_ranks: int
) -> None:
    config, edits = config_of(workspace, "eight"), {"data_config.eval_batch_size": 8}
    outputs = [workspace.directory / f"scores {number} of {num_ranks}" for number in (1, num_ranks)]
    assert pool.run(1, predict_job, config, edits, outputs[0]) == [241]
    assert pool.run(num_ranks, predict_job, config, edits, outputs[1]) == [241] * num_ranks
    expected, scored = (pa.concat_tables(map(pq.read_table, sorted(path.glob("*.parquet")))) for path in outputs)
    scored = scored.sort_by("row_id")
    assert scored["row_id"].to_pylist() == list(range(100, 341))
    expected = expected.sort_by("row_id")
    for name in set(expected.column_names) - {"row_id"}:
        np.testing.assert_allclose(scored[name].to_numpy(), expected[name].to_numpy(), atol=1e-6)


@pytest.mark.parametrize("victim", [0, 2])
def test_ranks_name_the_one_that_died(workspace: Workspace, victim: int) -> None:
    """Killed in its third step, without an agent that would end the others."""
    config = config_of(workspace, f"dying {victim}")
    edits = {"data_config.batch_size": 16, "train_config.rank_timeout_s": 10}
    with RankPool(4) as processes:
        pids, begin = processes.pids, time.monotonic()
        messages = processes.run(4, dying_job, config, edits, victim, 3, limit_s=25)
        assert time.monotonic() - begin < 20
    assert messages.pop(victim) is None
    for message in messages:
        assert f"rank {victim} (host " in message
        assert f"process {pids[victim]}) is gone: it was killed, or it crashed" in message
        assert "--continue_train" in message
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)
