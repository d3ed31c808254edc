"""DataLoader: every row exactly once, in an order that depends neither on threads nor, within limits, on ranks.

`test_streams.py` tests the order of streams.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.conftest import Write
from tests.fixtures.data_threads import data_threads
from tests.fixtures.log_lines import recorded_log
from tests.fixtures.numbered_rows import make_config, open_loader, table
from tzrec.data.batch import BASE, Batch, Cursor, Deal
from tzrec.errors import DataError


def ids(batch: Batch) -> list[int]:
    """Row numbers of the rows that count."""
    values: list[int] = batch.sparse[BASE].values().tolist()
    return values[: batch.rows] if batch.rows else []


def batches_of(path: str, data: str = "", cursor: Cursor | None = None, **settings: object) -> list[Batch]:
    return list(open_loader(make_config(data), path, **settings).epoch(cursor))


def steps(path: str, data: str, world: int, cursor: Cursor | None = None, **settings: object) -> list[list[int]]:
    """The rows of every step, those of the ranks one after another."""
    ranks = [batches_of(path, data, cursor, rank=rank, world_size=world, **settings) for rank in range(world)]
    assert len({len(batches) for batches in ranks}) == 1  # otherwise one rank would wait for another
    return [list(itertools.chain(*map(ids, step))) for step in zip(*ranks, strict=True)]


SIZES = [[23], [7, 1, 0, 11, 4], [3] * 6]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_every_row_is_read_once(
    write: Write, sizes: list[int], world: int, workers: int, shuffle: bool, kind: str
) -> None:
    data = f"shuffle: {shuffle} shuffle_buffer_size: 2 batch_size: 3 num_workers: {workers}"
    data += " dataset_type: CsvDataset" if kind == "csv" else ""
    got = steps(write(sizes, kind), data, world)
    flat = list(itertools.chain(*got))
    assert sorted(flat) == list(range(sum(sizes)))
    assert [len(step) for step in got[:-1]] == [3 * world] * (len(got) - 1)
    if not shuffle:  # at most one row group of 5 rows away from its place in each of 8 or 9 streams
        assert max(abs(row - place) for place, row in enumerate(flat)) <= 5 * 9


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_two_ranks_read_the_rows_of_one_rank_with_twice_the_batch(write: Write, shuffle: bool, kind: str) -> None:
    path = write([9, 8, 6], kind)
    data = f"shuffle: {shuffle} shuffle_buffer_size: 2"
    data += " dataset_type: CsvDataset" if kind == "csv" else ""
    assert steps(path, f"{data} batch_size: 3", world=2) == steps(path, f"{data} batch_size: 6", world=1)


def test_csv_and_parquet_give_equal_rows(write: Write) -> None:
    def rows(path: str, data: str) -> dict[int, tuple[object, ...]]:
        return {
            uid: (*values, batch.labels["clk"].dtype)
            for batch in batches_of(path, f"shuffle: true shuffle_buffer_size: 2 batch_size: 5 {data}")
            for uid, *values in zip(
                ids(batch),
                batch.dense[BASE].values().tolist(),
                batch.labels["clk"].tolist(),
                batch.weights["w"].tolist(),
                strict=True,
            )
        }

    from_parquet = rows(write([9, 8, 6]), "")
    assert len(from_parquet) == 23
    assert from_parquet == rows(write([9, 8, 6], "csv"), "dataset_type: CsvDataset")


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_epoch_of_a_version_without_streams_goes_on_in_its_order(write: Write, kind: str, world: int) -> None:
    """Window by window, by sorting the raw output of a generator seeded by (seed, epoch, window)."""

    def expected_order(seed: int, epoch: int) -> list[int]:
        order = []
        for window, first in enumerate(range(0, 23, 8)):
            raw = np.random.PCG64(np.random.SeedSequence((seed, epoch, window))).random_raw(min(8, 23 - first))
            order += [first + row for row in np.argsort(raw).tolist()]
        return order

    path, data = write([9, 8, 6], kind), "shuffle: true shuffle_buffer_size: 2 batch_size: 2"
    data += " dataset_type: CsvDataset" if kind == "csv" else ""
    for seed, epoch in [(1, 0), (1, 1), (2, 0)]:
        rest = steps(path, data, world, Cursor(epoch, 3, 8), seed=seed)
        assert list(itertools.chain(*rest)) == expected_order(seed, epoch)[3:]
    rest = steps(path, data.replace("true", "false"), world, Cursor(0, 3, 1))
    assert list(itertools.chain(*rest)) == list(range(3, 23))
    assert len({tuple(expected_order(*key)) for key in [(1, 0), (1, 1), (2, 0)]}) == 3


def test_only_training_is_shuffled(write: Write) -> None:
    path = write([23])
    evaluated, unshuffled = (batches_of(path, data, mode="eval") for data in ("shuffle: true", ""))
    assert [ids(batch) for batch in evaluated] == [ids(batch) for batch in unshuffled]
    trained = batches_of(path, "shuffle: true")
    assert [ids(batch) for batch in trained] != [ids(batch) for batch in unshuffled]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_resuming_at_any_batch_reads_the_remaining_rows(write: Write, shuffle: bool, kind: str) -> None:
    """Equal steps also with other threads; at another number of ranks the same rows."""
    path = write([9, 8, 6], kind)
    data = f"shuffle: {shuffle} shuffle_buffer_size: 2 batch_size: 3"
    data += " dataset_type: CsvDataset" if kind == "csv" else ""
    first = batches_of(path, data, Cursor(epoch=3), rank=0, world_size=2)
    all_steps = steps(path, data, 2, Cursor(epoch=3))
    for done, batch in enumerate(first, start=1):
        row = min(6 * done, 23)
        assert batch.cursor == Cursor(3, row, 12 if shuffle else 1, (Deal(8, 6, row),))
        resumed = steps(path, data + " num_workers: 3", 2, batch.cursor)
        assert resumed == all_steps[done:]
        for world in (1, 3):
            rest = list(itertools.chain(*steps(path, f"{data} num_workers: 0 batch_size: 2", world, batch.cursor)))
            assert sorted(rest) == sorted(itertools.chain(*all_steps[done:]))


def test_new_epoch_takes_the_window_size_of_the_config(write: Write) -> None:
    path = write([23])
    batch = batches_of(path, "shuffle: true shuffle_buffer_size: 2", Cursor(1, 0, 400))[0]
    assert batch.cursor == Cursor(1, 4, 8, (Deal(8, 4, 4),))


def test_epoch_of_an_older_version_goes_on_in_its_order_and_says_so(write: Write) -> None:
    path = write([23])
    with recorded_log() as lines:
        first = batches_of(path, "num_workers: 0", Cursor(1, 8, 1))[0]
    assert ids(first) == [8, 9, 10, 11]
    assert lines == [
        "epoch 2 goes on from row 8 in the order of the older version that wrote the checkpoint: every rank reads all "
        "rows. From the next epoch on, a rank reads only its own streams"
    ]
    with recorded_log() as lines:
        batches_of(path, "num_workers: 0", Cursor(1, 8, 1, (Deal(8, 4, 8),)))
        batches_of(path, "num_workers: 0", Cursor(2))
    assert lines == []


def test_short_step_is_split_evenly(write: Write) -> None:
    path = write([13])  # 2 ranks x 4: 8 rows, then 5
    ranks = [batches_of(path, rank=rank, world_size=2) for rank in (0, 1)]
    assert [[batch.rows for batch in batches] for batches in ranks] == [[4, 2], [4, 3]]
    assert sorted(itertools.chain(*(ids(batch) for batches in ranks for batch in batches))) == list(range(13))


def test_rank_without_rows_repeats_one_that_is_not_counted(write: Write) -> None:
    path = write([9])
    ranks = [batches_of(path, "shuffle: true", rank=rank, world_size=2) for rank in (0, 1)]
    last = [batches[1] for batches in ranks]
    assert [batch.rows for batch in last] == [0, 1]
    assert last[0].sparse[BASE].values().tolist()[0] in ids(ranks[0][0])
    assert [len(batch.labels["clk"]) for batch in last] == [1, 1]


def test_drop_remainder_skips_the_short_step(write: Write) -> None:
    path = write([13])
    for mode in ("train", "eval"):
        assert [batch.rows for batch in batches_of(path, "drop_remainder: true", mode=mode)] == [4, 4, 4]
    with pytest.raises(DataError, match=r"fewer rows than one batch of all ranks \(4 x 4\).*drop_remainder"):
        batches_of(path, "drop_remainder: true", world_size=4)


def test_batch_size_depends_on_the_mode(write: Write) -> None:
    path = write([13])
    data = "eval_batch_size: 6"
    assert [batch.rows for batch in batches_of(path, data, mode="eval")] == [6, 6, 1]
    assert [batch.rows for batch in batches_of(path, data, mode="train")] == [4, 4, 4, 1]
    assert [batch.rows for batch in batches_of(path, data, mode="eval", batch_size=9)] == [9, 4]


def test_missing_labels_and_weights_are_named(tmp_path: Path) -> None:
    pq.write_table(table(3).select(["uid", "price"]), tmp_path / "a.parquet")
    with pytest.raises(DataError, match='no column "clk", "w"'):
        batches_of(f"{tmp_path}/a.parquet", mode="eval")


def test_num_rows_is_known_before_reading(write: Write) -> None:
    csv = make_config("dataset_type: CsvDataset")
    assert open_loader(make_config(), write([3, 4])).num_rows == 7
    assert open_loader(csv, write([3, 4], "csv")).num_rows == 7


def test_data_without_rows_is_an_error(write: Write) -> None:
    with pytest.raises(DataError, match="no rows"):
        batches_of(write([0, 0]))
    with pytest.raises(DataError, match="no rows"):
        batches_of(write([0], "csv"), "dataset_type: CsvDataset")
    with pytest.raises(DataError, match="is at row 30 of this epoch, but the data has only 5 rows"):
        batches_of(write([5]), cursor=Cursor(row=30))
    assert batches_of(write([5]), cursor=Cursor(row=5)) == []


def test_close_joins_the_threads_of_an_interrupted_epoch(write: Write) -> None:
    loader = open_loader(make_config("num_workers: 3 batch_size: 1"), write([50] * 4))
    batches = loader.epoch()
    unread = loader.epoch(should_start=True)
    next(batches)
    assert len(data_threads()) >= 4
    loader.close()
    assert data_threads() == []
    assert list(batches) == []
    del unread


def test_closing_the_iterator_joins_its_threads(write: Write) -> None:
    loader = open_loader(make_config("num_workers: 3 batch_size: 1"), write([50] * 4))
    batches: Iterator[Batch] = loader.epoch()
    next(batches)
    assert len(data_threads()) >= 2
    start = time.perf_counter()
    batches.close()  # type: ignore[attr-defined]
    assert data_threads() == []
    assert time.perf_counter() - start < 1


def test_error_comes_after_the_batches_before_it(write: Write, tmp_path: Path) -> None:
    path = write([8])
    (tmp_path / "part-99.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(DataError, match=r"part-99.parquet: cannot be read as Parquet"):
        open_loader(make_config(), path)
    pq.write_table(table(4), tmp_path / "part-99.parquet")
    loader = open_loader(make_config("num_workers: 0 num_streams: 1"), path)
    pq.write_table(table(5), tmp_path / "part-99.parquet")
    batches = loader.epoch()
    assert [ids(next(batches)) for _ in range(2)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    with pytest.raises(DataError, match=r"part-99.parquet: the file changed in size from"):
        next(batches)
    assert data_threads() == []


def test_loader_of_files_with_other_types_raises_before_the_first_batch(write: Write, tmp_path: Path) -> None:
    path = write([8])
    pq.write_table(table(4).set_column(0, "uid", pa.array(list("abcd"))), tmp_path / "part-99.parquet")
    with pytest.raises(DataError, match=r'part-99.parquet: column "uid" is string, but int64 in .*part-00.parquet'):
        open_loader(make_config(), path)


def test_loader_of_a_type_that_no_feature_reads_raises_before_the_first_batch(tmp_path: Path) -> None:
    pq.write_table(table(4).set_column(0, "uid", pa.array(range(4), pa.timestamp("ms"))), tmp_path / "a.parquet")
    message = r'a.parquet: column "uid" has type timestamp\[ms\], which .*: write it as an integer'
    with pytest.raises(DataError, match=message):
        open_loader(make_config(), f"{tmp_path}/a.parquet")


BAD = {"uid": [5, -1, 7, 8, 9, 10], "price": [0.5, 1.0, float("nan"), 2.0, 2.5, 3.0], "clk": [1, 0, 1, None, 0, 1]}


def write_bad(tmp_path: Path) -> str:
    columns = {**BAD, "w": [1.0, 1.0, 1.0, 1.0, -1.0, 1.0]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    return f"{tmp_path}/a.parquet"


def test_bad_rows_are_an_error_by_default(tmp_path: Path) -> None:
    path = write_bad(tmp_path)
    with pytest.raises(DataError, match=r'a.parquet, row 2: column "uid" has \'-1\'.*\(2 more in this batch\).*'):
        batches_of(path, "batch_size: 4")
    with pytest.raises(DataError, match=r"data_config\.bad_row_policy to DEFAULT"):
        batches_of(path)


def test_bad_rows_take_the_default(tmp_path: Path) -> None:
    loader = open_loader(make_config("bad_row_policy: DEFAULT batch_size: 6"), write_bad(tmp_path))
    (batch,) = loader.epoch()
    assert batch.rows == 4  # rows without label or weight are skipped
    assert batch.labels["clk"].tolist() == [1, 0, 1, 1]
    assert batch.sparse[BASE].lengths().tolist() == [1, 0, 1, 1]  # uid -1 is invalid and treated as missing
    assert batch.sparse[BASE].values().tolist() == [5, 7, 10]
    assert batch.dense[BASE].values().tolist() == [[0.5], [1.0], [0.0], [3.0]]
    assert sum(loader.bad_value_counts.values()) == 4
    assert loader.bad_value_counts["clk", "null label"] == 1
    assert loader.bad_value_counts["w", "not a weight"] == 1


def test_bad_rows_are_skipped_and_sampled(tmp_path: Path) -> None:
    loader = open_loader(make_config("bad_row_policy: SKIP_ROW batch_size: 6"), write_bad(tmp_path))
    loader.bad_rows_path = str(tmp_path / "bad.jsonl")
    (batch,) = loader.epoch()
    assert batch.rows == 2
    assert batch.sparse[BASE].values().tolist() == [5, 10]
    assert {column: count for (column, _), count in loader.bad_value_counts.items()} == dict.fromkeys(
        ("uid", "price", "clk", "w"), 1
    )
    lines = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert {(line["row"], line["column"], line["value"]) for line in lines} == {
        (2, "uid", "-1"),
        (3, "price", "nan"),
        (4, "clk", None),
        (5, "w", "-1.0"),
    }
    assert {line["file"] for line in lines} == {f"{tmp_path}/a.parquet"}


def test_batch_of_bad_rows_is_not_counted(tmp_path: Path) -> None:
    path = write_bad(tmp_path)
    batches = batches_of(path, "bad_row_policy: SKIP_ROW batch_size: 1")
    assert [batch.rows for batch in batches] == [1, 0, 0, 0, 0, 1]
    assert [batch.sparse[BASE].stride() for batch in batches] == [1] * 6


def test_bad_rows_are_counted_once_over_all_ranks(tmp_path: Path) -> None:
    path = write_bad(tmp_path)
    counts = []
    for rank in range(4):  # 4 ranks x 4 rows: rank 3 repeats nothing, rank r has rows of a short step
        loader = open_loader(make_config("bad_row_policy: SKIP_ROW"), path, rank=rank, world_size=4)
        list(loader.epoch())
        counts.append(sum(loader.bad_value_counts.values()))
    assert sum(counts) == 4


def test_bad_cells_of_text_are_skipped_or_located(tmp_path: Path) -> None:
    lines = [
        "uid,price,clk,w",
        "1,0.5,1,1",
        "x,0.5,1,1",
        "",
        "3,abc,1,1",
        "4,0.5,,1",
        "5,0.5,maybe,1",
        "6,0.5,1,heavy",
        "7,0.5,0,1",
        "8,0.5,1",
        "9,NA,0.0,1",
    ]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines) + "\n")
    data = 'dataset_type: CsvDataset null_values: ["NA"] batch_size: 20'
    loader = open_loader(make_config(f"{data} bad_row_policy: SKIP_ROW"), str(path))
    (batch,) = loader.epoch()
    assert batch.sparse[BASE].values().tolist() == [1, 7, 9]
    assert batch.labels["clk"].tolist() == [1.0, 0.0, 0.0]
    assert batch.dense[BASE].values().tolist() == [[0.5], [0.5], [0.0]]
    assert loader.bad_value_counts == {
        ("uid", "not an integer"): 1,
        ("price", "not a number"): 1,
        ("clk", "null label"): 1,
        ("clk", "not a number"): 1,
        ("w", "not a number"): 1,
        ("line", "wrong number of cells"): 1,
    }
    for line, message in [(3, 'column "uid" has'), (5, 'column "price" has'), (6, "null label"), (7, "not an integer")]:
        selected = [text if number in (0, 1, 3, line - 1) else "1,1,1,1" for number, text in enumerate(lines)]
        path.write_text("\n".join(selected) + "\n")
        with pytest.raises(DataError, match=rf"a.csv, line {line}: .*{message}"):
            batches_of(str(path), data)
    path.write_text("\n".join(lines[:2] + lines[9:]) + "\n")
    with pytest.raises(DataError, match=r"a.csv, line 3: 3 cells where 4 are expected: '8,0.5,1'"):
        batches_of(str(path), data)
