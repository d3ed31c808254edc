"""MlflowTracker: the listener that sends a run to a server of MLflow, and the registration of packages there."""

from __future__ import annotations

import importlib.util
import json
import logging
import math
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message

from tzrec import env
from tzrec.config.parser import join
from tzrec.data.atomic import write_text
from tzrec.errors import SetupError, TzrecError
from tzrec.log import logger, side_output
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.report.record import RECORD
from tzrec.run.evaluation import Evaluation
from tzrec.run.listeners import Listener
from tzrec.run.metric_logger import StepLog
from tzrec.run.reporting import NAME
from tzrec.storage.path import AnyPath

if TYPE_CHECKING:
    from tzrec.run.facts import RunFacts
    from tzrec.run.training_loop import Outcome

RUN_FILE = "mlflow.json"
"""File of a model directory that names its run, which a resumed training continues."""
_FILES = ("pipeline.config", NAME, RECORD)
_PARAMS_AT_ONCE = 100
_MAX_PARAM = 500
"""Longest parameter that all versions of the server accept."""
_END_S = 60.0
"""Time that the end of a run waits for the server."""


class MlflowTracker(Listener):
    """Sends parameters, metrics and files of a run to the server of `train_config.mlflow`.

    A thread talks to the server, which may be slow or gone; after an error it gives up with a warning.

    Args:
        config: of the run.
        model_dir: its directory; `mlflow.json` in it names the run.

    Raises:
        SetupError: the extra mlflow is not installed.
    """

    def __init__(self, config: EasyRecConfig, model_dir: AnyPath) -> None:
        _ensure_installed()
        self._config, self._model_dir = config, model_dir
        self._status = "FAILED"  # unless the run completes
        self._run_id = ""
        self._has_given_up = False
        self._events: queue.Queue[Callable[[Any], None] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._send, name="mlflow", daemon=True)

    def on_start(self, facts: RunFacts) -> None:
        self._events.put(lambda client: self._open(client, facts))
        self._thread.start()

    def on_log(self, log: StepLog) -> None:
        values = {f"loss/{name}": value for name, value in log.losses.items()} | {"loss/total": log.total_loss}
        values |= {f"train/{name}": value for name, value in log.metrics.items()}
        values |= {f"lr/{index}": rate for index, rate in enumerate(log.learning_rates)}
        if not log.is_warm_up:
            values["rows_per_second"] = log.rows_per_second
        self._put_metrics(values, log.position.step)

    def on_evaluation(self, evaluation: Evaluation) -> None:
        values = {f"eval/{name}": value for name, value in evaluation.metrics.items()}
        self._put_metrics(values, evaluation.step or 0)

    def on_complete(self, outcome: Outcome) -> None:
        self._status = "KILLED" if outcome.signal else "FINISHED"

    def on_end(self) -> None:
        if not self._thread.is_alive():
            return
        self._events.put(self._close)
        self._events.put(None)
        self._thread.join(_END_S)
        if self._thread.is_alive():
            self._has_given_up = True
            logger.warning("mlflow %s: no answer within %.0f s; the run goes on without it", self._uri, _END_S)

    @property
    def _uri(self) -> str:
        return self._config.train_config.mlflow.tracking_uri

    def _put_metrics(self, values: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)

        def send(client: Any) -> None:
            from mlflow.entities import Metric

            metrics = [Metric(_key(name), value, now, step) for name, value in values.items() if math.isfinite(value)]
            client.log_batch(self._run_id, metrics=metrics)

        self._events.put(send)

    def _send(self) -> None:
        with side_output(f"the run at {self._uri}"):
            client = _client(self._config)
            while (event := self._events.get()) is not None:
                try:
                    event(client)
                except Exception:
                    if self._has_given_up:  # of which `on_end` has warned: a late error is no news
                        return
                    raise

    def _open(self, client: Any, facts: RunFacts) -> None:
        """Continue the run of the model directory, or begin one."""
        from mlflow.entities import Param

        earlier = _read_run_id(self._config, self._model_dir) if facts.step >= 0 else ""
        if earlier:
            self._run_id = earlier
            client.update_run(earlier, status="RUNNING")
            return
        tracking = self._config.train_config.mlflow
        experiment = client.get_experiment_by_name(tracking.experiment)
        number = experiment.experiment_id if experiment else client.create_experiment(tracking.experiment)
        tags = {"tzrec.model_dir": str(self._model_dir)}
        tags |= {f"tzrec.version.{name}": version for name, version in facts.versions.items()}
        run = client.create_run(number, run_name=tracking.run_name or self._model_dir.name, tags=tags)
        self._run_id = run.info.run_id
        logger.info("mlflow %s/#/experiments/%s/runs/%s", self._uri.rstrip("/"), number, self._run_id)
        text = json.dumps({"tracking_uri": self._uri, "run_id": self._run_id}, indent=1)
        write_text(self._model_dir / RUN_FILE, f"{text}\n")
        params = [Param(_key(name), value[:_MAX_PARAM]) for name, value in run_params(self._config, facts).items()]
        for first in range(0, len(params), _PARAMS_AT_ONCE):
            client.log_batch(self._run_id, params=params[first : first + _PARAMS_AT_ONCE])

    def _close(self, client: Any) -> None:
        """Upload the files of the run and end it."""
        with tempfile.TemporaryDirectory(prefix="tzrec-mlflow-") as directory:
            for name in _FILES:
                if (self._model_dir / name).exists():
                    copy = Path(directory) / name
                    copy.write_bytes((self._model_dir / name).read_bytes())
                    client.log_artifact(self._run_id, str(copy))
        client.set_terminated(self._run_id, self._status)


