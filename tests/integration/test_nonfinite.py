"""Values that are not finite, or absurd: what is applied, saved and counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tests.fixtures.small_run import Job, assert_equal, results, tensors
from tzrec.checkpoint import store
from tzrec.errors import DataError, TrainingError

LEAKY = "hidden_units: [16, 8] activation: 'nn.LeakyReLU'"
"""With ReLU a row with a large input may have no gradient at all; nor has one that is predicted well."""
STEPS: dict[str, Any] = {"data_config__shuffle": "false", "model_config__mmoe__expert_mlp": LEAKY}
SKIP = {**STEPS, "train_config__nonfinite_loss": "SKIP_STEP"}
BATCH_NORM = {"model_config__mmoe__expert_mlp": f"{LEAKY} use_bn: true"}


def set_price(folder: Path, file: int, rows: Any, value: float) -> None:
    """Set the price of rows of a file; each has 200 rows."""
    table = pq.read_table(folder / f"{file}.parquet")
    price = table["price"].to_numpy().copy()
    price[rows] = value
    at = table.schema.get_field_index("price")
    pq.write_table(table.set_column(at, "price", pa.array(price)), folder / f"{file}.parquet")


def assert_finite(model_dir: Path, step: int) -> None:
    bad = [name for name, value in tensors(model_dir, step).items() if not torch.isfinite(value).all()]
    assert bad == []


@pytest.mark.parametrize("value", [1e38, -1e25])
def test_absurd_finite_input_stops_before_any_update(job: Job, tmp_path: Path, value: float) -> None:
    set_price(tmp_path / "data", 2, slice(49, 60), value)
    with pytest.raises(TrainingError, match=r"^step 7: gradients are not finite, or too large .* 448 to 512") as error:
        job("model", train_config__num_steps=8, train_config__save_checkpoints_steps=6, **STEPS)
    assert f"largest input price {abs(value):.3g};" in str(error.value)
    latest = store.latest(tmp_path / "model")
    assert latest and latest.step == 6
    assert_finite(tmp_path / "model", 6)


@pytest.mark.parametrize("model", [{}, BATCH_NORM], ids=["plain", "batch_norm"])
@pytest.mark.parametrize("optimizer", ["adagrad_optimizer", "rowwise_adagrad_optimizer", "adam_optimizer"])
def test_skipped_step_changes_nothing(job: Job, tmp_path: Path, optimizer: str, model: dict[str, Any]) -> None:
    """The state after the skipped step 7 is that after step 6, batch norm included."""
    set_price(tmp_path / "data", 2, slice(49, 60), 1e38)
    edits = {**SKIP, **model, "train_config__num_steps": 8, "train_config__save_checkpoints_steps": 6}
    edits["train_config__sparse_optimizer"] = f"{optimizer} {{ lr: 0.05 }} constant_learning_rate {{}}"
    model_dir, _ = job("model", **edits)
    assert_equal(tensors(model_dir, 6), tensors(model_dir, 7))
    manifest = store.find(model_dir).manifest
    assert manifest
    assert {name: value for name, value in manifest.numbers.items() if "skip" in name} == {
        "skipped_steps": 1,
        "skipped_rows": 64,
        "first_skipped_step": 7,
    }


def test_skipped_steps_are_counted_in_log_results_and_report(
    job: Job, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two epochs, each with one such step; the second is trained by a run that continues the first."""
    caplog.set_level("INFO")
    set_price(tmp_path / "data", 2, slice(49, 60), 1e38)
    job("model", train_config__num_steps=10, **SKIP)
    model_dir, _ = job("model", resume=True, **SKIP)
    assert_finite(model_dir, 19)
    assert "skip   skipped 2 steps, 128 rows, first at step 7" in caplog.messages
    assert [line.get("skipped_steps") for line in results(model_dir)] == [1, 2]
    assert "skipped 2 steps, 128 rows, first at step 7" in (model_dir / "report.html").read_text()


@pytest.mark.parametrize("policy", ["SKIP_STEP", "STOP_TRAINING"])
@pytest.mark.parametrize(
    "edits",
    [
        {"train_config__dense_optimizer": "adam_optimizer { lr: 1e38 } constant_learning_rate {}"},
        {"train_config__dense_optimizer": "sgd_optimizer { lr: 1e38 } constant_learning_rate {}"},
        {"train_config__sparse_optimizer": "sgd_optimizer { lr: 1e38 } constant_learning_rate {}"},
        {"train_config__sparse_optimizer": "adagrad_optimizer { lr: 1e38 } constant_learning_rate {}"},
    ],
    ids=["dense_adam", "dense_sgd", "sparse_sgd", "sparse_adagrad"],
)
def test_broken_parameters_stop_run_without_checkpoint(
    job: Job, tmp_path: Path, edits: dict[str, Any], policy: str
) -> None:
    with pytest.raises(TrainingError, match=r"[lL]ower the learning rates"):
        job("model", train_config__nonfinite_loss=policy, train_config__save_checkpoints_steps=1, **edits)
    for path in store.list_checkpoints(tmp_path / "model"):
        assert_finite(tmp_path / "model", int(path.name.split("-")[-1]))


