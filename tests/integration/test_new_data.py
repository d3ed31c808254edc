"""Changed data, optimizers and tables before --continue_train, and new files every night."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from tests.fixtures.small_run import CONFIG, Job, assert_equal, results, tensors, write_data
from tzrec.checkpoint import store
from tzrec.config.check import load_checked
from tzrec.errors import CheckpointError
from tzrec.eval import main as eval_main
from tzrec.run.train import train

ONE_EPOCH = {"train_config__num_steps": 0, "train_config__num_epochs": 1}
FIVE = {"train_config__num_steps": 5}
"""Five of the ten steps of the first epoch: 320 of 600 rows."""


def halted(job: Job) -> Path:
    """Train the first five steps of an epoch, as a run that a time limit ended: it is not complete."""
    return job("model", **ONE_EPOCH, train_config__max_minutes=1e-9)[0]


def continued(job: Job, **edits: Any) -> Path:
    return job("model", resume=True, **ONE_EPOCH, **edits)[0]


def file_names(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file() and path.name != ".lock"}


def refused(job: Job, **edits: Any) -> str:
    """Continue with a change; return the error, after which nothing in the model directory has changed."""
    model_dir = halted(job)
    before = file_names(model_dir)
    with pytest.raises(CheckpointError) as error:
        continued(job, **edits)
    assert file_names(model_dir) == before, "a refused start writes nothing"
    assert eval_main(["--pipeline_config", str(model_dir / "pipeline.config")]) == 0
    return str(error.value)


def test_seed_changed_inside_epoch_raises(job: Job) -> None:
    text = refused(job, train_config__seed=77)
    assert "model.ckpt-0 is inside of epoch 1, after row 64 of 600" in text
    assert "train_config.seed: 1 -> 77" in text
    assert "--accept_new_data to start an epoch over the present files; 536 of 600 rows of the old ones" in text


def test_files_changed_inside_epoch_raises_with_names(job: Job, tmp_path: Path) -> None:
    data = tmp_path / "data"

    model_dir = halted(job)
    table = pq.read_table(data / "1.parquet")
    pq.write_table(table.slice(0, 150), data / "1.parquet")
    pq.write_table(table.slice(50), data / "4.parquet")
    (data / "0.parquet").unlink()
    config = (model_dir / "pipeline.config").read_bytes()
    with pytest.raises(CheckpointError) as error:
        continued(job, eval_input_path="")
    text = str(error.value)
    assert f"missing: {data}/0.parquet (200 rows, " in text
    assert f"changed: {data}/1.parquet: 200 rows, " in text
    assert "-> 150 rows, " in text
    assert f"added: {data}/4.parquet (150 rows" in text
    assert "2.parquet" not in text
    assert (model_dir / "pipeline.config").read_bytes() == config


def test_files_swapped_inside_epoch_raises(job: Job, tmp_path: Path) -> None:
    """Two files of equal size exchange their names."""
    halted(job)
    data = tmp_path / "data"
    for source, target in (("0", "x"), ("1", "0"), ("x", "1")):
        (data / f"{source}.parquet").rename(data / f"{target}.parquet")
    with pytest.raises(CheckpointError, match="the files are read in another order"):
        continued(job)


def test_data_moved_inside_epoch_resumes_exactly(job: Job, tmp_path: Path) -> None:
    whole, _ = job("whole", **ONE_EPOCH)
    halted(job)
    shutil.copytree(tmp_path / "data", tmp_path / "elsewhere")
    moved = continued(job, train_input_path=f"{tmp_path}/elsewhere/*.parquet", data_config__num_workers=2)
    assert_equal(tensors(whole, 9), tensors(moved, 9))


def test_shuffle_changed_inside_epoch_takes_effect_later(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    whole, _ = job("whole", **ONE_EPOCH)
    halted(job)
    model_dir = continued(job, data_config__shuffle="false", data_config__shuffle_buffer_size=5)
    assert_equal(tensors(whole, 9), tensors(model_dir, 9))
    assert "; data_config.shuffle: True -> False; data_config.shuffle_buffer_size: 2 -> 5" in caplog.text


def test_accept_new_data_inside_epoch_starts_epoch(job: Job, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    model_dir = halted(job)
    (tmp_path / "data" / "0.parquet").unlink()
    config = load_checked(str(tmp_path / "job.config"), {"train_config.num_epochs": 1, "eval_input_path": ""})
    train(config, continue_train=True, accept_new_data=True)
    assert ": a new epoch and 2 known files; 536 of 600 rows of the epoch before were not trained" in caplog.text
    position = store.find(model_dir).position
    assert (position.step, position.cursor.epoch, position.cursor.row) == (7, 2, 0), "7 batches of 400 rows"


@pytest.mark.parametrize(
    ("edits", "names"),
    [
        (
            {"train_config__sparse_optimizer": "sgd_optimizer { lr: 0.05 } constant_learning_rate {}"},
            [
                "train_config.sparse_optimizer.adagrad_optimizer: set -> not set",
                "train_config.sparse_optimizer.sgd_optimizer: not set -> set",
            ],
        ),
        (
            {"train_config__dense_optimizer__cosine_annealing_learning_rate__T_max": 31},
            ["train_config.dense_optimizer.cosine_annealing_learning_rate.T_max: 30 -> 31"],
        ),
        (
            {"feature_configs[1].id_feature.hash_bucket_size": 60},
            ["feature_configs[item].hash_bucket_size: 50 -> 60", "item_emb.weight: [50, 8] in the checkpoint, [60, 8]"],
        ),
        (
            {"model_config__feature_groups[0]__feature_names": ["item", "user", "tags", "price"]},
            ["feature_groups[all].feature_names: user, item, tags, price -> item, user, tags, price"],
        ),
    ],
    ids=["optimizer", "schedule", "table", "order"],
)
def test_setting_changed_raises_with_field(job: Job, edits: dict[str, Any], names: list[str]) -> None:
    text = refused(job, **edits)
    assert [name for name in names if name not in text] == []


def test_new_optimizer_continue_keeps_state(job: Job) -> None:
    halted(job)
    edits = {"train_config__dense_optimizer__adam_optimizer__lr": 0.0, "train_config__new_optimizer": "CONTINUE"}
    before = tensors(continued(job, train_config__max_minutes=1e-9), 1)
    after = tensors(continued(job, **edits), 9)
    dense = [name for name in before if name.startswith("model/model.")]
    assert dense and all(torch.equal(before[name], after[name]) for name in dense), "a rate of 0 changes no weight"
    step = next(name for name in after if name.endswith(".step"))
    assert after[step] == 10, "Adam's step count goes on"


def night(job: Job, tmp_path: Path, number: int, **edits: Any) -> Path:
    path = {"train_input_path": f"{tmp_path}/data/{number}.parquet"}
    return job("model", resume=True, **ONE_EPOCH, **path, **edits)[0]


def test_nights_train_every_file_once(job: Job, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Three nights of 200 rows are the steps, schedules and rows of one run over the three files, unshuffled."""
    caplog.set_level("INFO")
    edits = {"data_config__shuffle": "false", "data_config__batch_size": 40}
    whole, _ = job("whole", **ONE_EPOCH, **edits)
    for number in range(3):
        model_dir = night(job, tmp_path, number, **edits)
    assert_equal(tensors(whole, 14), tensors(model_dir, 14))
    assert [line["global_step"] for line in results(model_dir)] == [4, 9, 14]
    note = (
        f"start  resuming from {model_dir}/model.ckpt-9: 1 new file after the epoch that ended there; schedules go on"
    )
    assert note in caplog.messages
    assert night(job, tmp_path, 2, **edits) == model_dir
    assert "train  already complete: step 14 of 14; for new data see docs/incremental.md" in caplog.messages
    assert len(results(model_dir)) == 3


