"""Files of deploy/: they parse, agree with each other and with the server, and keep the usual rules of containers."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from prometheus_client import CollectorRegistry

from tzrec.config.check import load_checked_message
from tzrec.protos.observation_pb2 import RequestLog
from tzrec.protos.serve_pb2 import ServeConfig
from tzrec.server.metrics import Metrics
from tzrec.server.request_logger import RequestLogger
from tzrec.server.stores.store_metrics import StoreMetrics

yaml: Any = importlib.import_module("yaml")

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
YAML = sorted(DEPLOY.rglob("*.yml"))
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "tzrec.json"
SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "gauge": ("",),
}
LABELS = {
    "le",
    "quantile",
    "status",
    "protocol",
    "stage",
    "model",
    "version",
    "output",
    "feature",
    "column",
    "result",
    "instance",
}


def documents(path: Path) -> list[Any]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document is not None]


def kubernetes(kind: str, path: str = "deployment.yml") -> dict[str, Any]:
    (found,) = [entry for entry in documents(DEPLOY / "kubernetes" / path) if entry["kind"] == kind]
    return dict(found)


@pytest.fixture(scope="module")
def metric_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of all samples that a server can export."""
    metrics = Metrics()
    registry: CollectorRegistry = metrics.registry
    StoreMetrics(registry)
    logger = RequestLogger(RequestLog(directory=str(tmp_path_factory.mktemp("log"))), registry)
    logger.close()
    return {family.name + suffix for family in registry.collect() for suffix in SUFFIXES[family.type]}


def expressions() -> Iterator[tuple[str, str]]:
    """Title and PromQL of each panel, variable and alert."""
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]
    for group in documents(DEPLOY / "prometheus" / "alerts.yml")[0]["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


@pytest.mark.parametrize("path", YAML, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_yaml_parses_and_has_no_tabs_or_duplicate_keys(path: Path) -> None:
    class Unique(yaml.SafeLoader):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            assert len(keys) == len(set(keys)), f"{node.start_mark}: a key stands twice"
            return super().construct_mapping(node, deep)

    assert "\t" not in path.read_text()
    assert list(yaml.load_all(path.read_text(), Unique))


@pytest.mark.parametrize(("title", "expression"), list(expressions()))
def test_each_metric_of_dashboard_and_alerts_exists(title: str, expression: str, metric_names: set[str]) -> None:
    used = set(re.findall(r"\b(?:tzrec|process)_\w+", expression))
    assert used and used <= metric_names, title
    grouped = {label.strip() for labels in re.findall(r"by \(([^)]*)\)", expression) for label in labels.split(",")}
    matched = set(re.findall(r"[{,]\s*(\w+)\s*[=!]", expression))
    assert grouped | matched <= LABELS, title
    assert expression.count("(") == expression.count(")") and expression.count("{") == expression.count("}")


def test_dashboard_shows_each_metric_of_requests_features_and_scores(metric_names: set[str]) -> None:
    shown = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for _, text in expressions()
        for name in re.findall(r"tzrec_\w+", text)
    }
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in metric_names}
    assert {name for name in families - shown if name.startswith("tzrec") and "store" not in name} <= {"tzrec_scores"}


def test_dashboard_has_unique_ids_and_panels_side_by_side() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) < 24
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(panels))) - {"__rate_interval", "__range"}
    assert used <= variables
    refs = [target["refId"] for panel in panels for target in panel.get("targets", [])]
    assert refs and all(panel["datasource"]["uid"] == "${datasource}" for panel in panels if panel["type"] != "row")


def test_server_configs_are_valid(tmp_path: Path) -> None:
    config = load_checked_message(str(DEPLOY / "server.config"), ServeConfig())
    assert config.host == "0.0.0.0" and (config.http_port, config.grpc_port) == (8000, 8001)
    text = kubernetes("ConfigMap")["data"]["server.config"]
    (tmp_path / "server.config").write_text(text)
    mapped = load_checked_message(str(tmp_path / "server.config"), ServeConfig())
    assert mapped == config, text_format.MessageToString(config)


