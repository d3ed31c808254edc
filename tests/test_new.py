"""Templates of configs: one per model, commented, valid, and trained on their synthetic data."""

from __future__ import annotations

from pathlib import Path

import pytest

import tzrec
from tests.house.test_examples import CONFIGS
from tzrec import registry
from tzrec.config.canonical import format_text
from tzrec.config.check import inspect
from tzrec.config.load import load_source
from tzrec.config.syntax import comments
from tzrec.config.template import template, template_models
from tzrec.new import main
from tzrec.protos.model_pb2 import ModelConfig
from tzrec.tools.make_data import make

MODELS = list(template_models())
QUICK = ("mmoe",)


def test_every_model_has_a_template() -> None:
    fields = ModelConfig.DESCRIPTOR.oneofs_by_name["model"].fields
    assert {field.name for field in fields if registry.is_implemented(field)} == {*MODELS, "custom"}
    assert {path.parent for path in template_models().values()} == {CONFIGS[0].parent}


@pytest.mark.parametrize("model", MODELS)
def test_template_is_valid_commented_and_in_the_canonical_layout(model: str, tmp_path: Path) -> None:
    path = tmp_path / f"{model}.config"
    path.write_text(template(model))
    source = load_source(str(path))
    checker = inspect(source)
    assert [str(problem) for problem in checker.problems] == []
    assert [str(warning) for warning in checker.warnings if "there is no file" not in warning.message] == []
    assert source.config.model_config.WhichOneof("model") == model
    text = path.read_text()
    assert format_text(text) == text
    assert text.startswith("# proto-file: tzrec/protos/pipeline.proto\n")
    assert len(comments(text)) > 40
    assert max(map(len, text.splitlines())) <= 120
    assert len(source.config.feature_configs) <= 12
    assert f"data/{model}/" in source.config.train_input_path


def test_template_shows_fields_that_are_not_set_with_their_defaults() -> None:
    unset = "    # MLP shared by both towers; unset means that only the embeddings are shared.\n    # bottom_mlp {}\n"
    assert unset in template("esmm")
    assert "    # stacked: false\n" in template("gdcn")


@pytest.mark.parametrize(
    "model", [pytest.param(model, marks=[] if model in QUICK else [pytest.mark.slow]) for model in MODELS]
)
def test_template_trains_on_its_synthetic_data(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([model]) == 0
    assert f"tzrec train --pipeline_config {model}.config" in capsys.readouterr().out
    make(f"{model}.config", f"data/{model}", train_rows=600, eval_rows=200)
    run = tzrec.train(f"{model}.config", edit={"train_config.num_steps": 2})
    assert run.step == 1  # from 0
    assert run.metrics
    assert (tmp_path / "experiments" / model / "pipeline.config").exists()


def test_command_lists_models_and_refuses_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "mmoe               Multi-gate mixture of experts" in capsys.readouterr().out
    assert main(["mmoee"]) == 2
    assert '"mmoee" has no template; did you mean "mmoe"?' in capsys.readouterr().err
    assert main(["custom"]) == 2
    assert "see docs/add_a_model.md" in capsys.readouterr().err
    path = tmp_path / "a.config"
    path.write_text("mine")
    assert main(["mmoe", "--output", str(path)]) == 2
    assert path.read_text() == "mine"
    assert main(["mmoe", "--output", str(path), "--overwrite"]) == 0
    assert path.read_text() == template("mmoe")
