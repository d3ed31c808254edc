from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv as pacsv

from tests.fixtures.log_lines import recorded_log
from tests.retrieval.test_index import vectors
from tzrec.retrieval.index_files import read_index
from tzrec.tools.create_faiss_index import TYPES, main

VALUES = vectors(60)


def flags(folder: Path, **others: object) -> list[str]:
    given = {
        "embedding_input_path": folder / "items.parquet",
        "index_output_dir": folder / "user",
        "id_field": "item",
        "embedding_field": "emb",
        **others,
    }
    return [f"--{name}={value}" for name, value in given.items()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    table = pa.table({"item": [f"i{row}" for row in range(60)], "emb": VALUES.tolist(), "title": [None] * 60})
    pq.write_table(table, tmp_path / "items.parquet")
    return tmp_path


@pytest.mark.parametrize("index_type", TYPES)
def test_create_faiss_index_writes_files_that_faiss_reads(folder: Path, index_type: str) -> None:
    """The number of lists, 1,000 by default, is limited to the 60 items."""
    assert main(flags(folder, index_type=index_type, batch_size=7)) == 0
    index = faiss.read_index(str(folder / "user" / "faiss_index"))
    if index_type.startswith("IVF"):
        assert index.nlist == 60
        index.nprobe = 60
    ids = (folder / "user" / "id_mapping").read_text().splitlines()
    distances, rows = index.search(VALUES[:9], 1)
    if index_type.endswith("L2"):
        assert [ids[row] for row in rows[:, 0]] == [f"i{row}" for row in range(9)]
        np.testing.assert_allclose(distances, 0, atol=1e-5)
    else:
        np.testing.assert_allclose(distances[:, 0], (VALUES[:9] @ VALUES.T).max(axis=1), rtol=1e-5)


def test_create_faiss_index_applies_flags_of_hnsw(folder: Path) -> None:
    assert main(flags(folder, index_type="HNSWFlatIP", hnsw_M=5, hnsw_efConstruction=17)) == 0
    index = faiss.read_index(str(folder / "user" / "faiss_index"))
    assert (index.hnsw.nb_neighbors(1), index.hnsw.efConstruction) == (5, 17)


def test_create_faiss_index_of_csv_equals_that_of_parquet(folder: Path) -> None:
    table = pa.table(
        {"item": [f"i{row}" for row in range(60)], "emb": [",".join(map(repr, v)) for v in VALUES.tolist()]}
    )
    pacsv.write_csv(table, folder / "items.txt")
    assert main(flags(folder)) == 0
    names = ("faiss_index", "id_mapping")
    before = [(folder / "user" / name).read_bytes() for name in names]
    given = {"embedding_input_path": folder / "items.txt", "reader_type": "CsvReader"}
    assert main(flags(folder, **given)) == 0
    assert [(folder / "user" / name).read_bytes() for name in names] == before


def test_create_faiss_index_of_repeated_ids_indexes_the_first_row_of_each(folder: Path) -> None:
    pq.write_table(pa.table({"item": [5, 5, 6], "emb": VALUES[:3].tolist()}), folder / "items.parquet")
    with recorded_log() as lines:
        assert main(flags(folder)) == 0
    assert any("1 of 3 rows repeat the id of another one" in line for line in lines)
    index = read_index(folder / "user")
    assert index.to_table(index.vectors.search(VALUES[1:2], 9))["ids"].to_pylist()[0] in ([5, 6], [6, 5])


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"embedding_field": "embb"}, 'no column "embb" (did you mean "emb"?)'),
        ({"embedding_field": "title"}, 'items.parquet, row 1: column "title" has no vector'),
        ({"index_type": "Flat"}, "argument --index_type: invalid choice: 'Flat'"),
        (
            {"odps_data_quota_name": "x"},
            "--odps_data_quota_name: MaxCompute is not supported; write the table as Parquet",
        ),
        (
            {"index_output_dir": "memory://bucket/user"},
            "an index is mapped from local files; copy the package to a local",
        ),
        ({"embedding_input_path": "/nowhere/*.parquet"}, 'no file matches "/nowhere/*.parquet"'),
    ],
)
def test_create_faiss_index_of_wrong_input_says_what_to_change(
    folder: Path, others: dict[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(flags(folder, **others)) != 0
    assert message in capsys.readouterr().err
    assert not (folder / "user").exists()
