"""Options of the dense optimizer in training runs: resume, evaluation and prediction with the average, two ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from tests.fixtures.record_losses import Recorder
from tests.fixtures.small_run import CONFIG, Job, assert_close, assert_equal, losses_on, results, tensors, write_data
from tzrec.checkpoint import store
from tzrec.config.check import load_checked
from tzrec.errors import CheckpointError
from tzrec.predict import main as predict_main
from tzrec.run.evaluate import evaluate
from tzrec.run.train import train

ADAM = "adam_optimizer { lr: 0.01 } constant_learning_rate {}"
EMA = {"train_config__dense_optimizer": f"{ADAM} ema {{ decay: 0.8 }}"}
ACCUMULATION = {"train_config__gradient_accumulation_steps": 3}
CLIPPING = {"train_config__grad_clipping": "clipping_type: 'norm' max_gradient: 0.1"}
SCALER = {"train_config__grad_scaler": "growth_interval: 4"}
PARTS = {
    "train_config__dense_optimizer": f"""{ADAM}
    part_optimizers {{
      sgd_optimizer {{ lr: 0.1 }} regex_pattern: ".*experts.*"
      exponential_decay_learning_rate {{ decay_size: 4 decay_factor: 0.5 }}
    }}
    part_optimizers {{ adagrad_optimizer {{ lr: 0.1 }} regex_pattern: ".*bias" }}"""
}
FROZEN = "adagrad_optimizer { lr: 0 } constant_learning_rate {}"
KINDS = {"ema": EMA, "accumulation": ACCUMULATION, "clipping": CLIPPING, "scaler": SCALER, "parts": PARTS}
KINDS["all"] = {**ACCUMULATION, **CLIPPING, **SCALER}
KINDS["all"]["train_config__dense_optimizer"] = PARTS["train_config__dense_optimizer"] + " ema { decay: 0.8 }"


@pytest.mark.parametrize(
    "kind",
    ["accumulation", "all", *(pytest.param(k, marks=pytest.mark.slow) for k in ("ema", "clipping", "scaler", "parts"))],
)
def test_resumed_run_equals_uninterrupted_run(job: Job, kind: str) -> None:
    """With gradients of three batches per step, the run stops after the first batch of its fourth step."""
    whole, whole_log = job("whole", **KINDS[kind])
    job("parts", train_config__num_steps=10, **KINDS[kind])
    parts, parts_log = job("parts", resume=True, **KINDS[kind])
    assert_equal(tensors(whole, 19), tensors(parts, 19))
    assert parts_log.losses == whole_log.losses[10:]
    assert results(parts)[-1] == results(whole)[-1]
    ends = [store.find(each).manifest for each in (whole, parts)]
    assert ends[0] and ends[1] and ends[0].numbers == ends[1].numbers


def test_options_change_losses_except_scale_and_average(job: Job) -> None:
    """Otherwise the test above would prove nothing."""
    plain = job("plain", train_config__dense_optimizer=ADAM)[1].losses
    for kind, edits in KINDS.items():
        edits = {"train_config__dense_optimizer": ADAM, **edits}
        losses = job(kind, **edits)[1].losses
        assert (losses == plain) is (kind in ("ema", "scaler"))


def test_loss_scale_does_not_change_tables(job: Job) -> None:
    """An update of SGD is proportional to the gradient, so that a scaled gradient would be visible."""
    edits = {"train_config__sparse_optimizer": "sgd_optimizer { lr: 0.5 } constant_learning_rate {}"}
    plain, scaled = job("plain", **edits)[0], job("scaled", **edits, **SCALER)[0]
    assert_equal(tensors(plain, 19), tensors(scaled, 19))


@pytest.fixture
def fp16_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute in FP16, in whose place a run on the CPU computes in BF16 because it is faster."""
    monkeypatch.setattr("tzrec.run.session.autocast_type", lambda *_: torch.float16)


def train_in_fp16(tmp_path: Path, name: str, scaler: str) -> tuple[Path, list[dict[str, float]]]:
    """Train in FP16."""
    config, recorder = tmp_path / "half.config", Recorder()
    config.write_text(CONFIG.format(data=tmp_path / "data", model=tmp_path / name, dropout=0.0))
    edits = {"train_config.mixed_precision": "FP16", "train_config.grad_scaler": scaler}
    train(load_checked(str(config), edits), listeners=[recorder])
    return tmp_path / name, recorder.losses


@pytest.mark.usefixtures("fp16_on_the_cpu")
def test_fp16_with_loss_scale_has_losses_of_fp32(job: Job, tmp_path: Path) -> None:
    full = job("full", dropout=0.0)[1].losses
    model_dir, half = train_in_fp16(tmp_path, "half", "growth_interval: 15")
    assert [sum(each.values()) for each in half] == pytest.approx([sum(each.values()) for each in full], abs=2e-3)
    assert half != full
    manifest = store.find(model_dir).manifest
    assert manifest
    assert manifest.numbers["loss_scale"] == 2 * 65536, "fifteen steps without an overflow, then five"


@pytest.mark.usefixtures("fp16_on_the_cpu")
def test_overflows_do_not_change_tables(tmp_path: Path) -> None:
    """Every dense gradient overflows until the scale has decreased."""
    write_data(tmp_path / "data")
    model_dir, _ = train_in_fp16(tmp_path, "half", "init_scale: 1e12")
    manifest = store.find(model_dir).manifest
    assert manifest
    assert manifest.numbers["loss_scale"] < 1e8
    assert all(torch.isfinite(value).all() for value in tensors(model_dir, 19).values())


