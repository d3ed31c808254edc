"""Commands of docs/retrieval.md that need no trained model: run as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.retrieval.test_index import vectors
from tzrec import cli
from tzrec.retrieval.index_files import read_index
from tzrec.tools import hitrate

PAGE = Path(__file__).parents[2] / "docs" / "retrieval.md"


def command(*words: str) -> list[str]:
    """The only command line of the page that contains all words, as a list of its own words."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    lines = [line for kind, block in blocks if not kind for line in block.replace("\\\n", " ").splitlines()]
    (line,) = [line for line in lines if all(word in line for word in words)]
    return shlex.split(line)


def test_commands_on_tables_of_vectors_do_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    items, users = vectors(300), vectors(20, seed=1)
    for name in ("item_vectors", "user_vectors"):
        (tmp_path / name).mkdir()
    ids = [f"i{row}" for row in range(300)]
    table = pa.table({"item_id": ids, "item_tower_emb": items.tolist()})
    pq.write_table(table, "item_vectors/part-0.parquet")
    chosen = np.argsort(-users @ items.T)[:, 50:150]  # half of them are among the nearest 100
    truth = [[ids[row] for row in row_ids] for row_ids in chosen]
    users_table = pa.table({"user_id": range(20), "user_tower_emb": users.tolist(), "gt_items": truth})
    pq.write_table(users_table, "user_vectors/part-0.parquet")

    assert cli.main(command("tzrec index", "--embedding_field")[1:]) == 0
    assert read_index(tmp_path / "export" / "user").manifest.options.index_type == "HNSWFlatIP"

    assert hitrate.main(command("tzrec.tools.hitrate", "--top_k")[3:]) == 0
    assert pq.read_table("hitrate").to_pylist() == [{"hitrate": 0.5}]
    assert pq.read_table("details")["hitrate"].to_pylist() == [0.5] * 20
