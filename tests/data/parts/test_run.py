from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.parts.test_part import reader_of
from tzrec.data.parts.directory import PartDirectory, read_manifest
from tzrec.data.parts.part import Part, PartResult, split_into_parts
from tzrec.data.parts.progress import PartProgress
from tzrec.data.parts.provenance import Provenance
from tzrec.data.parts.run import SoleRank, draw_parts, run_parts
from tzrec.data.reader import open_reader
from tzrec.errors import DataError
from tzrec.protos import data_pb2


@given(
    weights=st.lists(st.integers(1, 1000), min_size=1, max_size=40),
    speeds=st.lists(st.integers(1, 5), min_size=1, max_size=8),
)
def test_ranks_of_any_speed_draw_each_part_once_and_end_within_one_part(weights: list[int], speeds: list[int]) -> None:
    """A rank draws when it has finished its part: no rank has to wait longer than the largest part takes."""
    counter = SoleRank()
    parts = [Part(number, str(number), None, weight=weight) for number, weight in enumerate(weights)]  # type: ignore[arg-type]
    draws = [draw_parts(parts, counter, PartProgress("fg")) for _ in speeds]
    ends, drawn, open_ranks = [0.0] * len(speeds), [], set(range(len(speeds)))
    while open_ranks:
        rank = min(open_ranks, key=lambda number: ends[number])
        part = next(draws[rank], None)
        if part is None:
            open_ranks.remove(rank)
            continue
        drawn.append(part.number)
        ends[rank] += part.weight / speeds[rank]
    assert sorted(drawn) == list(range(len(weights)))
    assert max(ends) - min(ends) <= max(weights) / min(speeds)
    assert max(ends) <= sum(weights) / sum(speeds) + max(weights) / min(speeds)


def directory_of(folder: Path, setting: str = "a") -> PartDirectory:
    if not (folder / "in").exists():
        (folder / "in").mkdir()
        reader_of(folder / "in", [3, 5, 2])
    config = data_pb2.DataConfig(dataset_type=data_pb2.ParquetDataset)
    reader = open_reader(config, f"{folder}/in/*.parquet", ["uid"])
    provenance = Provenance.of({"setting": setting}, {"setting": "with {}"}, reader.files)
    return PartDirectory(folder / "out", provenance, split_into_parts(reader), "txt")


def work_of(directory: PartDirectory, seen: list[int], fails_at: int | None = None) -> Any:
    def work(parts: Iterator[Part]) -> Iterator[tuple[Part, PartResult]]:
        for part in parts:
            if part.number == fails_at:
                raise DataError("bad row")
            seen.append(part.number)
            Path(directory.path, f"{part.name}.txt").write_text("x" * (part.number + 1))
            yield part, PartResult(part.weight, part.weight, [("uid", "bad", part.number)])

    return work


def test_run_after_a_failure_does_only_the_missing_parts(tmp_path: Path) -> None:
    seen: list[int] = []
    first = directory_of(tmp_path)
    with pytest.raises(DataError, match="bad row"):
        run_parts(first, SoleRank(), work_of(first, seen, fails_at=0), PartProgress("fg"), lambda: None)
    assert seen == [1]  # the largest one
    again = directory_of(tmp_path)
    results = run_parts(again, SoleRank(), work_of(again, seen), PartProgress("fg"), lambda: None)
    assert seen == [1, 0, 2]
    assert [(result.rows, result.bad) for result in results] == [
        (3, [("uid", "bad", 0)]), (5, [("uid", "bad", 1)]), (2, [("uid", "bad", 2)]),
    ]  # fmt: skip
    again.finish(results)
    manifest = read_manifest(again.path)
    assert manifest and manifest["complete"] and manifest["rows"] == 10
    assert [(part["name"], part["rows"], part["bytes"]) for part in manifest["parts"]] == [
        ("part-000000", 3, 1), ("part-000001", 5, 2), ("part-000002", 2, 3),
    ]  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "_manifest.json", "part-000000.txt", "part-000001.txt", "part-000002.txt",
    ]  # fmt: skip
    run_parts(directory_of(tmp_path), SoleRank(), work_of(again, seen), PartProgress("fg"), lambda: None)
    assert seen == [1, 0, 2]


@pytest.mark.parametrize("damage", ["record", "file", "size", "setting"])
def test_damaged_or_other_parts_are_done_again(tmp_path: Path, damage: str) -> None:
    seen: list[int] = []
    first = directory_of(tmp_path)
    with pytest.raises(DataError):
        run_parts(first, SoleRank(), work_of(first, seen, fails_at=2), PartProgress("fg"), lambda: None)
    assert seen == [1, 0]
    if damage == "record":
        (tmp_path / "out" / "_done" / "part-000001.json").write_text('{"name": "part-0')
    elif damage == "file":
        (tmp_path / "out" / "part-000001.txt").unlink()
    elif damage == "size":
        (tmp_path / "out" / "part-000001.txt").write_text("longer than before")
    again = directory_of(tmp_path, "b" if damage == "setting" else "a")
    assert again.changes_since(read_manifest(again.path) or {}) == (["with a"] if damage == "setting" else [])
    run_parts(again, SoleRank(), work_of(again, seen), PartProgress("fg"), lambda: None)
    assert seen[2:] == ([1, 0, 2] if damage == "setting" else [1, 2])


class _Team:
    """Ranks as threads of this process."""

    def __init__(self, size: int) -> None:
        self.size, self.numbers, self.lock = size, 0, threading.Lock()
        self.barrier, self.values = threading.Barrier(size, timeout=20), [None] * size

    def draw(self, count: int) -> int:
        with self.lock:
            self.numbers += count
            return self.numbers - count

    def exchange(self, rank: int, value: Any) -> list[Any]:
        self.values[rank] = json.loads(json.dumps(value))
        self.barrier.wait()
        values = list(self.values)
        self.barrier.wait()
        return values


class _TeamRank(SoleRank):
    def __init__(self, team: _Team, rank: int) -> None:
        self.team, self.rank, self.is_main = team, rank, rank == 0

    def broadcast(self, value: Any) -> Any:
        return self.team.exchange(self.rank, value)[0]

    def gather(self, value: Any) -> list[Any]:
        return self.team.exchange(self.rank, value)

    def all_agree(self, flag: bool) -> bool:
        return all(self.team.exchange(self.rank, flag))

    def draw(self) -> int:
        return self.team.draw(1)

    def stop(self, num_parts: int) -> None:
        self.team.draw(num_parts)


def test_error_of_one_rank_stops_the_others_and_keeps_their_parts(tmp_path: Path) -> None:
    errors: list[str] = []
    team, seen = _Team(2), list[int]()
    directories = [directory_of(tmp_path) for _ in range(2)]

    def run(rank: int) -> None:
        work = work_of(directories[rank], seen, fails_at=1)
        try:
            run_parts(directories[rank], _TeamRank(team, rank), work, PartProgress("fg"), lambda: None)
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(errors) == ["DataError: bad row", "TrainingError: another rank failed; see its error"]
    assert directory_of(tmp_path).count_records() == len(seen) < 3
