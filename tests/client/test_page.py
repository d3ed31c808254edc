"""The examples of docs/clients.md."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.pages import blocks, commands, for_small_model
from tests.fixtures.servers import serving
from tests.fixtures.small_model import exported_package
from tzrec.protos.serving import inference_pb2 as pb
from tzrec.server.run import Server

PAGE = "clients.md"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(exported_package(), tmp_path_factory.mktemp("models") / "mmoe"))


@pytest.fixture(scope="module")
def server(package: Path) -> Iterator[Server]:
    with serving(package) as server:
        yield server


def example(server: Server, language: str, word: str) -> str:
    """The only block with a word, for the server."""
    (code,) = [code for code in blocks(PAGE, language) if word in code]
    return for_small_model(code, server.http_port, server.grpc_port)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_lines_answer(server: Server) -> None:
    answers = [
        json.loads(subprocess.run(["sh", "-c", command], capture_output=True, check=True, timeout=60).stdout)
        for command in (for_small_model(text, server.http_port, server.grpc_port) for text in commands(PAGE))
    ]
    assert len(answers[0]["outputs"]["probs_ctr"]) == 2 and answers[1]["openapi"] == "3.1.0"


def test_python_examples_print_scores(
    server: Server, package: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names: dict[str, Any] = {}
    exec(example(server, "python", "client.rank(") + example(server, "python", "client.predict("), names)
    names["client"].close()
    ranked, predicted = capsys.readouterr().out.splitlines()
    assert len(json.loads(ranked)) == 2 and predicted.endswith(" 2") and "'probs_ctr'" in predicted
    monkeypatch.chdir(package.parent.parent)
    exec(example(server, "python", "tzrec.load").replace("models/mmoe", str(package)), {})
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_tritonclient_example_prints_scores(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tritonclient.http")
    exec(example(server, "python", "tritonclient").replace('"INT64"', '"BYTES"'), {})
    assert capsys.readouterr().out.startswith("[0.")


@pytest.mark.skipif(shutil.which("java") is None, reason="needs Java 17")
def test_java_example_prints_scores(server: Server, tmp_path: Path) -> None:
    source = tmp_path / "Rank.java"
    source.write_text(example(server, "java", "class Rank"))
    done = subprocess.run(["java", str(source)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["outputs"]["probs_ctr"]) == 2


def test_go_example_names_what_the_proto_has() -> None:
    (code,) = blocks(PAGE, "go")
    nested = {name.replace("_", ".") for name in re.findall(r"pb\.(Model\w+|InferTensorContents)\{", code)}
    nested |= {name.replace("_", ".") for name in re.findall(r"\[\]\*pb\.(\w+)\{", code)}
    messages = [pb.DESCRIPTOR.message_types_by_name[name.split(".")[0]] for name in nested]
    messages += [outer.nested_types_by_name[name.split(".")[1]] for outer, name in zip(messages, nested) if "." in name]
    fields = {field.name.replace("_", "") for message in messages for field in message.fields}
    used = {name.lower() for name in re.findall(r"(\w+):\s", code)} | {"rawoutputcontents"}
    fields |= {"rawoutputcontents"} & {field.name.replace("_", "") for field in pb.ModelInferResponse.DESCRIPTOR.fields}
    assert len(nested) == 4 and used <= fields
    methods = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    assert "ModelInfer" in methods and ".ModelInfer(ctx" in code