def test_consecutive_skipped_steps_stop_run_at_bound(job: Job, tmp_path: Path) -> None:
    set_price(tmp_path / "data", 1, slice(0, 200), 1e38)  # steps 3 to 6 of 64 rows
    with pytest.raises(TrainingError, match=r"^step 5: .* 3 steps in a row were skipped.*max_skipped_steps"):
        job("model", train_config__max_skipped_steps=3, **SKIP)
    model_dir, _ = job("other", train_config__max_skipped_steps=5, **SKIP)
    assert results(model_dir)[-1]["skipped_steps"] == 8, "steps 3 to 6 of two epochs"


def test_run_that_skips_most_steps_ends_with_error(job: Job, tmp_path: Path) -> None:
    for file in range(3):
        set_price(tmp_path / "data", file, slice(0 if file else 64, 200), 1e38)
    with pytest.raises(TrainingError, match="of 10 steps 9 were skipped"):
        job("model", train_config__num_steps=10, **SKIP)
    assert store.list_checkpoints(tmp_path / "model") == []


def test_large_gradients_are_applied_where_they_are_clipped(job: Job, tmp_path: Path) -> None:
    set_price(tmp_path / "data", 2, slice(49, 60), 1e25)
    edits = {**STEPS, "train_config__grad_clipping": "clipping_type: 'value' max_gradient: 1"}
    edits["train_config__save_checkpoints_steps"] = 6
    adagrad = "adagrad_optimizer { lr: 0.05 gradient_clipping: true max_gradient: 1 } constant_learning_rate {}"
    model_dir, log = job("model", train_config__num_steps=8, train_config__sparse_optimizer=adagrad, **edits)
    assert_finite(model_dir, 7)
    assert not torch.equal(*(next(iter(tensors(model_dir, step).values())) for step in (6, 7)))
    assert len(log.losses) == 8


def test_accumulated_gradients_with_a_poisoned_batch_are_dropped(job: Job, tmp_path: Path) -> None:
    set_price(tmp_path / "data", 2, slice(49, 60), 1e38)
    edits = {**SKIP, "train_config__gradient_accumulation_steps": 3, "train_config__save_checkpoints_steps": 1}
    model_dir, _ = job("model", train_config__num_steps=9, **edits)
    manifest = store.find(model_dir).manifest
    assert manifest and manifest.numbers["batches_gathered"] == 1, "step 8 starts to gather anew"
    assert_finite(model_dir, 8)


def test_poisoned_batch_with_pareto_weights_is_skipped(job: Job, tmp_path: Path) -> None:
    set_price(tmp_path / "data", 2, slice(49, 60), 1e38)
    model_dir, _ = job("model", model_config__use_pareto_loss_weight=True, train_config__num_steps=10, **SKIP)
    assert results(model_dir)[-1]["skipped_steps"] == 1
    assert_finite(model_dir, 9)


def test_results_of_healthy_run_do_not_mention_skipped_steps(job: Job) -> None:
    model_dir, _ = job("model", train_config__num_steps=3)
    assert "skipped" not in json.dumps(results(model_dir))
    assert np.isfinite(results(model_dir)[-1]["auc_ctr"])


@pytest.mark.parametrize("mlp", ["use_bn: true", "activation: 'Dice'"], ids=["batch_norm", "dice"])
def test_last_batch_of_one_row_under_batch_norm_is_trained(job: Job, mlp: str) -> None:
    """Of 600 rows 599 are the first batch of an epoch."""
    edits: dict[str, Any] = {"data_config__batch_size": 599, "train_config__num_steps": 4}
    model_dir, log = job("model", model_config__mmoe__expert_mlp=f"hidden_units: [16] {mlp}", **edits)
    assert len(log.losses) == 4
    assert_finite(model_dir, 3)


def test_run_without_a_valid_row_is_an_error(job: Job, tmp_path: Path) -> None:
    for file in range(3):
        path = tmp_path / "data" / f"{file}.parquet"
        table = pq.read_table(path)
        at = table.schema.get_field_index("clk")
        pq.write_table(table.set_column(at, "clk", pa.array(np.full(200, -1))), path)
    with pytest.raises(DataError, match=r"no row was trained: all rows .*bad_rows\.jsonl"):
        job("model", train_config__num_steps=3, data_config__bad_row_policy="DEFAULT")


def test_resumed_run_may_skip_the_only_step_that_is_left(job: Job, tmp_path: Path) -> None:
    set_price(tmp_path / "data", 2, slice(49, 60), 1e38)
    job("model", train_config__num_steps=7, **SKIP)
    model_dir, _ = job("model", resume=True, train_config__num_steps=8, **SKIP)
    assert results(model_dir)[-1]["skipped_steps"] == 1
