"""Runs that go on with evaluations on other rows: only values on the same rows are compared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.fixtures.small_run import Job, results
from tzrec.checkpoint import store
from tzrec.config.load import load_config
from tzrec.report.run_files import RunFiles
from tzrec.run.session import choose_checkpoint

LOSS = "binary_cross_entropy_ctr"
BEST = {
    "train_config__save_checkpoints_steps": 2,
    "train_config__keep_checkpoint_max": 1,
    "export_config__exporter_type": "best",
    "export_config__best_exporter_metric": LOSS,
    "export_config__metric_larger_is_better": "false",
}
EARLY = {"train_config__early_stopping": f"metric: '{LOSS}' larger_is_better: false patience: 2"}


@pytest.fixture
def contrary(tmp_path: Path, job: Job) -> str:
    """Write rows of which the model is wrong, the more so the longer it learns; return their path."""
    rows = pq.read_table(tmp_path / "data" / "0.parquet")
    clicks = pc.subtract(pa.scalar(1), rows["clk"])
    path = tmp_path / "contrary.parquet"
    pq.write_table(rows.set_column(rows.column_names.index("clk"), "clk", clicks), path)
    return str(path)


def losses(model_dir: Path) -> dict[int, float]:
    """Return the loss of each evaluation by step."""
    return {int(line["global_step"]): line[LOSS] for line in results(model_dir)}


def exported(model_dir: Path) -> int:
    """Return the step of the checkpoint that an export takes."""
    return choose_checkpoint(load_config(str(model_dir / "pipeline.config")), None, "serving").step


def test_best_checkpoint_is_that_of_the_present_evaluation_rows(
    job: Job, tmp_path: Path, contrary: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    model_dir, _ = job("model", **BEST, train_config__num_steps=7)
    before = losses(model_dir)
    assert list(before) == [2, 4, 6]
    assert exported(model_dir) == min(before, key=lambda step: before[step])
    job("model", resume=True, **BEST, train_config__num_steps=13, eval_input_path=contrary)
    after = {step: loss for step, loss in losses(model_dir).items() if step > 6}
    assert list(after) == [8, 10, 12]
    best = min(after, key=lambda step: after[step])
    assert min(before.values()) < after[best], "an evaluation on the rows of before would win"
    assert exported(model_dir) == best
    note = f"start  resuming from {model_dir}/model.ckpt-6; evaluations read other rows than before"
    assert note in caplog.messages
    assert {path.name for path in store.list_checkpoints(model_dir)} == {f"model.ckpt-{best}", "model.ckpt-12"}
    files = RunFiles.read(model_dir)
    assert files.best(LOSS) == (best, after[best])
    curves = files.evaluation_curves(LOSS)
    assert [step for step, _ in curves["evaluation"]] == [8, 10, 12]
    assert [step for step, _ in curves["evaluation on other rows"]] == [2, 4, 6]
    assert "evaluation on other rows" in (model_dir / "report.html").read_text()


def test_evaluations_on_a_copy_of_the_rows_compare(job: Job, tmp_path: Path) -> None:
    model_dir, _ = job("model", **BEST, train_config__num_steps=5)
    shutil.copy(tmp_path / "data" / "0.parquet", tmp_path / "copy.parquet")
    job("model", resume=True, **BEST, train_config__num_steps=9, eval_input_path=str(tmp_path / "copy.parquet"))
    lines = [json.loads(line) for line in (model_dir / store.RESULTS).read_text().splitlines()]
    assert [line["global_step"] for line in lines] == [2, 4, 6, 8]
    assert len({line[store.EVAL_DATA] for line in lines}) == 1
    values = losses(model_dir)
    assert exported(model_dir) == min(values, key=lambda step: values[step])


def test_rows_that_eval_split_holds_out_of_new_files_are_other_rows(job: Job, tmp_path: Path) -> None:
    night = {"eval_input_path": "", "data_config__eval_split__fraction": 0.3, "train_config__num_epochs": 1}
    for number in (0, 1, 1):
        path = f"{tmp_path}/data/{number}.parquet"
        model_dir, _ = job("model", resume=True, **night, **BEST, train_config__num_steps=0, train_input_path=path)
    digests = [json.loads(line)[store.EVAL_DATA] for line in (model_dir / store.RESULTS).read_text().splitlines()]
    assert len(digests) == 5, "after steps 2 and 3, then 4, 6 and 7; none of the night that was complete"
    assert digests[0] == digests[1] != digests[2] == digests[3] == digests[4]


def test_early_stopping_starts_anew_on_other_evaluation_rows(job: Job, contrary: str) -> None:
    """On contrary rows each step is a loss: the first evaluation is the best one, and two more end the run."""
    model_dir, _ = job("model", **BEST, **EARLY, train_config__num_steps=7)
    assert list(losses(model_dir)) == [2, 4, 6]
    job("model", resume=True, **BEST, **EARLY, eval_input_path=contrary)
    assert list(losses(model_dir)) == [2, 4, 6, 8, 10, 12]
    values = losses(model_dir)
    assert values[6] < values[8] < values[10] < values[12]
    _, log = job("model", resume=True, **BEST, **EARLY)
    assert log.losses == [], "a run that early stopping has ended stays complete on any rows"
