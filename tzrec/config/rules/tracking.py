"""Trackers of runs: the server of MLflow and the file of Prometheus."""

from __future__ import annotations

from tzrec.config.checker import Checker


def check_tracking(checker: Checker) -> None:
    """Check the addresses of what a run is reported to."""
    train = checker.config.train_config
    uri, path = train.mlflow.tracking_uri, train.prometheus_file
    if uri and not uri.startswith(("http://", "https://")):
        problem = f'"{uri}" is not the address of a server, such as http://127.0.0.1:5000; start one with mlflow server'
        checker.error("train_config.mlflow.tracking_uri", problem)
    if path and ("://" in path or not path.endswith(".prom")):
        problem = f'"{path}" must be a local file that ends with .prom: the node exporter reads no others'
        checker.error("train_config.prometheus_file", problem)
