"""docs/add_a_model.md, followed literally: the files are written as shown, and the commands are run."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from google.protobuf import text_format

from tests.fixtures.package_modules import PACKAGE, package_modules
from tzrec.embedding.group import Dims
from tzrec.protos.model_pb2 import ModelConfig
from tzrec.protos.pipeline_pb2 import EasyRecConfig

ROOT = Path(__file__).parents[2]
OWN_PACKAGE, IN_REPOSITORY = "## In a package of your own", "## In this repository"
MODEL_PROTO = "protos/tzrec/protos/model.proto"
COPIED = ("tzrec", "protos", "tests", "experiments/planted", "examples", "setup.py", "pyproject.toml", "README.md")
MODEL_NAMES = {field.name for field in ModelConfig.DESCRIPTOR.oneofs_by_name["model"].fields}


class Page(NamedTuple):
    """A section of the page.

    Attributes:
        files: path and text of each file, or of a part of an existing file.
        commands: lines of its shell blocks.
    """

    files: list[tuple[str, str]]
    commands: list[list[str]]


def read_page(heading: str) -> Page:
    """Read the section of a heading, up to the next heading of its level."""
    text = (ROOT / "docs" / "add_a_model.md").read_text()
    section = re.split(r"^## ", text[text.index(heading) + 3 :], maxsplit=1, flags=re.MULTILINE)[0]
    files = re.findall(r"^`([\w./]+)`[^\n]*:\n\n```\w+\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    shell = "".join(re.findall(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE)).replace("\\\n", "")
    return Page(files, [shlex.split(line) for line in shell.splitlines()])


def write_files(page: Page, folder: Path) -> None:
    """Write the files of a section; parts of model.proto are inserted where the page states."""
    for name, text in page.files:
        path = folder / name
        if name != MODEL_PROTO:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        elif text.startswith("import"):
            path.write_text(path.read_text().replace("import ", f"{text}import ", 1))
        else:
            path.write_text(path.read_text().replace("  oneof model {\n", f"  oneof model {{\n{text}", 1))


def test_own_package_page_trains_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = read_page(OWN_PACKAGE)
    assert [name for name, _ in page.files] == ["my_models/feature_gate.py", "my_models/feature_gate.config"]
    write_files(page, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    export, *commands = page.commands
    assert export == ["export", "PYTHONPATH=."]
    for python, option, module, *arguments in commands:
        assert (python, option) == ("python", "-m")
        assert importlib.import_module(module).main(arguments) == 0, module
    assert (tmp_path / "runs" / "feature_gate" / "model.ckpt-1").is_dir()


def test_own_package_model_equals_its_formula(tmp_path: Path) -> None:
    page = read_page(OWN_PACKAGE)
    write_files(page, tmp_path)
    spec = importlib.util.spec_from_file_location("page_feature_gate", tmp_path / "my_models" / "feature_gate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = text_format.Parse(dict(page.files)["my_models/feature_gate.config"], EasyRecConfig())
    heads = module.FeatureGate.heads(config)
    model = module.FeatureGate({"hidden": 4}, Dims({"all": [2, 1]}), heads).eval()
    w = dict(model.named_parameters())
    assert {name.split(".")[1] for name in w if name.startswith("towers.")} == {"tower_ctr", "tower_cvr"}

    x = torch.tensor([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]])
    hidden = torch.tanh(x @ w["gate.0.weight"].T + w["gate.0.bias"])
    gated = x * 2 * torch.sigmoid(hidden @ w["gate.2.weight"].T + w["gate.2.bias"])
    output = model({"all": x})
    ctr = gated @ w["towers.tower_ctr.linear.weight"].T + w["towers.tower_ctr.linear.bias"]
    torch.testing.assert_close(output.logits["ctr"], ctr)

    layer = "towers.tower_cvr.mlp.layers.0.linear"
    hidden = (gated @ w[f"{layer}.weight"].T + w[f"{layer}.bias"]).clamp(min=0)
    cvr = hidden @ w["towers.tower_cvr.linear.weight"].T + w["towers.tower_cvr.linear.bias"]
    torch.testing.assert_close(output.logits["cvr"], cvr)


def test_repository_page_adds_a_model_with_its_own_files(tmp_path: Path) -> None:
    """Run in a copy of the repository; the files of the model and two lines of model.proto are the only changes."""
    for name in COPIED:
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    page = read_page(IN_REPOSITORY)
    assert [name for name, _ in page.files if (tmp_path / name).exists()] == [MODEL_PROTO] * 2
    write_files(page, tmp_path)
    for python, *arguments in page.commands:
        assert python == "python"
        ended = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, (arguments, ended.stdout[-3000:], ended.stderr[-3000:])
    assert (tmp_path / "experiments" / "feature_gate" / "model.ckpt-1").is_dir()


def collections_with_model_names(source: str) -> list[str]:
    """List the list, tuple, set and dict displays of a module that contain the name of a model."""
    displays = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.List, ast.Tuple, ast.Set, ast.Dict))
    ]
    elements = {node: node.keys if isinstance(node, ast.Dict) else node.elts for node in displays}
    return [
        ast.unparse(node)
        for node, parts in elements.items()
        if any(isinstance(part, ast.Constant) and part.value in MODEL_NAMES for part in parts)
    ]


def test_no_module_lists_models_by_name() -> None:
    modules = {str(path.relative_to(PACKAGE)): path.read_text() for path in package_modules()}
    lists = {path: collections_with_model_names(source) for path, source in modules.items()}
    assert {path: displays for path, displays in lists.items() if displays} == {}


@pytest.mark.parametrize("source", ['RULES = {"mmoe": 1}', 'x in ("deepfm", "mmoe")', 'MODELS = ["dlrm"]'])
def test_collections_with_model_names_finds_violations(source: str) -> None:
    assert len(collections_with_model_names(source)) == 1
