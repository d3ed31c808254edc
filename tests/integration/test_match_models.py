"""Match models on one rank and on two: training with sampled negatives, corrections, resuming, and refused commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.chaos.workspace import checkpoints, read_tensors
from tests.fixtures.rank_jobs import evaluate_job, train_job
from tests.fixtures.rank_pool import RankPool
from tzrec.config.check import load_checked
from tzrec.config.load import load_config
from tzrec.data.synthetic import make_data, make_tables
from tzrec.errors import PackageError, UsageError
from tzrec.run.predict import predict
from tzrec.run.train import train
from tzrec.serving.predictor import load

EXAMPLES = Path(__file__).parents[2] / "examples" / "configs"
SMALL = {
    "train_config.num_epochs": 0,
    "train_config.num_steps": 6,
    "train_config.log_step_count_steps": 1,
    "train_config.use_tensorboard": False,
    "train_config.num_threads": 1,
    "train_config.cpu_matmul": "MATMUL_DEFAULT",
    "data_config.num_workers": 1,
    "data_config.shuffle": False,
    "data_config.negative_sampler.num_sample": 20,
}


@pytest.fixture(scope="module")
def pool() -> Iterator[RankPool]:
    with RankPool(2) as processes:
        yield processes


def prepare(name: str, directory: Path) -> tuple[Path, dict[str, Any]]:
    """Write data and tables of an example; returns its config and the edits for a small run."""
    path = EXAMPLES / f"{name}_taobao.config"
    config = load_config(str(path))
    make_data(config, str(directory / "data"), rows=300, seed=3)
    glob = f"{directory}/data/*.parquet"
    edits = {"train_input_path": glob, "eval_input_path": glob, "model_dir": str(directory / "model")}
    return path, {**SMALL, **make_tables(config, directory), **edits}


def state(directory: Path) -> dict[str, torch.Tensor]:
    """State of the model in the newest checkpoint."""
    tensors = read_tensors(checkpoints(directory / "model")[-1])
    return {key.removeprefix("model/"): x for key, x in tensors.items() if key.startswith("model/")}


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("dssm_v2", "dat")]


@pytest.mark.parametrize("name", ["dssm_in_batch", "mind", *SLOW])
def test_two_ranks_train_evaluate_and_resume(name: str, pool: RankPool, tmp_path: Path) -> None:
    """Both ranks report the metrics of all rows; a resumed run has the losses of an uninterrupted one."""
    path, edits = prepare(name, tmp_path)
    edits["data_config.batch_size"] = 16
    losses = pool.run(2, train_job, path, edits)[0]
    assert len(losses) == 6, losses
    first, second = pool.run(2, evaluate_job, path, edits)
    assert first == second
    assert 0 < first["recall@10"] <= 1
    other = {**edits, "model_dir": str(tmp_path / "other")}
    assert pool.run(2, train_job, path, {**other, "train_config.num_steps": 3})[0] == losses[:3]
    assert pool.run(2, train_job, path, other, True)[0] == losses[3:]


def test_frequencies_of_two_ranks_are_those_of_one(pool: RankPool, tmp_path: Path) -> None:
    """The estimate in the checkpoint counts the items of all ranks, in equal global batches."""
    path, edits = prepare("dssm_in_batch", tmp_path)
    estimates = []
    for num_ranks in (1, 2):
        model_dir = {"model_dir": str(tmp_path / f"{num_ranks}" / "model"), "data_config.batch_size": 32 // num_ranks}
        pool.run(num_ranks, train_job, path, {**edits, **model_dir})
        tensors = state(tmp_path / f"{num_ranks}")
        estimates.append({key: x for key, x in tensors.items() if "frequency" in key})
    one, two = estimates
    assert sorted(one) == ["model.frequency.gaps", "model.frequency.last_steps", "model.frequency.step"]
    assert one["model.frequency.step"] == 6
    assert (one["model.frequency.last_steps"] > 0).sum() > 20
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_tables_of_towers_have_names_of_their_own(tmp_path: Path) -> None:
    """DSSM has a table in each tower, DSSM_V2 one that both share."""
    path, edits = prepare("dssm", tmp_path)
    train(load_checked(str(path), {**edits, "train_config.num_steps": 1, "data_config.batch_size": 16}))
    names = {name for name in state(tmp_path) if "embedding_bags" in name}
    tables = {"user_tower.emb_impls.__BASE__": ["user_id", "age_level"],
              "item_tower.emb_impls.__NEG__": ["adgroup_id", "cate_id"]}  # fmt: skip
    assert names == {
        f"embedding_group.{prefix}.ebc.embedding_bags.{table}_emb.weight"
        for prefix, row in tables.items()
        for table in row
    }
    assert "model.user_tower.output.weight" in state(tmp_path)


def test_prediction_from_a_checkpoint_names_the_packages(tmp_path: Path) -> None:
    path, edits = prepare("dssm", tmp_path)
    with pytest.raises(UsageError, match=r"the user and the item part of dssm are scored separately.*--model_path"):
        predict(load_checked(str(path), edits), "x.parquet", str(tmp_path / "out"))


def test_directory_of_packages_names_them(tmp_path: Path) -> None:
    for name in ("user", "item"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text("{}")
    with pytest.raises(PackageError, match=rf"holds the packages {tmp_path}/item, {tmp_path}/user$"):
        load(tmp_path)
