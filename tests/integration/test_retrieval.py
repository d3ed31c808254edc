"""A two-tower model from training to retrieval, by the commands and the example of docs/retrieval.md."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tzrec
from tests.fixtures.log_lines import recorded_log
from tests.retrieval.test_index import vectors
from tzrec import cli
from tzrec.errors import PackageError
from tzrec.retrieval.index_files import read_index
from tzrec.serving.package_manifest import PackageManifest
from tzrec.tools import hitrate

PAGE = (Path(__file__).parents[2] / "docs" / "retrieval.md").read_text()
NUM_USERS, NUM_ITEMS, NUM_CLUSTERS = 60, 120, 6
CONFIG = """
train_input_path: "train.parquet"
model_dir: "model"
train_config {
  sparse_optimizer { adagrad_optimizer { lr: 0.1 } constant_learning_rate {} }
  dense_optimizer { adam_optimizer { lr: 0.01 } constant_learning_rate {} }
  num_epochs: 4
  use_tensorboard: false
}
data_config { batch_size: 128 dataset_type: ParquetDataset fg_mode: FG_DAG label_fields: "click" }
feature_configs { id_feature { feature_name: "user" expression: "user:user_id" num_buckets: 60 embedding_dim: 16 } }
feature_configs { id_feature { feature_name: "item" expression: "item:number" num_buckets: 120 embedding_dim: 16 } }
model_config {
  feature_groups { group_name: "user" feature_names: "user" group_type: DEEP }
  feature_groups { group_name: "item" feature_names: "item" group_type: DEEP }
  dssm {
    user_tower { input: "user" mlp { hidden_units: 16 } }
    item_tower { input: "item" mlp { hidden_units: 16 } }
    output_dim: 8 similarity: COSINE temperature: 0.1 in_batch_negative: true
  }
  losses { softmax_cross_entropy {} }
  metrics { recall_at_k { top_k: 5 } }
}
"""


def run_line(*words: str) -> None:
    """Run the only command line of the page that contains all words."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    lines = [line for kind, block in blocks if not kind for line in block.replace("\\\n", " ").splitlines()]
    (line,) = [line for line in lines if all(word in line for word in words)]
    program, *arguments = shlex.split(line)
    main, arguments = (cli.main, arguments) if program == "tzrec" else (hitrate.main, arguments[2:])
    assert main(arguments) == 0, line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The current folder: `export` of a model of users who click on items of their cluster, and `items.parquet`."""
    root = tmp_path_factory.mktemp("retrieval")
    rng = np.random.default_rng(0)
    users = rng.integers(0, NUM_USERS, 3000)
    items = users % NUM_CLUSTERS + NUM_CLUSTERS * rng.integers(0, NUM_ITEMS // NUM_CLUSTERS, 3000)
    pq.write_table(
        pa.table({"user_id": users, "number": items, "click": np.ones(3000, np.int64)}), root / "train.parquet"
    )
    names = [f"i{item}" for item in range(NUM_ITEMS)]
    pq.write_table(pa.table({"item_id": names, "number": range(NUM_ITEMS)}), root / "items.parquet")
    (root / "my.config").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        tzrec.train("my.config")
        run_line("tzrec export")
        run_line("tzrec predict", "export/item")
        yield root


def user_vectors() -> np.ndarray:
    """Vectors of all users, `(NUM_USERS, 8)` in float64."""
    table = tzrec.load("export/user").predict({"user_id": range(NUM_USERS)})
    return np.stack(table["user_tower_emb"].to_numpy()).astype(np.float64)


@pytest.mark.slow
def test_retrieve_equals_exact_products_and_finds_the_clusters(folder: Path) -> None:
    run_line("tzrec index", "--embedding_field")
    items = pq.read_table("item_vectors")
    products = user_vectors() @ np.stack(items["item_tower_emb"].to_numpy()).astype(np.float64).T
    table = tzrec.load("export/user").retrieve({"user_id": range(NUM_USERS)}, k=10)
    names = np.array(items["item_id"].to_pylist())
    for row, ids, scores in zip(products, table["ids"].to_pylist(), table["scores"].to_pylist()):
        np.testing.assert_allclose(scores, -np.sort(-row)[:10], atol=1e-6)
        np.testing.assert_allclose([row[names == item][0] for item in ids], scores, atol=1e-6)
        assert len(set(ids)) == 10
    hits = [
        int(item[1:]) % NUM_CLUSTERS == user % NUM_CLUSTERS for user in range(60) for item in table["ids"][user].as_py()
    ]
    assert np.mean(hits) > 0.9  # by chance 1/6


@pytest.mark.slow
def test_index_computed_by_the_item_package_equals_that_of_predicted_vectors(folder: Path) -> None:
    run_line("tzrec index --model_path")
    index = read_index(folder / "export" / "user")
    checkpoint = PackageManifest.read(folder / "export" / "item").checkpoint
    assert (index.manifest.num_items, index.manifest.trained) == (NUM_ITEMS, checkpoint)
    assert len(checkpoint) == 64
    finder = tzrec.load("export/user")
    by_package = finder.retrieve({"user_id": range(NUM_USERS)}, k=NUM_ITEMS)
    run_line("tzrec index", "--embedding_field")
    assert read_index(folder / "export" / "user").manifest.trained == checkpoint
    by_table = tzrec.load("export/user").retrieve({"user_id": range(NUM_USERS)}, k=NUM_ITEMS)
    assert [sorted(ids) for ids in by_table["ids"].to_pylist()] == [
        sorted(ids) for ids in by_package["ids"].to_pylist()
    ]
    np.testing.assert_allclose(
        np.stack(by_table["scores"].to_numpy()), np.stack(by_package["scores"].to_numpy()), atol=1e-6
    )


@pytest.mark.slow
def test_hitrate_equals_naive_computation(folder: Path) -> None:
    truth = [
        [f"i{item}" for item in np.random.default_rng(user).integers(0, 130, user % 4)] for user in range(NUM_USERS)
    ]
    users = user_vectors()
    columns = {"user_id": range(NUM_USERS), "user_tower_emb": users.tolist(), "gt_items": truth}
    Path("user_vectors").mkdir()
    pq.write_table(pa.table(columns), "user_vectors/part-0.parquet")
    run_line("tzrec.tools.hitrate", "--top_k")
    items = pq.read_table("item_vectors")
    names, values = items["item_id"].to_pylist(), np.stack(items["item_tower_emb"].to_numpy()).astype(np.float64)
    hits = total = 0
    for vector, chosen in zip(users, truth):
        best = sorted(range(NUM_ITEMS), key=lambda row: -sum(a * b for a, b in zip(values[row], vector)))[:100]
        hits += len({names[row] for row in best} & set(chosen))
        total += len(set(chosen))
    assert pq.read_table("hitrate").to_pylist() == [{"hitrate": hits / total}]
    assert 0 < hits < total


@pytest.mark.slow
def test_index_of_another_training_is_refused(folder: Path, tmp_path: Path) -> None:
    """Both when it is created, and when its files were copied."""
    shutil.copytree("export", tmp_path / "other")
    for tower in ("user", "item"):
        directory = tmp_path / "other" / tower
        replace(PackageManifest.read(directory), checkpoint="f" * 64).write(directory)
    flags = ["--item_input_path=items.parquet", "--id_field=item_id", "--index_type=ExactIP"]
    with recorded_log():
        assert cli.main(["index", f"--model_path={tmp_path}/other", *flags]) == 0
        assert cli.main(["index", f"--model_path={tmp_path}/other", *flags, "--index_output_dir=export/user"]) == 1
    shutil.copytree(tmp_path / "other" / "user", tmp_path / "mixed")
    shutil.copy("export/user/manifest.json", tmp_path / "mixed")
    finder = tzrec.load(tmp_path / "mixed")
    with pytest.raises(PackageError, match=r"computed with another checkpoint than .*mixed was exported from"):
        finder.retrieve({"user_id": [0]}, k=1)


@pytest.mark.slow
def test_index_in_package_of_another_width_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(pa.table({"item": [1], "vector": [[1.0, 2.0]]}), "narrow.parquet")
    flags = ["--item_input_path=narrow.parquet", "--id_field=item", "--embedding_field=vector"]
    assert cli.main(["index", "--model_path=export", *flags]) == 1
    message = (
        "the items have vectors of 2, and export/user has no outputs of this width (its outputs: user_tower_emb [8])"
    )
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_example_of_the_page_runs(folder: Path) -> None:
    run_line("tzrec index --model_path")
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(example.replace('["u1", "u2"]', "[1, 2]"), names)
    table = names["table"]
    assert [len(ids) for ids in table["ids"].to_pylist()] == [3, 3]
    with ThreadPoolExecutor(4) as pool:
        tables = list(pool.map(lambda _: names["finder"].retrieve({"user_id": [1, 2]}, k=3), range(20)))
    assert all(other == table for other in tables)


def test_commands_on_tables_of_vectors_need_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    items, users = vectors(300), vectors(20, seed=1)
    for name in ("item_vectors", "user_vectors"):
        Path(name).mkdir()
    ids = [f"i{row}" for row in range(300)]
    pq.write_table(pa.table({"item_id": ids, "item_tower_emb": items.tolist()}), "item_vectors/part-0.parquet")
    chosen = np.argsort(-users @ items.T)[:, 50:150]  # half of them are among the nearest 100
    truth = [[ids[row] for row in rows] for rows in chosen]
    columns = {"user_id": range(20), "user_tower_emb": users.tolist(), "gt_items": truth}
    pq.write_table(pa.table(columns), "user_vectors/part-0.parquet")
    run_line("tzrec index", "--embedding_field")
    assert read_index(Path("export/user")).manifest.options.index_type == "HNSWFlatIP"
    run_line("tzrec.tools.hitrate", "--top_k")
    assert pq.read_table("hitrate").to_pylist() == [{"hitrate": 0.5}]
    assert pq.read_table("details")["hitrate"].to_pylist() == [0.5] * 20
