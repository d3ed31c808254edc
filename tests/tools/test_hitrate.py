from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv as pacsv

from tests.fixtures.log_lines import recorded_log
from tests.fixtures.rank_pool import RankPool
from tests.retrieval.test_hit_rate import IDS, ITEMS, expected_details
from tests.retrieval.test_index import vectors
from tzrec.tools.hitrate import main

NUM_USERS, NUM_INTERESTS, COUNT = 25, 2, 6
USERS = vectors(NUM_USERS * NUM_INTERESTS, seed=7).reshape(NUM_USERS, NUM_INTERESTS, 12)
TRUTH = [[f"i{item}" for item in np.random.default_rng(user).integers(0, 40, user % 5)] for user in range(NUM_USERS)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pq.write_table(pa.table({"item": IDS, "emb": ITEMS.tolist()}), tmp_path / "items.parquet")
    columns = {
        "request": pa.array(range(100, 100 + NUM_USERS)),
        "gt": pa.array(TRUTH, pa.list_(pa.string())),
        "emb": pa.array(USERS.tolist(), pa.list_(pa.list_(pa.float32()))),
        "first": pa.array(USERS[:, 0].tolist()),
        "count": pa.array([1 + user % 2 for user in range(NUM_USERS)]),
    }
    pq.write_table(pa.table(columns), tmp_path / "users.parquet")
    return tmp_path


def flags(folder: Path, **others: object) -> list[str]:
    given = {
        "user_gt_input": folder / "users.parquet",
        "item_embedding_input": folder / "items.parquet",
        "total_hitrate_output": folder / "total",
        "hitrate_details_output": folder / "details",
        "item_id_field": "item",
        "item_embedding_field": "emb",
        "request_id_field": "request",
        "gt_items_field": "gt",
        "user_embedding_field": "emb",
        "num_interests": NUM_INTERESTS,
        "top_k": COUNT,
        **others,
    }
    return [f"--{name}={value}" for name, value in given.items()]


def ensure_result(folder: Path, interests: np.ndarray, is_merged: bool = False) -> None:
    """Compare the files in `total` and `details` with a naive computation."""
    expected = expected_details(interests, TRUTH, COUNT, is_merged)
    details = pq.read_table(folder / "details")
    assert details.column_names == ["id", "topk_ids", "topk_dists", "hitrate", "hit_ids"]
    assert details.to_pylist() == [{"id": 100 + user, **row} for user, row in enumerate(expected)]
    rate = sum(len(row["hit_ids"]) for row in expected) / sum(len(set(items)) for items in TRUTH)
    assert pq.read_table(folder / "total").to_pylist() == [{"hitrate": rate}]
    assert 0.05 < rate < 0.9


@pytest.mark.parametrize("is_merged", [False, True])
def test_hitrate_of_several_interests_equals_naive_computation(folder: Path, is_merged: bool) -> None:
    assert main(flags(folder, topk_across_interests=is_merged, batch_size=4)) == 0
    ensure_result(folder, USERS, is_merged)


def test_hitrate_with_numbers_of_interests_ignores_the_others(folder: Path) -> None:
    assert main(flags(folder, num_interests_field="count")) == 0
    interests = USERS.copy()
    interests[::2, 1] = 0
    ensure_result(folder, interests)


def test_hitrate_of_one_interest_logs_the_rate(folder: Path) -> None:
    with recorded_log() as lines:
        assert main(flags(folder, num_interests=1, user_embedding_field="first", index_type="ExactIP")) == 0
    ensure_result(folder, USERS[:, :1])
    rate = pq.read_table(folder / "total")["hitrate"][0].as_py()
    assert f"hitrate@6  {rate:.6f}" in "\n".join(lines)


def test_hitrate_of_integer_ids_compares_them_as_text(folder: Path) -> None:
    """Items are int64, and the ground truth is a list of int64, as well as text."""
    pq.write_table(pa.table({"item": list(range(40)), "emb": ITEMS.tolist()}), folder / "items.parquet")
    users = pq.read_table(folder / "users.parquet")
    numbers = [[int(item[1:]) for item in items] for items in TRUTH]
    rates = []
    for name, column in {
        "list": pa.array(numbers, pa.list_(pa.int64())),
        "text": pa.array([",".join(map(str, items)) for items in numbers]),
    }.items():
        pq.write_table(users.set_column(1, "gt", column), folder / "users.parquet")
        outputs = {"total_hitrate_output": folder / f"total {name}", "hitrate_details_output": ""}
        assert main(flags(folder, **outputs)) == 0
        rates.append(pq.read_table(folder / f"total {name}")["hitrate"][0].as_py())
    assert main(flags(folder, item_embedding_input=folder / "items.parquet")) == 0
    assert rates[0] == rates[1] == pq.read_table(folder / "total")["hitrate"][0].as_py() > 0.1


def test_hitrate_of_csv_writes_csv(folder: Path) -> None:
    main(flags(folder, total_hitrate_output=folder / "expected", hitrate_details_output=""))
    pacsv.write_csv(
        pa.table({"item": IDS, "emb": [",".join(map(repr, vector)) for vector in ITEMS.tolist()]}), folder / "items.csv"
    )
    texts = [";".join(",".join(map(repr, vector)) for vector in user) for user in USERS.tolist()]
    columns = {"request": list(range(NUM_USERS)), "gt": [",".join(items) for items in TRUTH], "emb": texts}
    pacsv.write_csv(pa.table(columns), folder / "users.csv")
    paths = {"user_gt_input": folder / "users.csv", "item_embedding_input": folder / "items.csv"}
    assert main(flags(folder, **paths, reader_type="CsvReader", writer_type="CsvWriter")) == 0
    rate = pacsv.read_csv(folder / "total" / "part-0.csv")["hitrate"][0].as_py()
    assert rate == pytest.approx(pq.read_table(folder / "expected")["hitrate"][0].as_py(), abs=1e-12)
    details = pacsv.read_csv(folder / "details" / "part-0.csv")
    assert [len(json.loads(row)) for row in details["topk_ids"].to_pylist()] == [NUM_INTERESTS] * NUM_USERS


def test_hitrate_without_ground_truth_is_null(folder: Path) -> None:
    users = pq.read_table(folder / "users.parquet").set_column(
        1, "gt", pa.array([[]] * NUM_USERS, pa.list_(pa.string()))
    )
    pq.write_table(users, folder / "users.parquet")
    with recorded_log() as lines:
        assert main(flags(folder)) == 0
    assert "no request has items in its ground truth" in "\n".join(lines)
    assert pq.read_table(folder / "total")["hitrate"].to_pylist() == [None]


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"num_interests": 1}, r"users\.parquet, row 1: column \"emb\" has 24 numbers; the items have vectors of 12"),
        ({"request_id_field": "user"}, 'no column "user"'),
        ({"num_interests_field": "first"}, 'column "first" of numbers of interests holds something else'),
        ({"total_hitrate_output": ""}, None),
    ],
)
def test_hitrate_of_wrong_input_says_what_to_change_and_leaves_nothing(
    folder: Path, others: dict[str, Any], message: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (main(flags(folder, **others)) == 0) == (message is None)
    if message:
        assert re.search(message, capsys.readouterr().err)
        assert sorted(path.name for path in folder.iterdir()) == ["items.parquet", "users.parquet"]


def test_hitrate_into_directory_with_files_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "details").mkdir()
    (folder / "details" / "mine").write_text("")
    assert main(flags(folder)) == 2
    assert f"--hitrate_details_output {folder}/details is not empty" in capsys.readouterr().err


def test_hitrate_on_two_ranks_equals_one(folder: Path) -> None:
    with RankPool(2) as pool:
        assert pool.run(2, main, flags(folder, batch_size=4)) == [0, 0]
        ensure_result(folder, USERS)
        assert sorted(path.name for path in (folder / "details").glob("part*")) == ["part-0.parquet", "part-1.parquet"]
        assert [path.name for path in (folder / "total").glob("part*")] == ["part-0.parquet"]
        given = {"request_id_field": "user", "total_hitrate_output": folder / "new", "hitrate_details_output": ""}
        assert pool.run(2, main, flags(folder, **given)) == [1, 1]
    assert not list(folder.glob("new*"))
