"""The commands of docs/serving.md."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.pages import ROOT, blocks, commands, for_small_model
from tests.fixtures.servers import serving
from tests.fixtures.small_model import exported_package

PAGE = "serving.md"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_commands_of_the_page_answer(tmp_path: Path) -> None:
    shutil.copytree(exported_package(), tmp_path / "mmoe")
    with serving(tmp_path / "mmoe") as server:
        answers = [
            subprocess.run(["sh", "-c", command], capture_output=True, check=True, timeout=60).stdout
            for command in (for_small_model(text, server.http_port, server.grpc_port) for text in commands(PAGE))
            if command.startswith("curl")
        ]
    ranked, scored, metadata, statistics, index, metrics = answers
    outputs = json.loads(ranked)["outputs"]
    assert len(outputs["probs_ctr"]) == 2 and outputs["probs_ctr"][0] != outputs["probs_ctr"][1]
    assert json.loads(scored)["outputs"][0]["shape"] == [2]
    assert json.loads(metadata)["versions"] == ["1"] and json.loads(index)[0]["state"] == "READY"
    assert json.loads(statistics)["model_stats"][0]["inference_count"] == 4
    assert b'tzrec_rows_total{model="mmoe"} 4.0' in metrics


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_page_leads_from_a_config_to_scores(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name, command in (("tzrec", f"{sys.executable} -m tzrec"), ("python", sys.executable)):
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = "".join(blocks(PAGE, "sh")).replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    script = script.replace("tzrec serve", f"tzrec serve --http_port {port} --grpc_port 0")
    script = f"set -e\ntrap 'kill %1; wait' EXIT\n{script}"
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    answers = done.stdout
    assert '"outputs":{"logits_ctr":[' in answers and '"name":"probs_ctr","datatype":"FP32","shape":[2]' in answers
    assert '"state":"READY"' in answers and 'tzrec_rows_total{model="mmoe"} 4.0' in answers


def test_serve_command_ends_with_status_0_when_it_is_told_to(tmp_path: Path) -> None:
    shutil.copytree(exported_package(), tmp_path / "mmoe")
    command = [sys.executable, "-m", "tzrec", "serve", "--model_path", str(tmp_path / "mmoe")]
    process = subprocess.Popen([*command, "--http_port", "0", "--grpc_port", "0"], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert any(line.startswith("serve  http://127.0.0.1:") for line in lines)
        process.terminate()
        assert process.wait(60) == 0
        assert "serve  model mmoe is unloaded" in process.stderr.read()
    finally:
        process.kill()
