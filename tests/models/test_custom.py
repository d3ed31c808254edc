from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from google.protobuf import text_format

from examples.residual_tower import ResidualTower
from tests.fixtures import multi_task, reference, single_task
from tzrec.check import main as check_main
from tzrec.config.heads import AuxiliaryLoss, DeclaredHeads, declare_heads
from tzrec.errors import ConfigError
from tzrec.heads.build import build_heads
from tzrec.heads.heads import Heads
from tzrec.models.base import Model
from tzrec.models.custom import ENTRY_POINT_GROUP, CustomModel, load_custom_class
from tzrec.protos.models.custom_model_pb2 import CustomModel as Message
from tzrec.protos.pipeline_pb2 import EasyRecConfig

CLASS = "examples.residual_tower:ResidualTower"
PARAMS = """params {
  fields { key: "blocks" value { number_value: 2 } } fields { key: "hidden" value { number_value: 3 } }
}"""
TEXT = f'class_path: "{CLASS}" {PARAMS}'
WIDTHS = {"all": [8, 8]}
SMOOTH, SMALL = f"custom {{ {TEXT} }}", {"all": [2, 1]}
LEARNER = SMOOTH.replace("number_value: 3", "number_value: 64")
EXAMPLE = Path(__file__).parents[2] / "examples" / "configs" / "custom_taobao.config"


def residual(w: reference.Weights, x: np.ndarray) -> np.ndarray:
    for block in ("model.blocks.0", "model.blocks.1"):
        x = x + reference.linear(w, f"{block}.2", np.tanh(reference.linear(w, f"{block}.0", x)))
    return x


@pytest.mark.parametrize("num_class", [1, 3])
def test_logits_of_one_task_equal_the_reference(num_class: int) -> None:
    model = single_task.build(f"custom {{ {TEXT} }}", WIDTHS, num_class)
    assert isinstance(model, CustomModel)
    grouped, w = single_task.random_groups(WIDTHS, 9), reference.weights(model)
    naive = [
        reference.linear(w, "model.towers.tower.linear", residual(w, row["all"])) for row in reference.rows(grouped)
    ]
    single_task.assert_logits_equal(model, grouped, naive)


def test_logits_of_task_towers_equal_the_reference() -> None:
    model, _ = multi_task.build(
        "custom", TEXT + multi_task.task_tower("ctr", mlp="hidden_units: [6, 3]") + multi_task.task_tower("cvr", "buy")
    )

    def naive(w: reference.Weights, row: dict[str, reference.Array]) -> dict[str, reference.Array]:
        return reference.towers(w, ["ctr", "cvr"], [residual(w, row["all"])] * 2, "model.towers")

    multi_task.assert_equals_reference(model, multi_task.random_groups(), naive)


class GatedTower(ResidualTower):
    @classmethod
    def heads(cls, config: EasyRecConfig) -> Heads:
        return build_heads(DeclaredHeads(declare_heads(config).heads, [AuxiliaryLoss("mean_gate", 0.01)]))


def test_heads_of_the_class_are_those_of_the_model() -> None:
    path = f"{GatedTower.__module__}:GatedTower"
    _, heads = multi_task.build("custom", f'class_path: "{path}" {PARAMS}' + multi_task.task_tower("ctr"))
    assert list(heads) == ["ctr"]
    assert list(heads.auxiliary_losses) == ["mean_gate"]


def load(path: str) -> type[Model]:
    return load_custom_class(text_format.Parse(f'class_path: "{path}"', Message()))


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        (
            "nowhere.at_all:Net",
            "No module named 'nowhere'. Install its package, or add the directory",
        ),
        ("examples.residual_tower:Tower", "has no attribute 'Tower'"),
        ("torch.nn:Linear", '"torch.nn:Linear" is not a subclass of tzrec.models.base.Model'),
        ("torch:float32", '"torch:float32" is not a subclass of tzrec.models.base.Model'),
        ("net", '"net" is neither package.module:Class nor an entry point of the group tzrec.models'),
    ],
)
def test_class_path_that_cannot_be_loaded_is_rejected(path: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(path)
    (reported,) = caught.value.problems
    assert reported.field == "model_config.custom.class_path"
    assert problem in reported.message


def test_module_that_raises_is_reported_with_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_net.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="cannot be imported: ZeroDivisionError: division by zero"):
        load("broken_net:Net")


def test_entry_point_names_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = metadata.EntryPoint("residual", CLASS, ENTRY_POINT_GROUP)
    monkeypatch.setattr(metadata, "entry_points", lambda group: (entry,) if group == ENTRY_POINT_GROUP else ())
    assert load("residual").__name__ == "ResidualTower"
    with pytest.raises(ConfigError, match="use one of residual"):
        load("residuum")


def test_check_reports_the_line_of_the_class_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = EXAMPLE.read_text().replace("ResidualTower", "Tower")
    line = text[: text.index("class_path")].count("\n") + 1
    (tmp_path / "my.config").write_text(text)
    assert check_main(["--pipeline_config", str(tmp_path / "my.config")]) == 2
    output = "".join(capsys.readouterr())
    assert f"my.config:{line}:5 model_config.custom.class_path:" in output
    assert "has no attribute 'Tower'" in output
    assert check_main(["--pipeline_config", str(EXAMPLE)]) == 0


def test_params_with_whole_numbers_are_integers() -> None:
    assert "examples.residual_tower" in sys.modules
    model = single_task.build(f"custom {{ {TEXT} }}", WIDTHS)
    assert [tuple(parameter.shape) for parameter in model.model.blocks[0].parameters()] == [
        (3, 16),
        (3,),
        (16, 3),
        (16,),
    ]
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
