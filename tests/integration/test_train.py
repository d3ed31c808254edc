"""Training runs on small synthetic data: exact resume, one rank against two, interrupted runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tests.fixtures.small_run import CONFIG, Job, assert_close, assert_equal, losses_on, results, tensors, write_data
from tzrec import train_eval
from tzrec.checkpoint import store
from tzrec.config.check import load_checked
from tzrec.errors import CheckpointError, TrainingError
from tzrec.eval import main as eval_main
from tzrec.profile.training_profile import TrainingProfile
from tzrec.report.record import RunRecord
from tzrec.run.stage_timer import STAGES
from tzrec.run.train import train


def test_train_reduces_loss_and_writes_files(job: Job) -> None:
    model_dir, log = job("model", train_config__save_checkpoints_steps=10)
    assert [path.name for path in store.list_checkpoints(model_dir)] == ["model.ckpt-10", "model.ckpt-19"]
    losses = [sum(log.losses[at].values()) for at in range(20)]
    assert sum(losses[15:]) / 5 < sum(losses[:5]) / 5 - 0.05
    written = results(model_dir)
    assert [line["global_step"] for line in written] == [10, 19]
    names = ["auc_ctr", "auc_cvr", "binary_cross_entropy_ctr", "binary_cross_entropy_cvr"]
    assert list(written[1]) == ["global_step", *names]
    assert written[1]["auc_ctr"] > 0.6
    assert load_checked(str(model_dir / "pipeline.config")).model_dir == str(model_dir)
    assert (model_dir / "version").exists()
    profile = TrainingProfile.read(model_dir / store.PROFILE)
    assert profile.num_rows == sum(min(rows, 256) for rows in [64] * 9 + [24] + [64] * 9 + [24])
    assert list(profile.features) == ["price", "user", "item", "tags"]
    validate_record(RunRecord.read(model_dir), written)
    assert profile.features["tags"].counts[-1] > 0  # rows without tags


def validate_record(record: RunRecord, evaluations: list[dict[str, float]]) -> None:
    """Compare the record of the run of 20 steps over 600 rows with its files."""
    facts, (end,) = record.facts, record.ends
    assert (facts["step"], facts["seed"], facts["num_train_rows"], facts["num_steps"]) == (-1, 1, 600, 20)
    assert {table["table"]: (table["rows"], table["dim"]) for table in facts["tables"]}["user_emb"] == (100, 8)
    assert facts["metrics"]["auc_ctr"] == {"kind": "auc", "task": "ctr", "larger_is_better": True, "is_loss": False}
    assert facts["metrics"]["binary_cross_entropy_cvr"]["larger_is_better"] is False
    assert [log["step"] for log in record.logs] == list(range(20))
    assert [(save["step"], save["path"]) for save in record.saves] == [(10, "model.ckpt-10"), (19, "model.ckpt-19")]
    assert [{"global_step": event["step"], **event["metrics"]} for event in record.evaluations] == evaluations
    assert (end["step"], end["signal"], end["bad_rows"]) == (19, 0, {})
    seconds = end["stage_seconds"]
    assert set(seconds) == {*STAGES, "read", "encode"}  # the last two in threads of their own
    assert 0.9 * end["seconds"] < sum(seconds[stage] for stage in STAGES) < end["seconds"] + 0.001


@pytest.mark.parametrize("optimizer", ["adagrad_optimizer", "rowwise_adagrad_optimizer", "adam_optimizer"])
def test_resumed_run_equals_uninterrupted_run(job: Job, optimizer: str) -> None:
    edits = {"train_config__sparse_optimizer": f"{optimizer} {{ lr: 0.05 }} constant_learning_rate {{}}"}
    whole, whole_log = job("whole", **edits)
    job("parts", train_config__num_steps=10, **edits)
    parts, parts_log = job("parts", resume=True, **edits)
    assert_equal(tensors(whole, 19), tensors(parts, 19))
    assert parts_log.losses == whole_log.losses[10:]
    assert results(parts)[-1] == results(whole)[-1]


def test_runs_are_equal_only_with_equal_seed(job: Job) -> None:
    one, two = job("one", train_config__num_steps=4)[0], job("two", train_config__num_steps=4)[0]
    assert_equal(tensors(one, 3), tensors(two, 3))
    other = job("other", train_config__num_steps=4, train_config__seed=2)[0]
    assert not torch.equal(*(next(iter(tensors(each, 3).values())) for each in (one, other)))


def test_epochs_with_checkpoint_each_and_resume(job: Job) -> None:
    """600 rows are 9 full batches of 64 and one of 24: two epochs are 20 steps, the first ends with step 9."""
    edits = {"train_config__num_steps": 0, "train_config__save_checkpoints_epochs": 1}
    model_dir, log = job("model", train_config__num_epochs=2, **edits)
    assert [path.name for path in store.list_checkpoints(model_dir)] == ["model.ckpt-9", "model.ckpt-19"]
    assert len(log.losses) == 20
    position = store.find(model_dir / "model.ckpt-9").position
    assert (position.cursor.epoch, position.cursor.row, position.epochs) == (1, 0, 1)
    job("parts", train_config__num_epochs=1, **edits)
    parts = job("parts", resume=True, train_config__num_epochs=2, **edits)[0]
    assert_equal(tensors(model_dir, 19), tensors(parts, 19))


def test_complete_run_is_not_trained_further(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    model_dir, _ = job("model", train_config__num_steps=3)
    _, log = job("model", resume=True, train_config__num_steps=3)
    assert f"start  resuming from {model_dir}/model.ckpt-2" in caplog.messages
    assert "train  already complete: step 2 of 2; for new data see docs/incremental.md" in caplog.messages
    assert log.losses == []
    assert len(results(model_dir)) == 1


def test_train_into_used_model_dir_raises(job: Job) -> None:
    job("model", train_config__num_steps=2)
    with pytest.raises(CheckpointError, match="already holds checkpoints; --continue_train resumes"):
        job("model", train_config__num_steps=2)


def test_resume_with_other_model_raises_with_names(job: Job) -> None:
    job("model", train_config__num_steps=2)
    other = {"feature_configs[0].id_feature.num_buckets": 200}
    with pytest.raises(
        CheckpointError, match=r"user_emb.weight: \[100, 8\] in the checkpoint, \[200, 8\] in the model"
    ):
        job("model", resume=True, train_config__num_steps=4, **other)


def test_fine_tuning_restores_matching_tensors(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    old, _ = job("old", train_config__num_steps=5)
    edits = {
        "train_config__fine_tune_checkpoint": str(old),
        "train_config__num_steps": 1,
        "feature_configs[0].id_feature.num_buckets": 200,
        "train_config__sparse_optimizer": "adagrad_optimizer { lr: 0 } constant_learning_rate {}",
        "train_config__dense_optimizer": "sgd_optimizer { lr: 0 momentum: 0 } constant_learning_rate {}",
    }
    new, _ = job("new", ignore_optimizer=True, **edits)
    before, after = tensors(old, 4), tensors(new, 0)
    resized = "model/embedding_group.emb_impls.__BASE__.ebc.embedding_bags.user_emb.weight"
    kept = [name for name in before if name.startswith("model/") and name != resized]
    assert_equal({name: before[name] for name in kept}, {name: after[name] for name in kept})
    assert after[resized].shape == (200, 8)
    assert "user_emb.weight: [100, 8] in the checkpoint, [200, 8] in the model" in caplog.text


def test_fine_tuning_restores_renamed_parameters(job: Job, tmp_path: Path) -> None:
    old, _ = job("old", train_config__num_steps=5)
    tables = "embedding_group.emb_impls.__BASE__.ebc.embedding_bags"
    (tmp_path / "names").write_text(f"{tables}.person.weight {tables}.user_emb.weight\n")
    edits = {
        "train_config__fine_tune_checkpoint": str(old / "model.ckpt-4"),
        "train_config__fine_tune_ckpt_param_map": str(tmp_path / "names"),
        "train_config__num_steps": 1,
        "train_config__sparse_optimizer": "adagrad_optimizer { lr: 0 } constant_learning_rate {}",
        "feature_configs[0].id_feature.embedding_name": "person",
    }
    new, _ = job("new", **edits)
    before, after = tensors(old, 4), tensors(new, 0)
    assert torch.equal(after[f"model/{tables}.person.weight"], before[f"model/{tables}.user_emb.weight"])
    state, touched = f"optimizer/{tables}.%s.weight.momentum1", before["model/" + f"{tables}.user_emb.weight"]
    grown = after[state % "person"] - before[state % "user_emb"]
    assert touched.shape == grown.shape
    assert grown.min() >= 0, "Adagrad's sums go on from those of the old name"
    assert (before[state % "user_emb"] > 0).any()


def test_fine_tuning_with_continue_train_restores_cursor(job: Job) -> None:
    old, _ = job("old", train_config__num_steps=5)
    new, _ = job("new", resume=True, train_config__fine_tune_checkpoint=str(old), train_config__num_steps=2)
    position = store.find(new).position
    assert (position.step, position.cursor.row) == (1, 7 * 64)


def add_infinite_loss(folder: Path) -> dict[str, str]:
    """Set the label of row 450 to a number with an infinite square; return edits that make it the label of a task."""
    table = pq.read_table(folder / "2.parquet")
    spent = np.zeros(200, np.float32)
    spent[50] = 3e38
    at = table.schema.get_field_index("spent")
    pq.write_table(table.set_column(at, "spent", pa.array(spent)), folder / "2.parquet")
    tower = 'tower_name: "cvr" label_name: "spent" losses { l2_loss {} }'
    return {"model_config__mmoe__task_towers[1]": tower, "data_config__shuffle": "false"}


def test_nonfinite_loss_raises_before_any_update(job: Job, tmp_path: Path) -> None:
    edits = {**add_infinite_loss(tmp_path / "data"), "train_config__save_checkpoints_steps": 1}
    with pytest.raises(TrainingError) as error:
        job("model", **edits)
    text = str(error.value)
    assert "step 7: the loss is not finite (rank 0: l2_loss_cvr inf)" in text
    assert "rows 448 to 512 of epoch 1" in text
    assert "nonfinite_loss: SKIP_STEP" in text
    latest = store.latest(tmp_path / "model")
    assert latest
    assert latest.step == 6


def test_nonfinite_loss_with_skip_step_is_skipped(job: Job, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    edits = add_infinite_loss(tmp_path / "data")
    model_dir, log = job("model", train_config__nonfinite_loss="SKIP_STEP", **edits)
    assert all(torch.isfinite(value).all() for value in tensors(model_dir, 19).values())
    assert caplog.text.count("the loss is not finite") == 2, "steps 7 and 17: once in each epoch"
    assert len(log.losses) == 20


def start(tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    config = tmp_path / "job.config"
    config.write_text(CONFIG.format(data=tmp_path / "data", model=tmp_path / "model", dropout=0.1))
    command = [sys.executable, "-m", "tzrec.train_eval", "--pipeline_config", str(config), *words]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_saves_checkpoint_and_run_can_be_resumed(tmp_path: Path, number: int, status: int) -> None:
    write_data(tmp_path / "data")
    process = start(tmp_path, "--edit_config_json", '{"train_config.num_steps": 1000000}')
    assert process.stderr
    lines = iter(process.stderr.readline, "")
    assert any(line.startswith("train  5/") for line in lines)
    process.send_signal(number)
    rest = "".join(lines)
    assert process.wait(60) == status
    latest = store.latest(tmp_path / "model")
    assert latest
    assert f"saved at step {latest.step}; resume with the same command and --continue_train" in rest
    job = start(tmp_path, "--continue_train", "--edit_config_json", f'{{"train_config.num_steps": {latest.step + 3}}}')
    assert job.wait(60) == 0


@pytest.mark.slow
def test_killed_run_releases_lock_and_keeps_checkpoint(tmp_path: Path) -> None:
    write_data(tmp_path / "data")
    edits = '{"train_config.num_steps": 1000000, "train_config.save_checkpoints_steps": 3}'
    process = start(tmp_path, "--edit_config_json", edits)
    time.sleep(0.1)
    assert process.stderr
    assert any(line.startswith("eval   step 6") for line in iter(process.stderr.readline, ""))
    second = start(tmp_path, "--continue_train")
    assert second.wait(60) == 1
    assert second.stderr
    assert f"is being written by process {process.pid}" in second.stderr.read()
    process.kill()
    process.wait(60)
    latest = store.latest(tmp_path / "model")
    assert latest
    assert start(tmp_path, "--continue_train", "--edit_config_json", '{"train_config.num_steps": 1}').wait(60) == 0


SHARDINGS = ["table_wise", "row_wise", "column_wise", "data_parallel"]


def on_two(sharding: str) -> dict[str, Any]:
    """Halve the batch per rank, so that two ranks read the rows of one rank in the same shuffle window."""
    constraints = {"train_config__global_embedding_constraints": f'sharding_types: "{sharding}"'}
    return {"data_config__batch_size": 32, **constraints}


@pytest.mark.slow
@pytest.mark.parametrize("sharding", SHARDINGS)
def test_two_ranks_have_losses_of_one(tmp_path: Path, sharding: str) -> None:
    """One rank with batches of 64, two with batches of 32: the same rows in every step, also the last of an epoch."""
    write_data(tmp_path / "data")
    one = losses_on(1, tmp_path, "one")
    two = losses_on(2, tmp_path, "two", **on_two(sharding))
    assert len(one) == 20
    assert_close(one, two)
    assert results(tmp_path / "one")[-1] == pytest.approx(results(tmp_path / "two")[-1], abs=1e-4)


@pytest.mark.slow
def test_two_ranks_with_odd_number_of_rows_have_losses_of_one(tmp_path: Path) -> None:
    """599 rows: in the last step of an epoch one rank has 12 and the other 11."""
    write_data(tmp_path / "data")
    last = tmp_path / "data" / "2.parquet"
    pq.write_table(pq.read_table(last).slice(1), last)
    assert_close(losses_on(1, tmp_path, "one"), losses_on(2, tmp_path, "two", **on_two("row_wise")))


WEIGHED = [
    {"model_config__use_pareto_loss_weight": True, "model_config__mmoe__task_towers[1]__pareto_min_loss_weight": 0.2},
    {"model_config__uncertainty_weighting": True},
    {f"model_config__{name}": 0.01 for name in ("l2_reg_embedding", "l1_reg_embedding", "l2_reg_dnn", "l1_reg_dnn")},
]


@pytest.mark.slow
@pytest.mark.parametrize("edits", WEIGHED, ids=lambda edits: min(edits))
@pytest.mark.parametrize("sharding", ["table_wise", "row_wise"])
def test_two_ranks_with_loss_weights_equal_one(tmp_path: Path, edits: dict[str, Any], sharding: str) -> None:
    write_data(tmp_path / "data")
    one = losses_on(1, tmp_path, "one", **edits)
    two = losses_on(2, tmp_path, "two", **edits, **on_two(sharding))
    assert_close(one, two)
    plain = losses_on(1, tmp_path, "plain")
    assert len(one[0]) > len(plain[0])
    shared = ("binary_cross_entropy_ctr", "binary_cross_entropy_cvr")
    assert any(abs(one[-1][name] - plain[-1][name]) > 1e-4 for name in shared), "the weights changed nothing"


@pytest.mark.slow
def test_resume_on_two_ranks_is_exact_and_on_one_close(tmp_path: Path) -> None:
    write_data(tmp_path / "data")
    two, ten = on_two("row_wise"), {"train_config__num_steps": 10}
    whole = losses_on(2, tmp_path, "whole", **two)
    losses_on(2, tmp_path, "parts", **two, **ten)
    shutil.copytree(tmp_path / "parts", tmp_path / "elsewhere")
    assert losses_on(2, tmp_path, "parts", resume=True, **two) == whole[10:]
    assert_equal(tensors(tmp_path / "parts", 19), tensors(tmp_path / "whole", 19))
    assert_close(losses_on(1, tmp_path, "elsewhere", resume=True), whole[10:])
    table_wise = losses_on(2, tmp_path, "elsewhere", resume=True, train_config__num_steps=22, **on_two("table_wise"))
    assert len(table_wise) == 2


def test_flags_of_train_set_paths_and_fields(tmp_path: Path) -> None:
    write_data(tmp_path / "data")
    config = tmp_path / "job.config"
    config.write_text(CONFIG.format(data="nowhere", model="nowhere", dropout=0))
    words = ["--pipeline_config_path", str(config), "--model_dir", str(tmp_path / "model")]
    words += ["--train_input_path", f"{tmp_path}/data/*.parquet", "--eval_input_path", ""]
    assert train_eval.main([*words, "--edit_config_json", '{"train_config.num_steps": 2}']) == 0
    assert [path.name for path in store.list_checkpoints(tmp_path / "model")] == ["model.ckpt-1"]
    assert not (tmp_path / "model" / store.RESULTS).exists()
    assert train_eval.main(words) == 1, "the model directory has checkpoints"
    assert train_eval.main([*words, "--contineu_train"]) == 2


def test_eval_prints_and_appends_metrics(job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model_dir, _ = job("model", train_config__num_steps=4, train_config__save_checkpoints_steps=2)
    words = ["--pipeline_config", str(model_dir / "pipeline.config")]
    assert eval_main(words) == 0
    line = results(model_dir)[-1]
    assert f"auc_ctr: {line['auc_ctr']:.6f}\n" in capsys.readouterr().out
    named = ["--checkpoint_path", str(model_dir / "model.ckpt-2"), "--eval_result_filename", "named.txt"]
    assert eval_main([*words, *named]) == 0
    assert json.loads((model_dir / "eval_result.txt").read_text()) == line
    written = json.loads((model_dir / "named.txt").read_text())
    assert written == {**results(model_dir)[0], "global_step": None}
    assert eval_main([*words, "--checkpoint_path", str(tmp_path / "nowhere")]) == 1


def test_fine_tuning_with_one_feature_more_keeps_known_columns(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    """The group grows from 21 columns to 22; its new column is the ninth."""
    caplog.set_level("INFO")
    old, _ = job("old", train_config__num_steps=5)
    feature = 'raw_feature { feature_name: "spent" expression: "item:spent" }'
    edits = {
        "train_config__fine_tune_checkpoint": str(old),
        "train_config__num_steps": 1,
        "train_config__sparse_optimizer": "adagrad_optimizer { lr: 0 } constant_learning_rate {}",
        "train_config__dense_optimizer": "adam_optimizer { lr: 0 } constant_learning_rate {}",
        "model_config__feature_groups[0]__feature_names": ["user", "spent", "item", "tags", "price"],
    }
    config = str(old.parent / "grown.config")
    text = (old.parent / "job.config").read_text() + f"\nfeature_configs {{ {feature} }}\n"
    Path(config).write_text(text.replace(f"{old.parent}/old", f"{old.parent}/new"))
    train(load_checked(config, {name.replace("__", "."): value for name, value in edits.items()}))
    before, after = tensors(old, 4), tensors(old.parent / "new", 0)
    name = next(key for key in before if key.startswith("model/") and before[key].shape == (16, 21))
    known = [column for column in range(22) if column != 8]
    assert torch.equal(after[name][:, known], before[name])
    assert after[name][:, 8].abs().min() > 0, "new columns are initialized"
    moment = name.replace("model/", "optimizer/", 1) + ".exp_avg_sq"
    assert torch.allclose(after[moment][:, known], before[moment], rtol=0.1, atol=1e-6)
    same = [key for key in before if key.startswith("model/") and before[key].shape == after[key].shape]
    assert_equal({key: before[key] for key in same}, {key: after[key] for key in same})
    assert f'{name.removeprefix("model/")}: 21 of 22 columns of group "all" restored; new: spent' in caplog.text
