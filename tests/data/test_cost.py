"""Batches of limited cost."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf import text_format

from tzrec.data.batch import BASE, Batch
from tzrec.data.cost import cut_by_cost, row_costs
from tzrec.data.exchange import ALONE, Exchange
from tzrec.data.loader import DataLoader
from tzrec.errors import DataError
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.protos.pipeline_pb2 import EasyRecConfig

COSTS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3]


@pytest.mark.parametrize(
    ("costs", "limit", "sizes"),
    [
        ([3, 1, 4, 1, 5], 5, [2, 2, 1]),
        ([9, 1, 1, 9], 5, [1, 2, 1]),
        ([0, 0, 0], 1, [3]),
        ([2, 2, 2], 4, [2, 1]),
        ([], 4, []),
    ],
)
def test_rows_are_cut_at_the_limit(costs: list[int], limit: int, sizes: list[int]) -> None:
    cuts = cut_by_cost(np.array(costs, np.int64), limit)
    assert [end - begin for begin, end in cuts] == sizes
    assert [begin for begin, _ in cuts] == [0, *np.cumsum(sizes)[:-1]][: len(sizes)]


@pytest.mark.parametrize("column", [pa.array([3, None, -1], pa.int32()), pa.array(["3", None, "-1"])])
def test_costs_are_read_from_numbers_and_text(column: pa.Array) -> None:
    assert row_costs(column, "cost").tolist() == [3, 0, 0]


@pytest.mark.parametrize("column", [pa.array(["3", "much"]), pa.array([0.5])])
def test_costs_that_are_no_whole_numbers_are_an_error(column: pa.Array) -> None:
    with pytest.raises(DataError, match=r'column "cost" .*, but data_config.sample_cost_field needs whole numbers'):
        row_costs(column, "cost")


def config() -> EasyRecConfig:
    text = """
    data_config { batch_size: 4 dataset_type: ParquetDataset fg_mode: FG_DAG label_fields: "clk" num_workers: 2
      num_streams: 2 sample_cost_field: "cost" batch_cost_size: 8 }
    feature_configs { id_feature { feature_name: "id" expression: "user:id" num_buckets: 99 embedding_dim: 2 } }
    """
    return text_format.Parse(text, EasyRecConfig())


def open_loader(directory: Path, rank: int = 0, exchange: Exchange = ALONE) -> DataLoader:
    text = config()
    encoder = FeatureEncoder.from_config(text.feature_configs, text.data_config)
    path = f"{directory}/x.parquet"
    return DataLoader(text, encoder, path, "train", rank, exchange.world_size, exchange=exchange)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = {"id": list(range(16)), "clk": [0] * 16, "cost": COSTS}
    pq.write_table(pa.table(rows), tmp_path / "x.parquet")
    return tmp_path


def ids(batch: Batch) -> list[int]:
    return batch.sparse[BASE]["id"].values().tolist()[: batch.rows]  # type: ignore[no-any-return]


def test_batches_cost_at_most_the_limit_or_have_one_row(data: Path) -> None:
    batches = [ids(batch) for batch in open_loader(data).epoch()]
    assert sorted(i for batch in batches for i in batch) == list(range(16))
    assert all(sum(COSTS[i] for i in batch) <= 8 or len(batch) == 1 for batch in batches)
    assert [9] in [[COSTS[i] for i in batch] for batch in batches]
    assert len(batches) > 4


def test_epoch_resumes_inside_a_step(data: Path) -> None:
    batches = list(open_loader(data).epoch())
    parts = {batch.cursor.part for batch in batches}
    assert len(parts) > 1
    for number, batch in enumerate(batches[:-1]):
        assert [ids(rest) for rest in open_loader(data).epoch(batch.cursor)] == [ids(b) for b in batches[number + 1 :]]
    assert (batches[-1].cursor.row, batches[-1].cursor.part) == (16, 0)


def test_ranks_have_equally_many_batches(data: Path) -> None:
    barrier, lengths = threading.Barrier(2, timeout=30), [None, None]
    results: list[list[Batch]] = [[], []]

    def gather(rank: int, value: object) -> list[object]:
        lengths[rank] = value  # type: ignore[call-overload]
        barrier.wait()
        gathered = list(lengths)
        barrier.wait()
        return gathered  # type: ignore[return-value]

    def read(rank: int) -> None:
        exchange = Exchange(
            rank, 2, lambda value: gather(rank, value), lambda: None, lambda text: gather(rank, text)[0]
        )
        results[rank] = list(open_loader(data, rank, exchange).epoch())

    threads = [threading.Thread(target=read, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results[0]) == len(results[1]) > 2
    assert any(batch.rows == 0 for batches in results for batch in batches)
    assert sorted(i for batches in results for batch in batches for i in ids(batch)) == list(range(16))
    assert [batch.cursor for batch in results[0]] == [batch.cursor for batch in results[1]]
