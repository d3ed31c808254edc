"""The examples of docs/incremental.md run as they are written."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tzrec
from tests.fixtures.row_counts import CONFIG
from tzrec import cli
from tzrec.checkpoint import store
from tzrec.checkpoint.restore import stored_sizes

PAGE = (Path(__file__).parents[2] / "docs" / "incremental.md").read_text()
BRAND = (
    'feature_configs { id_feature { feature_name: "brand" expression: "item:brand" num_buckets: 9 embedding_dim: 8 } }'
)


@pytest.fixture
def week(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven days with one file of 200 rows each, under both names of the page, and the two configs."""
    monkeypatch.chdir(tmp_path)
    for day in range(7):
        ids = np.arange(200 * day, 200 * day + 200)
        table = pa.table(
            {
                "row_id": ids,
                "user": ids % 300,
                "cate": [f"c{number}" for number in ids % 40],
                "price": np.sin(ids),
                "brand": ids % 9,
                "clk": (np.sin(ids * 7) > 0).astype(np.int64),
            }
        )
        for name in (f"log/dt={day}", f"log/dt=2026-11-{23 + day}"):
            Path(name).mkdir(parents=True)
            pq.write_table(table, f"{name}/part.parquet")
    values = {"train": "log/dt=0/*.parquet", "eval": "log/dt=6/*.parquet", "dataset": "ParquetDataset"}
    values |= {"batch_size": 50, "num_workers": 1, "shuffle": "true", "num_rows": 1400, "num_epochs": 1}
    values |= {"save_steps": 100, "keep": 0, "train_more": "", "data_more": "", "features_more": "", "deep_more": ""}
    Path("my.config").write_text(CONFIG.format(**{**values, "model_dir": "m"}))
    grown = {**values, "model_dir": "m2", "features_more": BRAND, "deep_more": ', "brand"'}
    Path("with_brand.config").write_text(CONFIG.format(**grown))
    return tmp_path


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```([a-z]*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [text for name, text in fenced if name == language]


def test_week_of_page_trains_each_day_once(week: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The loop of the page is repeated here, since no test runs code from a text."""
    caplog.set_level("INFO")
    assert 'edit={"train_input_path": f"log/dt={day}/*.parquet", "train_config.keep_checkpoint_max": 2}' in PAGE
    for day in range(7):
        edit = {"train_input_path": f"log/dt={day}/*.parquet", "train_config.keep_checkpoint_max": 2}
        run = tzrec.train("my.config", model_dir="m", edit=edit, continue_train=True)
        assert run.step == 4 * day + 3
    lines = [line for block in blocks("") for line in block.splitlines()]
    first, second = (line for line in lines if line.startswith(("start  resuming", "train  already")))
    assert first in caplog.messages
    again = tzrec.train("my.config", model_dir="m", edit=edit, continue_train=True)
    assert again.step == 27
    assert second in caplog.messages
    assert [path.name for path in store.list_checkpoints(week / "m")] == ["model.ckpt-23", "model.ckpt-27"]


def test_commands_of_page_train_two_nights_and_one_feature_more(week: Path) -> None:
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(commands) == 3
    for command in commands:
        words = [word.strip("'") for word in command.split()[1:]]
        assert cli.main(words) == 0, command
    assert [store.find(week / name).step for name in ("m", "m2")] == [7, 3]
    layer = re.search(r"^start  (\S+): 17 of 25 columns of group \"deep\" restored; new: brand$", PAGE, re.MULTILINE)
    assert layer
    sizes = [stored_sizes(week / path / "model")[layer[1]] for path in ("m/model.ckpt-7", "m2/model.ckpt-3")]
    assert sizes == [(16, 17), (16, 25)]