def run_params(config: EasyRecConfig, facts: RunFacts) -> dict[str, str]:
    """List what distinguishes a run: facts of its data and model, and the fields of the config that are set."""
    names = ("model", "seed", "num_ranks", "num_train_rows", "batch_size", "num_steps", "num_dense_parameters")
    params = {name: str(getattr(facts, name)) for name in names}
    params["num_features"] = str(len(config.feature_configs))
    for name in ("train_input_path", "eval_input_path"):
        params[name] = str(getattr(config, name))
    for name in ("train_config", "data_config", "model_config"):
        params |= _set_fields(getattr(config, name), name)
    return params


def _set_fields(message: Message, path: str) -> dict[str, str]:
    """List the fields that are set, by path; those of messages one by one."""
    params: dict[str, str] = {}
    for field, value in message.ListFields():
        field_path = join(path, field.name)
        items = list(enumerate(value)) if field.is_repeated else [(None, value)]
        if field.message_type is None:
            params[field_path] = ", ".join(map(str, value)) if field.is_repeated else str(value)
            continue
        for index, item in items:
            params |= _set_fields(item, field_path if index is None else f"{field_path}.{index}")
    return params


def register_package(config: EasyRecConfig, model_dir: AnyPath, package_dir: AnyPath) -> None:
    """Upload a package to the run that trained it, and register it as a version of `registered_model`.

    Without a `registered_model` nothing happens. An error is logged as a warning: the package is complete without it.
    """
    model = config.train_config.mlflow.registered_model
    if not model:
        return
    uri = config.train_config.mlflow.tracking_uri
    with side_output(f"version of {model} at {uri}", "the package is complete, but not registered"):
        _ensure_installed()
        run_id = _read_run_id(config, model_dir)
        if not run_id:
            raise TzrecError(f"{model_dir / RUN_FILE} names no run of this server: train with train_config.mlflow")
        if not isinstance(package_dir, Path):
            raise TzrecError("only packages of this machine are uploaded")
        from mlflow.exceptions import MlflowException

        client = _client(config)
        client.log_artifacts(run_id, str(package_dir), package_dir.name)
        try:
            client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source = f"{client.get_run(run_id).info.artifact_uri}/{package_dir.name}"
        version = client.create_model_version(model, source, run_id=run_id).version
        logger.info("mlflow %s  version %s at %s", model, version, uri)


def _client(config: EasyRecConfig) -> Any:
    env.silence_mlflow()
    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it has lines of its own form
    from mlflow import MlflowClient  # seconds, in the thread of the tracker

    uri = config.train_config.mlflow.tracking_uri
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _read_run_id(config: EasyRecConfig, model_dir: AnyPath) -> str:
    """Return the run of a model directory on the server of the config; "" if it has none."""
    path = model_dir / RUN_FILE
    if not path.exists():
        return ""
    try:
        value = json.loads(path.read_text())
        is_same = value["tracking_uri"] == config.train_config.mlflow.tracking_uri
        return str(value["run_id"]) if is_same else ""
    except (ValueError, KeyError, TypeError):
        return ""


def _key(name: str) -> str:
    """Replace the characters that the server does not accept in names."""
    return "".join(char if char.isascii() and (char.isalnum() or char in "_-./ ") else "_" for char in name)


def _ensure_installed() -> None:
    if importlib.util.find_spec("mlflow") is None:
        raise SetupError("train_config.mlflow needs mlflow-skinny, which is not installed: pip install 'tzrec[mlflow]'")
