"""Migration guides: each config fragment parses, and the configs and commands of each page run in their order."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from google.protobuf import text_format
from google.protobuf.message import Message

import tzrec.protos
from tests.house.test_commands import commands, split
from tests.migration import original_models as original
from tests.migration.conftest import save_original
from tzrec.config.check import check
from tzrec.config.load import load_source
from tzrec.protos.feature_pb2 import FeatureConfig
from tzrec.protos.model_pb2 import ModelConfig
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.protos.tower_pb2 import Tower
from tzrec.protos.train_pb2 import TrainConfig
from tzrec.tools.make_data import make

DOCS = Path(__file__).parents[2] / "docs"
MESSAGES: list[type[Message]] = [EasyRecConfig, TrainConfig, ModelConfig, FeatureConfig, Tower]


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and text of the code blocks of a page."""
    return re.findall(r"^```(\w*)\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)


def config_of(page: str) -> str:
    """The only config of a page."""
    (text,) = [text for _, text in blocks(page) if text.startswith("train_input_path")]
    return text


def fragments(page: str) -> Iterator[str]:
    """Configs in the right columns of the tables of a page."""
    for line in (DOCS / page).read_text().splitlines():
        cells = re.split(r"(?<!\\)\|", line)
        if line.startswith("|") and len(cells) == 4:
            yield from (code for code in re.findall(r"`([^`]+)`", cells[2]) if "{" in code or re.match(r"\w+: ", code))


def run_commands(page: str, stop: str = "nothing") -> None:
    """Run the commands of a page in order, in this process, up to the first one of a kind."""
    for command in commands((DOCS / page).read_text()):
        target = split(command)
        if target is None:
            continue
        module, arguments = target
        if module == f"tzrec.{stop}":
            return
        assert importlib.import_module(module).main(arguments) == 0, command


@pytest.mark.parametrize(
    ("page", "fragment"),
    [
        pytest.param(page, fragment, id=f"{page}: {fragment[:50]}")
        for page in ("from_torcheasyrec.md", "from_easyrec.md", "from_deepctr.md")
        for fragment in fragments(page)
    ],
)
def test_config_of_table_has_fields_of_the_schema(page: str, fragment: str) -> None:
    text, problems = fragment.replace("\\|", "|"), []
    for message in MESSAGES:
        try:
            text_format.Parse(text, message())
            return
        except text_format.ParseError as error:
            problems.append(str(error))
    raise AssertionError(problems)


def save_checkpoint_of_page() -> None:
    """Write the checkpoint that the page imports."""
    generator = torch.Generator().manual_seed(0)
    bags = "model.embedding_group.emb_impls.__BASE__.ebc.embedding_bags"
    tensors = {
        f"{bags}.user_id_emb.weight": torch.randn(1000, 8, generator=generator),
        f"{bags}.item_id_emb.weight": torch.randn(500, 8, generator=generator),
    }
    modules = {
        "towers.all": original.Mlp(17, [32, 16]),
        "final_mlp": original.Mlp(16, [8]),
        "output_mlp": torch.nn.Linear(8, 1),
    }
    for path, module in modules.items():
        tensors |= {f"model.{path}.{name}": value for name, value in module.state_dict().items()}
    save_original(Path("old/model.ckpt-1000"), tensors)
    Path("old/model.ckpt-1000/optimizer").mkdir()


@pytest.mark.parametrize("stop", ["export", pytest.param("nothing", marks=pytest.mark.slow)])
def test_torcheasyrec_page_runs_in_order(
    stop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    page = "from_torcheasyrec.md"
    Path("my.config").write_text(config_of(page))
    save_checkpoint_of_page()
    run_commands(page, stop)
    (shown,) = [text for _, text in blocks(page) if text.startswith("loaded ")]
    assert shown in capsys.readouterr().out
    assert Path("tuned/pipeline.config").is_file()
    if stop == "nothing":
        assert list(Path("scores").glob("*.parquet"))


def test_easyrec_page_runs_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    page = "from_easyrec.md"
    Path("old.config").write_text(config_of(page))
    Path("data").mkdir()
    rng = np.random.default_rng(0)
    for name in ("train", "eval"):
        item = rng.integers(0, 20, 500)
        rows = [f"{i % 2},u{rng.integers(50)},i{i},a|b,{rng.random():.2f},i3|i{rng.integers(20)}\n" for i in item]
        Path(f"data/{name}.csv").write_text("".join(rows))
    run_commands(page)
    printed = capsys.readouterr().out
    (shown,) = [text for _, text in blocks(page) if text.startswith("old.config:")]
    assert shown in printed
    assert Path("experiments/converted/model.ckpt-29").is_dir()


def test_deepctr_page_config_passes_check(tmp_path: Path) -> None:
    (tmp_path / "my.config").write_text(config_of("from_deepctr.md"))
    assert check(load_source(str(tmp_path / "my.config"))) == []


@pytest.mark.slow
def test_deepctr_page_script_scores_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = "from_deepctr.md"
    Path("my.config").write_text(config_of(page))
    make("my.config", "data", 2000, 500)
    script, _ = [text for language, text in blocks(page) if language == "python"]
    names: dict[str, Any] = {}
    exec(script, names)
    assert 0.5 < names["run"].metrics["auc"] <= 1
    assert [0 < score.as_py() < 1 for score in names["scores"]] == [True, True]


def test_deepctr_page_builds_a_model_in_ten_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, script = [text for language, text in blocks("from_deepctr.md") if language == "python"]
    assert len([line for line in script.splitlines() if line]) <= 10
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, 40, 3000), rng.integers(0, 30, 3000)
    clk = rng.random(3000) < user / 40
    columns = {
        "user_id": [f"u{number}" for number in user],
        "item_id": [f"i{number}" for number in item],
        "price": rng.random(3000) * 9,
        "clk": clk.astype(int),
        "buy": (clk & (rng.random(3000) < item / 30)).astype(int),
    }
    frame = pa.table(columns)
    names: dict[str, Any] = {"train": frame.slice(0, 2500), "test": frame.slice(2500)}
    exec(script, names)
    assert names["run"].metrics["auc_clk"] > 0.65
    assert names["run"].metrics["auc_buy"] > 0.65
    assert names["scores"].num_rows == 500
    assert {"probs_clk", "probs_buy"} <= set(names["scores"].column_names)


def test_deepctr_arguments_of_mmoe_are_messages_of_the_schema() -> None:
    (table,) = re.findall(r"\| argument of `MMOE`.*?\n\n", (DOCS / "from_deepctr.md").read_text(), re.DOTALL)
    codes = [code for line in table.strip().splitlines()[2:] for code in re.findall(r"`([^`]+)`", line.split(" | ")[1])]
    calls = [code for code in codes if "(" in code]
    messages = {name: getattr(tzrec.protos, name) for name in dir(tzrec.protos)}
    assert len(calls) == 9
    for call in calls:
        eval(call, messages | {"model": messages["MMoE"]()})
