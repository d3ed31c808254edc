"""Tracking of a run by a server of MLflow, with a client that remembers what it was told."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.fixtures.log_lines import recorded_log
from tests.run.test_progress import step_log
from tzrec.errors import SetupError
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run import mlflow_tracker as module
from tzrec.run.evaluation import Evaluation
from tzrec.run.facts import RunFacts
from tzrec.run.mlflow_tracker import MlflowTracker, register_package
from tzrec.run.stop_condition import StopCondition
from tzrec.run.training_loop import Outcome

pytest.importorskip("mlflow")

FACTS = RunFacts(
    step=-1,
    model="mmoe",
    seed=7,
    num_ranks=2,
    train_input_path="log.csv",
    eval_input_path="",
    num_train_rows=None,
    batch_size=8,
    num_steps=20,
    num_dense_parameters=5,
    tables=[],
    metrics={},
    versions={"python": "3.11"},
    hardware={},
)


class Client:
    """Client whose server has no experiment and no model yet."""

    def __init__(self) -> None:
        self.params: dict[str, str] = {}
        self.metrics: list[tuple[str, float, int]] = []
        self.calls: list[tuple[Any, ...]] = []

    def get_experiment_by_name(self, name: str) -> None:
        return None

    def create_experiment(self, name: str) -> str:
        self.calls.append(("experiment", name))
        return "3"

    def create_run(self, experiment: str, run_name: str, tags: dict[str, str]) -> Any:
        self.calls.append(("run", experiment, run_name, tags["tzrec.version.python"]))
        return SimpleNamespace(info=SimpleNamespace(run_id="r1"))

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
        assert run_id == "r1" and len(params) <= 100
        self.params |= {param.key: param.value for param in params}
        self.metrics += [(metric.key, metric.value, metric.step) for metric in metrics]

    def log_artifact(self, run_id: str, path: str) -> None:
        self.calls.append(("file", Path(path).name, Path(path).read_text()))

    def log_artifacts(self, run_id: str, directory: str, name: str) -> None:
        self.calls.append(("folder", run_id, directory, name))

    def set_terminated(self, run_id: str, status: str) -> None:
        self.calls.append(("end", run_id, status))

    def update_run(self, run_id: str, status: str) -> None:
        self.calls.append(("continue", run_id, status))

    def get_run(self, run_id: str) -> Any:
        return SimpleNamespace(info=SimpleNamespace(artifact_uri=f"mlflow-artifacts:/3/{run_id}/artifacts"))

    def create_registered_model(self, name: str) -> None:
        self.calls.append(("model", name))

    def create_model_version(self, name: str, source: str, run_id: str) -> Any:
        self.calls.append(("version", name, source, run_id))
        return SimpleNamespace(version="4")


@pytest.fixture
def config(tmp_path: Path) -> EasyRecConfig:
    config = EasyRecConfig(train_input_path="log.csv", model_dir=str(tmp_path))
    config.train_config.mlflow.tracking_uri = "http://127.0.0.1:1"
    config.train_config.mlflow.registered_model = "ranker"
    config.train_config.dense_optimizer.adam_optimizer.lr = 0.5
    config.data_config.label_fields.extend(["clk", "buy"])
    config.model_config.mmoe.task_towers.add(tower_name="ctr").mlp.hidden_units.extend([8, 4])
    (tmp_path / "pipeline.config").write_text("the config")
    return config


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    client = Client()
    monkeypatch.setattr(module, "_client", lambda config: client)
    return client


def track(config: EasyRecConfig, model_dir: Path, facts: RunFacts, outcome: Outcome | None) -> None:
    tracker = MlflowTracker(config, model_dir)
    tracker.on_start(facts)
    tracker.on_log(replace(step_log(0, StopCondition(20)), is_warm_up=True))
    tracker.on_log(replace(step_log(9, StopCondition(20)), metrics={"auc@k": 0.5}))
    tracker.on_evaluation(Evaluation(9, {"auc": 0.75, "auc_cvr": float("nan")}, 10, 1.0))
    if outcome:
        tracker.on_complete(outcome)
    tracker.on_end()


def test_tracker_sends_params_metrics_and_files(config: EasyRecConfig, client: Client, tmp_path: Path) -> None:
    track(config, tmp_path, FACTS, Outcome(19))
    assert client.params["train_config.dense_optimizer.adam_optimizer.lr"] == "0.5"
    assert client.params["data_config.label_fields"] == "clk, buy"
    assert client.params["model_config.mmoe.task_towers.0.mlp.hidden_units"] == "8, 4"
    assert (client.params["model"], client.params["seed"], client.params["batch_size"]) == ("mmoe", "7", "8")
    assert ("rows_per_second", 36_400.0, 9) in client.metrics
    assert not any(name == "rows_per_second" and step == 0 for name, _, step in client.metrics)
    assert ("train/auc_k", 0.5, 9) in client.metrics and ("eval/auc", 0.75, 9) in client.metrics
    assert ("loss/total", pytest.approx(0.212), 9) in client.metrics
    assert not any(name == "eval/auc_cvr" for name, _, _ in client.metrics)
    assert client.calls == [
        ("experiment", "tzrec"),
        ("run", "3", tmp_path.name, "3.11"),
        ("file", "pipeline.config", "the config"),
        ("end", "r1", "FINISHED"),
    ]


@pytest.mark.parametrize(("outcome", "status"), [(Outcome(19, signal=15), "KILLED"), (None, "FAILED")])
def test_tracker_ends_run_with_its_status(
    outcome: Outcome | None, status: str, config: EasyRecConfig, client: Client, tmp_path: Path
) -> None:
    track(config, tmp_path, FACTS, outcome)
    assert client.calls[-1] == ("end", "r1", status)


def test_tracker_of_resumed_training_continues_the_run(config: EasyRecConfig, client: Client, tmp_path: Path) -> None:
    track(config, tmp_path, FACTS, Outcome(19))
    client.calls.clear()
    client.params.clear()
    track(config, tmp_path, replace(FACTS, step=19), Outcome(29))
    assert client.calls[0] == ("continue", "r1", "RUNNING") and client.params == {}
    config.train_config.mlflow.tracking_uri = "http://127.0.0.1:2"
    client.calls.clear()
    track(config, tmp_path, replace(FACTS, step=29), Outcome(39))
    assert client.calls[0][0] == "experiment", "the run of another server is not continued"


def test_tracker_whose_server_fails_costs_a_warning(
    config: EasyRecConfig, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **named: Any) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(client, "create_run", refuse)
    with recorded_log() as lines:
        track(config, tmp_path, FACTS, Outcome(19))
    assert lines == ["the run at http://127.0.0.1:1 was not written: Connection refused; the run goes on without it"]


@pytest.mark.parametrize("is_error", [False, True])
def test_tracker_that_gets_no_answer_ends_with_one_warning(
    is_error: bool, config: EasyRecConfig, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_run, is_over = client.create_run, threading.Event()

    def answer_late(*arguments: Any, **named: Any) -> Any:
        assert is_over.wait(60)
        if is_error:
            raise ConnectionRefusedError(111, "Connection refused")
        return create_run(*arguments, **named)

    monkeypatch.setattr(client, "create_run", answer_late)
    monkeypatch.setattr(module, "_END_S", 0.05)
    with recorded_log() as lines:
        track(config, tmp_path, FACTS, Outcome(19))
        assert lines == ["mlflow http://127.0.0.1:1: no answer within 0 s; the run goes on without it"]
        is_over.set()
        for thread in threading.enumerate():
            if thread.name == "mlflow":
                thread.join(60)
    late = [] if is_error else ["mlflow http://127.0.0.1:1/#/experiments/3/runs/r1"]
    assert lines[1:] == late, "an answer that comes late is used, an error is not told again"


def test_register_package_uploads_it_and_creates_a_version(
    config: EasyRecConfig, client: Client, tmp_path: Path
) -> None:
    with recorded_log() as lines:
        register_package(config, tmp_path, tmp_path / "export")
    assert lines[0].endswith("train with train_config.mlflow; the package is complete, but not registered")
    track(config, tmp_path, FACTS, Outcome(19))
    client.calls.clear()
    with recorded_log() as lines:
        register_package(config, tmp_path, tmp_path / "export")
    assert client.calls == [
        ("folder", "r1", str(tmp_path / "export"), "export"),
        ("model", "ranker"),
        ("version", "ranker", "mlflow-artifacts:/3/r1/artifacts/export", "r1"),
    ]
    assert lines == ["mlflow ranker  version 4 at http://127.0.0.1:1"]


def test_tracker_without_mlflow_names_the_extra(
    config: EasyRecConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"pip install 'tzrec\[mlflow\]'"):
        MlflowTracker(config, tmp_path)
