"""The commands of docs/serving.md."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.servers import serving
from tests.fixtures.small_model import exported_package

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_commands_of_the_page_answer(tmp_path: Path) -> None:
    shutil.copytree(exported_package(), tmp_path / "mmoe")
    with serving(tmp_path / "mmoe") as server:
        commands = "".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))
        for name, own in (("user_id", "user"), ("age_level", "friend"), ("adgroup_id", "item"), ("8000", None)):
            assert name in commands
            commands = commands.replace(name, own or str(server.http_port))
        answers = [
            subprocess.run(["sh", "-c", f"curl -s {command}"], capture_output=True, check=True, timeout=60).stdout
            for command in commands.split("curl -s ")[1:]
        ]
    ranked, scored, metadata, index, metrics = answers
    outputs = json.loads(ranked)["outputs"]
    assert len(outputs["probs_ctr"]) == 2 and outputs["probs_ctr"][0] != outputs["probs_ctr"][1]
    assert json.loads(scored)["outputs"][0]["shape"] == [2]
    assert json.loads(metadata)["versions"] == ["1"] and json.loads(index)[0]["state"] == "READY"
    assert b'tzrec_rows_total{model="mmoe"} 4.0' in metrics


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