def instructions(text: str) -> list[tuple[str, str]]:
    """Instructions of a Dockerfile and their arguments, with continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    pairs = [line.partition(" ") for line in joined.splitlines() if line.strip()]
    return [(word, rest) for word, _, rest in pairs]


def test_dockerfile_keeps_the_rules() -> None:
    lines = instructions((DEPLOY / "Dockerfile").read_text())
    known = {
        "FROM",
        "ENV",
        "RUN",
        "COPY",
        "USER",
        "WORKDIR",
        "EXPOSE",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    }
    assert {word for word, _ in lines} <= known
    for word, rest in lines:
        if word == "FROM":
            assert re.match(r"\S+:\d+\.\d+\.\d+-slim-\w+( AS \w+)?$", rest), "pin the base image"
        if word == "RUN" and "apt-get install" in rest:
            assert rest.startswith("apt-get update &&") and "--no-install-recommends" in rest
            assert "rm -rf /var/lib/apt/lists/*" in rest and "--yes" in rest
        if word == "COPY" and "--from" not in rest:
            assert all((ROOT / path).exists() for path in rest.split()[:-1]), rest
        if word in ("ENTRYPOINT", "CMD"):
            assert isinstance(json.loads(rest), list), "use the exec form: signals must reach the server"
        assert "sudo" not in rest and "ADD" not in word and "latest" not in rest
    words = [word for word, _ in lines]
    last_stage = lines[len(words) - 1 - words[::-1].index("FROM") :]
    user = [rest for word, rest in last_stage if word == "USER"]
    assert user and all(re.fullmatch(r"[1-9]\d+:[1-9]\d+", rest) for rest in user)
    assert "PIP_NO_CACHE_DIR=1" in str(lines) and "g++" not in str(last_stage)


def test_dockerfile_installs_the_release_of_the_makefile() -> None:
    text = " ".join(rest for _, rest in instructions((DEPLOY / "Dockerfile").read_text()))
    pins = dict(re.findall(r"(torch|torchrec|fbgemm-gpu-cpu)==([\d.]+)", text))
    made = re.findall(r"^(TORCH|TORCHREC|FBGEMM) := .*==([\d.]+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {name.upper()[:6]: version for name, version in pins.items() if name != "torch"} == {
        name[:6]: version for name, version in made if name != "TORCH"
    }
    assert pins["torch"] == dict(made)["TORCH"]


def test_dockerfile_caches_kernels_that_another_process_loads(tmp_path: Path) -> None:
    """Run the line that fills the cache in the image, with its settings; a second process then compiles nothing."""
    lines = instructions((DEPLOY / "Dockerfile").read_text())
    (command,) = [rest for word, rest in lines if word == "RUN" and "kernels" in rest]
    settings = dict(
        word.split("=", 1) for word, rest in lines if word == "ENV" for word in rest.split() if "NUMBA" in word
    )
    environment = {**os.environ, **settings, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path)}
    script = command.removeprefix('python -c "').removesuffix('"')
    modules = "tzrec.server.kernels.strings"  # one of them; all take a minute
    script = script.replace("'.kernels.' in m.name", f"m.name == '{modules}'")
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=300)
    (index,) = tmp_path.rglob("*.nbi")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert index in before
    check = f"import {modules} as m; print(sum(sum(f.stats.cache_misses.values()) for f in [m.unpack]))"
    result = subprocess.run(
        [sys.executable, "-c", check], env=environment, check=True, timeout=300, capture_output=True
    )
    assert result.stdout.strip() == b"0"
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}


def test_compose_services_are_limited_and_pinned() -> None:
    (compose,) = documents(DEPLOY / "docker-compose.yml")
    for name, service in compose["services"].items():
        assert re.search(r":v?\d+\.\d+", service["image"]), f"{name}: pin the image"
        assert service["mem_limit"] and service["restart"] == "unless-stopped"
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (DEPLOY / source).exists(), volume
            elif not source.startswith("$"):
                assert source in compose["volumes"], volume
    server = compose["services"]["tzrec"]
    assert server["read_only"] and server["tmpfs"] == ["/tmp:exec"] and server["cap_drop"] == ["ALL"]
    (scrape,) = documents(DEPLOY / "prometheus" / "prometheus.yml")[0]["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": ["tzrec:8000"]}]
    (source,) = documents(DEPLOY / "grafana/provisioning/datasources/prometheus.yml")[0]["datasources"]
    dashboard = json.loads(DASHBOARD.read_text())
    assert source["uid"] == dashboard["templating"]["list"][0]["current"]["value"]
    (provider,) = documents(DEPLOY / "grafana/provisioning/dashboards/tzrec.yml")[0]["providers"]
    assert any(
        volume.endswith(f":{provider['options']['path']}:ro") for volume in compose["services"]["grafana"]["volumes"]
    )


def test_kubernetes_objects_select_each_other() -> None:
    deployment, service, scaler = (kubernetes(kind) for kind in ("Deployment", "Service", "HorizontalPodAutoscaler"))
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    budget = kubernetes("PodDisruptionBudget")
    for selector in (
        deployment["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        budget["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": 8000, "grpc": 8001}
    assert {port["targetPort"] for port in service["spec"]["ports"]} == set(ports)
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    shutdown = load_checked_message(str(DEPLOY / "server.config"), ServeConfig()).shutdown
    assert shutdown.drain_s > 0 and pod["terminationGracePeriodSeconds"] > shutdown.drain_s + shutdown.grace_s


@pytest.mark.parametrize("path", ["deployment.yml", "kserve.yml"])
def test_containers_are_probed_limited_and_not_root(path: str) -> None:
    kind = {"deployment.yml": "Deployment", "kserve.yml": "ServingRuntime"}[path]
    spec = kubernetes(kind, path)["spec"]
    pod = spec["template"]["spec"] if kind == "Deployment" else spec
    (container,) = pod["containers"]
    assert container["resources"]["requests"] == container["resources"]["limits"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    security = {**pod.get("securityContext", {}), **container["securityContext"]}
    assert security["runAsNonRoot"] and security["runAsUser"] == 10001
    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"
    assert re.search(r":\d+\.\d+$", container["image"]) and "latest" not in container["image"]


def test_kserve_service_uses_the_runtime() -> None:
    runtime, service = kubernetes("ServingRuntime", "kserve.yml"), kubernetes("InferenceService", "kserve.yml")
    model = service["spec"]["predictor"]["model"]
    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["modelFormat"]["name"] in {entry["name"] for entry in runtime["spec"]["supportedModelFormats"]}
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]
