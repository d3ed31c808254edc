"""The whole loop of TDM: first tree, training, export, embeddings, clustered tree, training again, retrieval."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import tzrec
from tests.fixtures import tdm_run
from tzrec.tools.tdm import cluster_tree, retrieval

K = 5


def recall(table: pa.Table) -> float:
    return float(np.mean([row["item_id"] in row["recall_ids"] for row in table.to_pylist()]))


@pytest.mark.slow
def test_loop_finds_planted_clusters_and_beats_popularity(tmp_path: Path) -> None:
    config = tdm_run.write(tmp_path, 2000)
    chosen = pq.read_table(tmp_path / "eval.parquet")["item_id"]
    popular = pc.value_counts(pq.read_table(tmp_path / "train.parquet")["item_id"]).to_pylist()
    best = [entry["values"] for entry in sorted(popular, key=lambda entry: -entry["counts"])[:K]]
    popularity = float(np.isin(chosen.to_numpy(), best).mean())
    tzrec.train(str(config))
    tzrec.export(str(config), tmp_path / "export")

    vectors = tzrec.load(tmp_path / "export" / "embedding").predict(tdm_run.items())["item_emb"]
    items = tdm_run.items().append_column("item_emb", vectors)
    pq.write_table(items, tmp_path / "embeddings.parquet")
    words = ["--item_input_path", str(tmp_path / "embeddings.parquet"), "--item_id_field", "item_id"]
    words += ["--embedding_field", "item_emb", "--attr_fields", "shop", "--raw_attr_fields", "price", "--parallel", "1"]
    assert cluster_tree.main([*words, "--node_edge_output_file", str(tmp_path / "learnt")]) == 0
    text = config.read_text().replace(f"{tmp_path}/tree", f"{tmp_path}/learnt").replace('/model"', '/model2"')
    config.write_text(text)
    tzrec.train(str(config))
    tzrec.export(str(config), tmp_path / "export2")

    package = tmp_path / "export2" / "model"
    flags = ["--scripted_model_path", str(package), "--predict_input_path", str(tmp_path / "eval.parquet")]
    flags += ["--reserved_columns", "user_id,item_id", "--recall_num", str(K)]
    assert retrieval.main([*flags, "--predict_output_path", str(tmp_path / "one")]) == 0
    table = pq.read_table(tmp_path / "one")
    assert table.column_names == ["user_id", "item_id", "recall_ids"]
    assert recall(table) > 0.9 > 3 * popularity, (recall(table), popularity)
    users = pq.read_table(tmp_path / "eval.parquet").select(["age", "click__item_id"])
    assert tzrec.load(package).retrieve(users, K)["ids"].to_pylist() == table["recall_ids"].to_pylist()

    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launch, "-m", "tzrec.tools.tdm.retrieval", *flags, "--predict_output_path", str(tmp_path / "two")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    assert pq.read_table(tmp_path / "two").sort_by("user_id").equals(table.sort_by("user_id"))