def test_accumulation_updates_tables_every_batch_and_dense_every_third(job: Job) -> None:
    first, second, third = (
        tensors(job(f"{steps}", train_config__num_steps=steps, **ACCUMULATION)[0], steps - 1) for steps in (1, 2, 3)
    )
    dense = [name for name in first if name.startswith("model/") and "embedding_bags" not in name]
    table = next(name for name in first if name.startswith("model/") and "embedding_bags" in name)
    assert dense
    assert all(torch.equal(first[name], second[name]) for name in dense)
    assert not any(torch.equal(second[name], third[name]) for name in dense if name.endswith("weight"))
    assert not torch.equal(first[table], second[table])
    assert any(name.startswith("gathered/") for name in second)
    assert not any(name.startswith("gathered/") for name in third)


def test_evaluation_uses_average_by_default(job: Job) -> None:
    model_dir, _ = job("averaged", **EMA)
    trained, _ = job("trained", eval_config__use_dense_ema="false", **EMA)
    assert_equal(tensors(model_dir, 19), tensors(trained, 19))
    averaged, plain = results(model_dir)[-1], results(trained)[-1]
    assert averaged != plain
    saved = str(model_dir / "pipeline.config")
    assert evaluate(load_checked(saved)) == pytest.approx({k: v for k, v in averaged.items() if k[0] != "g"})
    metrics = evaluate(load_checked(saved, {"eval_config.use_dense_ema": False}))
    assert metrics == pytest.approx({k: v for k, v in plain.items() if k[0] != "g"})


def scores(config: Path, out: Path, data: Path, *words: str) -> list[float]:
    common = ["--predict_input_path", f"{data}/0.parquet", "--predict_output_path", str(out)]
    assert predict_main(["--pipeline_config", str(config), *common, *words]) == 0
    return list(pq.read_table(out)["logits_ctr"].to_pylist())


def test_prediction_uses_average_by_default(job: Job, tmp_path: Path) -> None:
    model_dir, _ = job("model", **EMA)
    config, data = model_dir / "pipeline.config", tmp_path / "data"
    averaged = scores(config, tmp_path / "a", data)
    plain = scores(config, tmp_path / "b", data, "--edit_config_json", '{"export_config.use_dense_ema": false}')
    assert averaged != plain
    average = {name.removeprefix("dense_ema/"): v for name, v in tensors(model_dir, 19).items() if "dense_ema/" in name}
    stored = tensors(model_dir, 19)
    assert {name for name in stored if name.startswith("model/")} > {f"model/{name}" for name in average}
    assert max((stored[f"model/{name}"] - value).abs().max() for name, value in average.items()) > 1e-3


def test_evaluation_without_stored_average_raises(job: Job) -> None:
    model_dir, _ = job("model", train_config__num_steps=2)
    config = load_checked(str(model_dir / "pipeline.config"), {"train_config.dense_optimizer.ema.decay": 0.9})
    with pytest.raises(CheckpointError, match="holds no dense_ema: it was trained without"):
        evaluate(config)


def test_resumed_run_may_start_an_average(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    job("model", train_config__num_steps=2, train_config__dense_optimizer=ADAM)
    model_dir, _ = job("model", resume=True, train_config__num_steps=3, **EMA)
    assert "holds no dense_ema" in caplog.text
    before, after = tensors(model_dir, 1), tensors(model_dir, 2)
    for name in [each for each in after if each.startswith("dense_ema/")]:
        weight = name.replace("dense_ema/", "model/")
        torch.testing.assert_close(after[name], 0.8 * before[weight] + 0.2 * after[weight])


def test_fine_tuning_restores_average_of_other_run(job: Job) -> None:
    still = "sgd_optimizer { lr: 0 momentum: 0 } constant_learning_rate {} ema { decay: 0.75 }"
    old, _ = job("old", train_config__num_steps=5, **EMA)
    edits = {"train_config__fine_tune_checkpoint": str(old), "train_config__dense_optimizer": still}
    new, _ = job("new", train_config__num_steps=1, **edits, train_config__sparse_optimizer=FROZEN)
    before, after = tensors(old, 4), tensors(new, 0)
    for name in [each for each in after if each.startswith("dense_ema/")]:
        weight = before[name.replace("dense_ema/", "model/")]
        torch.testing.assert_close(after[name], 0.75 * before[name] + 0.25 * weight)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["accumulation", "clipping", "all"])
def test_two_ranks_have_losses_of_one(tmp_path: Path, kind: str) -> None:
    """`clipping` bounds the norm over all parameters, each counted once for any number of ranks."""
    write_data(tmp_path / "data")
    edits: dict[str, Any] = dict(KINDS[kind])
    if kind == "clipping":
        edits["train_config__grad_clipping"] += " enable_global_grad_clip: true"
    one = losses_on(1, tmp_path, "one", **edits)
    two = losses_on(2, tmp_path, "two", data_config__batch_size=32, **edits)
    assert_close(one, two)
    assert results(tmp_path / "one")[-1] == pytest.approx(results(tmp_path / "two")[-1], abs=1e-4)


@pytest.mark.slow
def test_resumed_run_on_two_ranks_equals_uninterrupted_run(tmp_path: Path) -> None:
    write_data(tmp_path / "data")
    edits = {**KINDS["all"], "data_config__batch_size": 32}
    whole = losses_on(2, tmp_path, "whole", **edits)
    losses_on(2, tmp_path, "parts", train_config__num_steps=10, **edits)
    assert losses_on(2, tmp_path, "parts", resume=True, **edits) == whole[10:]
    assert_equal(tensors(tmp_path / "parts", 19), tensors(tmp_path / "whole", 19))
