"""Studies whose trials are processes with a formula for their metric."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.pruners import MedianPruner

import tzrec
from tests.fixtures.studies import SPACE, fake_study, settings_of, start_config
from tzrec.checkpoint.lock import Lock
from tzrec.config.load import load_config
from tzrec.errors import TrainingError, UsageError
from tzrec.tuning.late_pruner import LatePruner
from tzrec.tuning.records import read_records
from tzrec.tuning.runner import divide_machine
from tzrec.tuning.settings import load_settings
from tzrec.tuning.storage import open_study
from tzrec.tuning.trial import last_error
from tzrec.tuning.tune import _Progress

BEST = 0.9
"""AUC of the formula at its optimum, without the part of the epochs."""


def test_study_finds_better_values_and_writes_them_into_the_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = fake_study(tmp_path, monkeypatch, f'{SPACE} pruner: "none"', num_trials=12)
    assert [trial.number for trial in result.trials] == list(range(12))
    assert result.trials[0].params == {"lr": 0.01, "embedding_dim": 4}
    start = result.trials[0].value
    assert start is not None
    assert result.gain == pytest.approx(result.best_value - start)
    assert start + 0.01 < result.best_value < BEST
    tuned, given = load_config(str(result.best_config)), start_config(tmp_path)
    assert tuned.train_config.dense_optimizer.adam_optimizer.lr == pytest.approx(result.best_params["lr"], rel=1e-3)
    assert tuned.feature_configs[0].id_feature.embedding_dim == result.best_params["embedding_dim"]
    assert (tuned.model_dir, tuned.train_config.num_epochs) == (given.model_dir, given.train_config.num_epochs)


def test_study_writes_a_table_and_a_model_directory_for_each_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = fake_study(tmp_path, monkeypatch, num_trials=3)
    with (tmp_path / "study" / "trials.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["trial"] for row in rows] == ["0", "1", "2"]
    assert [float(row["auc_ctr"]) for row in rows] == [pytest.approx(trial.value, abs=1e-6) for trial in result.trials]
    for row in rows:
        config = load_config(str(tmp_path / "study" / "trials" / f"00{row['trial']}" / "pipeline.config"))
        assert config.train_config.dense_optimizer.adam_optimizer.lr == pytest.approx(float(row["lr"]), rel=1e-3)


def test_study_run_again_adds_trials_to_those_that_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fake_study(tmp_path, monkeypatch, num_trials=2)
    second = fake_study(tmp_path, monkeypatch, num_trials=4)
    assert [trial.params for trial in second.trials[:2]] == [trial.params for trial in first.trials]
    assert len(second.trials) == 4


def test_study_of_another_config_or_space_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_study(tmp_path, monkeypatch, num_trials=1)
    with pytest.raises(UsageError, match=r"another starting config, see .*start\.config; choose another --model_dir"):
        fake_study(tmp_path, monkeypatch, num_trials=2, data_config__batch_size=16)
    with pytest.raises(UsageError, match="another space"):
        fake_study(tmp_path, monkeypatch, SPACE.replace("0.1", "0.2"), num_trials=2)


def test_failed_trials_are_recorded_and_the_study_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = 'metric: "auc_ctr" sampler: "grid" parameters { path: "train_config.seed" int_range { min: 1 max: 4 } }'
    result = fake_study(tmp_path, monkeypatch, space, num_trials=9)
    assert [trial.state for trial in result.trials] == ["complete", "failed", "failed", "failed"]
    assert result.trials[1].error == "loss is nan at step 3"
    assert result.trials[2].error == "killed by SIGKILL: most often there was not enough memory"
    assert result.trials[3].error.startswith("auc_ctr is not defined")
    assert result.best_params == {"seed": 1}


@pytest.mark.parametrize(
    ("log", "error"),
    [
        ("train  1/9\na.config:3:4 seed: is odd\n1 problem. Nothing was started.\n", "a.config:3:4 seed: is odd"),
        ("Traceback (most recent call last):\n  File x\nValueError: no\n", "ValueError: no"),
        ("loss is nan\n    of tower a\n\n", "loss is nan"),
        ("", ""),
    ],
)
def test_error_of_a_failed_process_is_the_last_entry_of_its_log(tmp_path: Path, log: str, error: str) -> None:
    (tmp_path / "train.log").write_text(log)
    assert last_error(tmp_path / "train.log") == error


@pytest.mark.parametrize("sampler", ["gp", "qmc", "random"])
def test_samplers_by_name_choose_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: str) -> None:
    result = fake_study(tmp_path, monkeypatch, f'{SPACE} sampler: "{sampler}" pruner: "hyperband"', num_trials=3)
    assert len({trial.params["lr"] for trial in result.trials}) == 3


def test_failure_of_the_starting_config_ends_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrainingError, match=r"the starting config failed: loss is nan at step 3; see .*train\.log"):
        fake_study(tmp_path, monkeypatch, train_config__seed=2)


def test_trial_whose_values_exclude_each_other_fails_without_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlp, choices = "model_config.mmoe.expert_mlp", 'choices { value: ["false", "true"] }'
    parameters = [f'parameters {{ path: "{mlp}.{name}" {choices} }}' for name in ("use_bn", "use_ln")]
    space = f'metric: "auc_ctr" sampler: "grid" {" ".join(parameters)}'
    result = fake_study(tmp_path, monkeypatch, space, num_trials=9)
    (failed,) = [trial for trial in result.trials if trial.state == "failed"]
    assert failed.params == {"use_bn": "true", "use_ln": "true"}
    assert failed.error == f"{mlp}.use_ln: use_bn and use_ln are both set; choose one"
    assert not (tmp_path / "study" / "trials" / f"{failed.number:03d}").exists()


def test_trial_behind_the_others_is_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = """
    metric: "auc_ctr" sampler: "grid" pruner_startup_trials: 1
    parameters { path: "train_config.dense_optimizer.adam_optimizer.lr" choices { value: ["0.01", "0.02", "0.0001"] } }
    """
    result = fake_study(tmp_path, monkeypatch, space, num_trials=3, train_config__num_epochs=200)
    assert [trial.state for trial in result.trials] == ["complete", "complete", "pruned"]
    assert 200 / 3 < len(result.trials[2].evaluations) < 200
    assert result.best_params == {"lr": "0.02"}


@pytest.mark.parametrize(("num_evaluations", "is_pruned"), [(4, False), (5, True)])
def test_trial_is_pruned_after_a_third_of_the_evaluations_of_the_first_one(
    num_evaluations: int, is_pruned: bool
) -> None:
    study = optuna.create_study(direction="maximize", pruner=LatePruner(MedianPruner(n_startup_trials=1)))
    first, behind = study.ask(), study.ask()
    for step in range(1, 13):
        first.report(0.7, step)
    for step in range(1, num_evaluations + 1):
        behind.report(0.6, step)
    assert not behind.should_prune(), "the first trial runs"
    study.tell(first, 0.7)
    assert behind.should_prune() == is_pruned


def test_starting_config_outside_of_the_space_is_the_first_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = SPACE.replace("min: 0.001", "min: 0.05")
    result = fake_study(tmp_path, monkeypatch, space, num_trials=3)
    assert result.trials[0].params == {}
    assert result.trials[0].is_complete
    start = 0.9 - 0.1 * 0.30103**2 - 0.04 - 0.1 / 20
    assert result.trials[0].value == pytest.approx(start, abs=1e-5)
    study, _ = open_study(settings_of(tmp_path, space), tmp_path / "study")
    assert [trial.number for trial in study.get_trials(states=[optuna.trial.TrialState.COMPLETE])] == [1, 2]


def test_signal_leaves_a_trial_that_the_next_run_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fake_study(tmp_path, monkeypatch, num_trials=1)

    def interrupt() -> None:
        wait_until((tmp_path / "study" / "trials" / "001" / "waits").exists)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("tzrec.tuning.space.Space.edits", lambda *_: {"train_config.seed": 5})
    thread = threading.Thread(target=interrupt)
    thread.start()
    stopped = fake_study(tmp_path, monkeypatch, num_trials=2)
    thread.join()
    assert (stopped.signal, [trial.state for trial in stopped.trials]) == (signal.SIGINT, ["complete", "running"])
    resumed = fake_study(tmp_path, monkeypatch, num_trials=2)
    assert [trial.state for trial in resumed.trials] == ["complete", "complete"]
    assert resumed.trials[1].params == stopped.trials[1].params
    lines = (tmp_path / "study" / "trials" / "001" / "train_eval_result_v2.txt").read_text().splitlines()
    assert len(lines) == len(first.trials[0].evaluations)  # the first evaluation was not repeated


def test_trials_in_parallel_have_their_own_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = fake_study(tmp_path, monkeypatch, f"{SPACE} num_parallel: 2", num_trials=5)
    assert sorted(trial.number for trial in result.trials if trial.is_complete) == [0, 1, 2, 3, 4]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 5})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert divide_machine(1) == [((), "")]
    assert divide_machine(2) == [([0, 1], "4"), ([2, 5], "7")]
    assert [cores for cores, _ in divide_machine(5)] == [[0], [1], [2], [5], [0]]


def test_checkpoints_of_all_but_the_best_trials_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tzrec.tuning.trial.TrialRun.failure", _with_checkpoint)
    result = fake_study(tmp_path, monkeypatch, f"{SPACE} num_kept_trials: 2", num_trials=5)
    kept = [path.parent.name for path in sorted((tmp_path / "study" / "trials").glob("*/model.ckpt-7"))]
    best = sorted(result.trials, key=lambda trial: -(trial.value or 0.0))[:2]
    assert kept == sorted(f"{trial.number:03d}" for trial in best)


def _with_checkpoint(run: object) -> str:
    (run.directory / "model.ckpt-7").mkdir()  # type: ignore[attr-defined]
    return ""


def test_study_processes_side_by_side_share_the_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_config(tmp_path)
    results: list[int] = []

    def run() -> None:
        results.append(len(fake_study(tmp_path, monkeypatch, f'{SPACE} pruner: "none"', num_trials=6).trials))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert results == [6, 6]
    records = fake_study(tmp_path, monkeypatch, f'{SPACE} pruner: "none"', num_trials=6).trials
    assert [(trial.number, trial.state) for trial in records] == [(number, "complete") for number in range(6)]
    assert len(list((tmp_path / "study" / "trials").iterdir())) == 6


def test_table_and_page_that_another_process_holds_are_warned_of_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake_study(tmp_path, monkeypatch, num_trials=1)
    folder, settings = tmp_path / "study", settings_of(tmp_path)
    study, _ = open_study(settings, folder)
    monkeypatch.setattr("tzrec.tuning.storage._WAIT_S", 0.0)
    with Lock(folder / ".writing"):
        _Progress(study, settings, folder).write(read_records(study))
    for name in ("trials.csv", "tune.html"):
        (message,) = [text for text in caplog.messages if text.startswith(f"{folder / name} was not written: ")]
        assert f"is being written by process {os.getpid()} on" in message
        assert message.endswith("; the run goes on without it")


KILLED = """
import pathlib, pytest
from tests.fixtures.studies import fake_study
from tzrec.tuning.space import Space
Space.edits = lambda *_: {"train_config.seed": 5}
fake_study(pathlib.Path("."), pytest.MonkeyPatch(), num_trials=2)
"""


def test_killed_study_takes_its_trial_along_and_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_study(tmp_path, monkeypatch, num_trials=1)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    study = subprocess.Popen([sys.executable, "-c", KILLED], cwd=tmp_path, env=environment)
    waits = tmp_path / "study" / "trials" / "001" / "waits"
    wait_until(lambda: waits.exists() and waits.read_text() != "")
    study.kill()
    study.wait()
    trial_process = Path("/proc") / waits.read_text()
    wait_until(lambda: not trial_process.exists() or "zombie" in (trial_process / "status").read_text())
    result = fake_study(tmp_path, monkeypatch, num_trials=2)
    assert [trial.state for trial in result.trials] == ["complete", "complete"]


def wait_until(is_reached: Callable[[], bool]) -> None:
    """Wait for a condition, at most a minute."""
    deadline = time.monotonic() + 60
    while not is_reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_study_in_a_database_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = f'{SPACE} storage: "sqlite:///{tmp_path}/study.db"'
    fake_study(tmp_path, monkeypatch, space, num_trials=1)
    assert len(fake_study(tmp_path, monkeypatch, space, num_trials=2).trials) == 2
    with pytest.raises(UsageError, match="storage nosuch://x: the database cannot be opened"):
        fake_study(tmp_path, monkeypatch, f'{SPACE} storage: "nosuch://x"', num_trials=1)


def test_space_of_the_documentation_is_valid(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text()
    space, data = re.findall(r"```proto\n(.*?)```", page, re.DOTALL)
    (tmp_path / "space.config").write_text(space + data)
    config = load_config("examples/configs/mmoe_taobao.config")
    settings = load_settings(config, str(tmp_path / "space.config"))
    assert [parameter.name for parameter in settings.space.parameters] == ["lr", "dims", "widths", "optimizer", "size"]
    assert settings.config.num_trials == 40


@pytest.mark.slow
def test_study_of_training_runs_prunes_tests_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with training: a process of `tzrec train` per trial, and the best one on data of its own."""
    monkeypatch.chdir(tmp_path)
    config = start_config(tmp_path)
    (tmp_path / "log.csv").write_text("user,clk\n" + "".join(f"{row % 4},{int(row % 4 < 2)}\n" for row in range(64)))
    (tmp_path / "test.csv").write_text((tmp_path / "log.csv").read_text())
    (tmp_path / "space.config").write_text(f'{SPACE} test_input_path: "{tmp_path}/test.csv"')
    edit = {"train_config.num_epochs": 3}
    for num_trials in (1, 3):
        result = tzrec.tune("my.config", "space.config", num_trials, "study", edit)
    assert [trial.state for trial in result.trials] == ["complete"] * 3
    assert result.test_metrics["auc_ctr"] == pytest.approx(result.best_value)
    assert config.model_dir == load_config(str(result.best_config)).model_dir
    assert tzrec.train(result.best_config, model_dir="again").metrics["auc_ctr"] == pytest.approx(result.best_value)
