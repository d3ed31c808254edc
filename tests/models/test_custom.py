from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from google.protobuf import text_format

from tests.models import multi_task as mt
from tests.models import single
from tzrec import check
from tzrec.errors import ConfigError
from tzrec.models.base import Model
from tzrec.models.custom import GROUP, CustomModel, class_of
from tzrec.protos.models.custom_model_pb2 import CustomModel as Message

CLASS = "examples.residual_tower:ResidualTower"
PARAMS = """params {
  fields { key: "blocks" value { number_value: 2 } } fields { key: "hidden" value { number_value: 3 } }
}"""
TEXT = f'class_path: "{CLASS}" {PARAMS}'
WIDTHS = {"all": [8, 8]}
SMOOTH, SMALL = f"custom {{ {TEXT} }}", {"all": [2, 1]}
LEARNER = SMOOTH.replace("number_value: 3", "number_value: 64")
EXAMPLE = Path(__file__).parents[2] / "examples" / "configs" / "custom_taobao.config"


def residual(w: single.Weights, x: np.ndarray) -> np.ndarray:
    for block in ("model.blocks.0", "model.blocks.1"):
        x = x + single.linear(w, f"{block}.2", np.tanh(single.linear(w, f"{block}.0", x)))
    return x


@pytest.mark.parametrize("num_class", [1, 3])
def test_one_task_equals_a_naive_loop(num_class: int) -> None:
    model = single.build(f"custom {{ {TEXT} }}", WIDTHS, num_class)
    assert isinstance(model, CustomModel)
    grouped, w = single.groups(WIDTHS, 9), single.weights(model)
    naive = [single.linear(w, "model.towers.tower.linear", residual(w, row["all"])) for row in single.rows_of(grouped)]
    single.equals(model, grouped, naive)


def test_task_towers_equal_a_naive_loop() -> None:
    model, _ = mt.build("custom", TEXT + mt.tower("ctr", mlp="hidden_units: [6, 3]") + mt.tower("cvr", "buy"))

    def naive(w: mt.Weights, row: dict[str, mt.Array]) -> dict[str, mt.Array]:
        return mt.towers(w, ["ctr", "cvr"], [residual(w, row["all"])] * 2, "model.towers")

    mt.check_rows(model, mt.inputs(), naive)


def named(path: str) -> type[Model]:
    return class_of(text_format.Parse(f'class_path: "{path}"', Message()))


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
def test_a_class_that_is_not_there(path: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        named(path)
    (found,) = caught.value.problems
    assert found.field == "model_config.custom.class_path"
    assert problem in found.message


def test_a_module_that_fails_is_named_with_what_it_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_net.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="cannot be imported: ZeroDivisionError: division by zero"):
        named("broken_net:Net")


def test_an_installed_package_gives_it_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = metadata.EntryPoint("residual", CLASS, GROUP)
    monkeypatch.setattr(metadata, "entry_points", lambda group: (entry,) if group == GROUP else ())
    assert named("residual").__name__ == "ResidualTower"
    with pytest.raises(ConfigError, match="there are residual"):
        named("residuum")


def test_check_says_where_the_class_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = EXAMPLE.read_text().replace("ResidualTower", "Tower")
    line = text[: text.index("class_path")].count("\n") + 1
    (tmp_path / "my.config").write_text(text)
    assert check.main(["--pipeline_config", str(tmp_path / "my.config")]) == 2
    said = "".join(capsys.readouterr())
    assert f"my.config:{line}:5 model_config.custom.class_path:" in said
    assert "has no attribute 'Tower'" in said
    assert check.main(["--pipeline_config", str(EXAMPLE)]) == 0


def test_params_keep_whole_numbers_whole() -> None:
    assert "examples.residual_tower" in sys.modules
    model = single.build(f"custom {{ {TEXT} }}", WIDTHS)
    assert [tuple(each.shape) for each in model.model.blocks[0].parameters()] == [(3, 16), (3,), (16, 3), (16,)]
    assert all(each.dtype == torch.float32 for each in model.parameters())