def test_night_after_num_steps_counts_steps_from_new_files(job: Job, tmp_path: Path) -> None:
    job("model", **FIVE)
    (tmp_path / "data" / "0.parquet").unlink()
    shutil.copy(tmp_path / "data" / "1.parquet", tmp_path / "data" / "3.parquet")
    model_dir, log = job("model", resume=True, **FIVE, eval_input_path="")
    assert len(log.losses) == 5
    position = store.find(model_dir).position
    assert (position.step, position.data_step, position.cursor.row) == (9, 5, 320)
    assert len(job("model", resume=True, **FIVE, eval_input_path="")[1].losses) == 0


def test_new_data_error_raises_before_training(job: Job, tmp_path: Path) -> None:
    model_dir = night(job, tmp_path, 0)
    with pytest.raises(CheckpointError, match=r"1 file on which .*new_data is ERROR:\n  missing:.*\n  added:"):
        night(job, tmp_path, 1, train_config__new_data="ERROR")
    assert [path.name for path in store.list_checkpoints(model_dir)] == ["model.ckpt-3"]


def test_night_resets_early_stopping(job: Job, tmp_path: Path) -> None:
    early = "metric: 'binary_cross_entropy_ctr' larger_is_better: false patience: 1 min_delta: 9"
    edits = {"train_config__early_stopping": early, "train_config__save_checkpoints_steps": 1}
    model_dir = night(job, tmp_path, 0, **edits)
    assert store.find(model_dir).step == 2, "two evaluations, the second one stops the run"
    night(job, tmp_path, 0, **edits)
    assert store.find(model_dir).step == 2
    night(job, tmp_path, 1, **edits)
    assert store.find(model_dir).step == 4


def test_first_epoch_of_csv_data_changed_raises(tmp_path: Path) -> None:
    from pyarrow import csv

    write_data(tmp_path / "data")
    for path in (tmp_path / "data").glob("*.parquet"):
        csv.write_csv(pq.read_table(path), path.with_suffix(".csv"))
    text = CONFIG.format(data=tmp_path / "data", model=tmp_path / "model", dropout=0).replace(".parquet", ".csv")
    (tmp_path / "job.config").write_text(text.replace("ParquetDataset", "CsvDataset with_header: true"))
    edits = {"train_config.num_epochs": 1, "eval_input_path": ""}
    train(load_checked(str(tmp_path / "job.config"), {**edits, "train_config.max_minutes": 1e-9}))
    first = tmp_path / "data" / "0.csv"
    first.write_text(first.read_text().replace("i1", "i2"))
    with pytest.raises(CheckpointError, match=r"changed: .*0.csv: other content, 200 rows(.*\n)*.*536 of 600 rows"):
        train(load_checked(str(tmp_path / "job.config"), edits), continue_train=True)


def test_checkpoint_without_data_identity_resumes_with_warning(
    job: Job, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tzrec.data.loader import DataLoader

    identity = DataLoader.identity
    with monkeypatch.context() as patch:
        patch.setattr(DataLoader, "identity", lambda loader: None if loader._mode == "train" else identity(loader))
        halted(job)
    model_dir = continued(job)
    assert "has no description of its training data" in caplog.text
    assert store.find(model_dir).step == 9
