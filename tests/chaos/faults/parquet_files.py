"""Parquet files that are broken, differ from each other, or change while they are read."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import tzrec
from tests.chaos.fault import Outcome, fault
from tests.chaos.workspace import Workspace, checkpoints, outcome, rows
from tzrec.data.parquet import ParquetReader
from tzrec.data.reader import Piece
from tzrec.errors import ConfigError, DataError, TzrecError

SIZES = [150, 150, 150, 150]
ROWS = sum(SIZES)
BROKEN = 2
"""Index of the file that is broken; its first row is 300."""

Change = Callable[[Path], object]


def paths_of(workspace: Workspace, name: str = "data") -> list[Path]:
    """Write the files again and return their paths."""
    shutil.rmtree(workspace.directory / name, ignore_errors=True)
    workspace.write_rows(name, SIZES)
    return sorted((workspace.directory / name).glob("*.parquet"))


def config_of(workspace: Workspace, path: str = "", **values: Any) -> Path:
    name = f"m{len(list(workspace.directory.glob('*.config')))}"
    train = path or f"{workspace.directory}/data/*.parquet"
    return workspace.write_config(name, train=train, **({"num_rows": ROWS, "save_steps": 1000} | values))


def refused(config: Path, *texts: str, kind: type[TzrecError] = DataError, **more: Any) -> str:
    """Train, and assert that the run ends with a short message that contains the texts; return it."""
    with pytest.raises(kind) as caught:
        tzrec.train(config, **more)
    message = str(caught.value)
    for text in texts:
        assert re.search(text, message), message
    assert len(message) < 700, len(message)
    return message.splitlines()[0]


def trained(workspace: Workspace, path: str = "", num_epochs: int = 1, message: str = "") -> Outcome:
    """Train, and count the rows that were lost or repeated."""
    config = config_of(workspace, path, num_epochs=num_epochs)
    assert tzrec.check(config) == []
    return outcome(tzrec.train(config).model_dir, ROWS, num_epochs, message)


def refused_before_the_first_step(workspace: Workspace, changes: dict[Change, str]) -> Outcome:
    """Break one of the files in each way; the run ends before its first step, and trains the unbroken files."""
    message = ""
    for change, text in changes.items():
        path = paths_of(workspace)[BROKEN]
        change(path)
        config = config_of(workspace)
        message = refused(config, f"{path.name}: {text}")
        assert any(re.search(text, problem.message) for problem in tzrec.check(config))
        assert checkpoints(config.with_suffix("")) == []
    paths_of(workspace)
    return trained(workspace, message=message)


def rewrite(path: Path, table: pa.Table, **options: Any) -> None:
    """Replace a file in one step, as a job that writes it again does."""
    draft = path.with_name(f"{path.name}.new")
    pq.write_table(table, draft, **options)
    os.replace(draft, path)


def change_column(name: str, convert: Callable[[list[Any]], Any]) -> Change:
    def change(path: Path) -> None:
        table = pq.read_table(path)
        index = table.column_names.index(name)
        rewrite(path, table.set_column(index, name, pa.array(convert(table[name].to_pylist()))))

    return change


def cut(share: float) -> Change:
    return lambda path: path.write_bytes(path.read_bytes()[: int(len(path.read_bytes()) * share)])


@fault("Parquet file truncated, empty, without its last byte, or no Parquet", times=4)
def broken_file(workspace: Workspace) -> Outcome:
    unreadable = "cannot be read as Parquet"
    return refused_before_the_first_step(
        workspace,
        {
            cut(0.5): unreadable,
            cut(0): unreadable,
            (lambda path: path.write_bytes(path.read_bytes()[:-1])): unreadable,
            (lambda path: path.write_text("hello, world " * 99)): unreadable,
        },
    )


@fault("flipped bit in a Parquet page with a checksum")
def flipped_bit(workspace: Workspace) -> Outcome:
    path = paths_of(workspace)[BROKEN]
    pq.write_table(pq.read_table(path), path, write_page_checksum=True, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[pq.read_metadata(path).row_group(0).column(0).data_page_offset + 200] ^= 0x10
    path.write_bytes(content)
    message = refused(config_of(workspace), f"{path.name}: cannot be read as Parquet", "CRC")
    paths_of(workspace)
    return trained(workspace, message=message)


@fault("schema of one Parquet file differs", times=7)
def other_schema(workspace: Workspace) -> Outcome:
    texts = lambda values: [f"u{value}" for value in values]  # noqa: E731
    return refused_before_the_first_step(
        workspace,
        {
            change_column("user", texts): 'column "user" is string, but int64 in',
            change_column("user", lambda values: [value + 0.5 for value in values]): 'column "user" is double',
            change_column("user", lambda values: [[value] for value in values]): 'column "user" is list<',
            change_column("price", texts): 'column "price" is string, but double in',
            (lambda path: rewrite(path, pq.read_table(path).drop(["cate"]))): 'no column "cate"',
            (lambda path: rewrite(path, pq.read_table(path).drop(["clk"]))): 'no column "clk"',
            (lambda path: rewrite(path, twice(pq.read_table(path), "user"))): '2 columns "user"',
        },
    )


def twice(table: pa.Table, name: str) -> pa.Table:
    return table.append_column(name, table[name])


@fault("column of a type that no feature reads, in every file", times=4)
def unreadable_type(workspace: Workspace) -> Outcome:
    message = ""
    for kind in (pa.date32(), pa.timestamp("us", "UTC"), pa.binary(), pa.struct([("a", pa.int64())])):
        for path in paths_of(workspace):
            rewrite(path, pq.read_table(path).set_column(1, "user", pa.nulls(150, kind)))
        config = config_of(workspace)
        message = refused(config, f'column "user" has type {re.escape(str(kind))}', "write ")
        assert checkpoints(config.with_suffix("")) == []
    paths_of(workspace)
    return trained(workspace, message=message)


@fault("row ids and columns stored as every type that holds them", times=7)
def other_types(workspace: Workspace) -> Outcome:
    lost = repeated = 0
    convert: list[Callable[[pa.Array], pa.Array]] = [
        lambda ids: ids.cast(pa.uint64()),
        lambda ids: pa.array([Decimal(value) for value in ids.to_pylist()], pa.decimal128(20, 0)),
        lambda ids: pa.array([Decimal(value) for value in ids.to_pylist()], pa.decimal128(9, 0)),
        lambda ids: ids.cast(pa.float64()),
        lambda ids: ids.cast(pa.string()).dictionary_encode(),
        lambda ids: ids.cast(pa.string()).cast(pa.string_view()),
        lambda ids: pa.array([[value] for value in ids.to_pylist()], pa.list_view(pa.int32())),
    ]
    for change in convert:
        for path in paths_of(workspace):
            table = pq.read_table(path)
            rewrite(path, table.set_column(0, "row_id", change(table["row_id"].combine_chunks())))
        result = trained(workspace)
        lost, repeated = lost + result.lost_rows, repeated + result.repeated_rows
    return Outcome(lost, repeated)


@fault("columns of nulls, narrow types and whole floats in some files", times=3)
def mixed_types(workspace: Workspace) -> Outcome:
    paths = paths_of(workspace)
    first = pq.read_table(paths[0])
    rewrite(paths[0], first.set_column(2, "cate", pa.nulls(150)).set_column(3, "price", pa.nulls(150)))
    narrow = pq.read_table(paths[1])
    rewrite(paths[1], narrow.set_column(0, "row_id", narrow["row_id"].cast(pa.int16())))
    change_column("row_id", lambda values: list(map(float, values)))(paths[2])
    return trained(workspace)


@fault("folders of Hive and Spark with files that are not data", times=2, short=True)
def folders(workspace: Workspace) -> Outcome:
    lost = repeated = 0
    for path in paths_of(workspace):
        folder = path.parent / f"dt={path.stem}"
        folder.mkdir()
        path.rename(folder / path.name)
        for name in ("_SUCCESS", "_metadata", f".{path.name}.crc", "_temporary/0/part-9.parquet"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("not data")
    for pattern in ("data", "data/dt=*"):
        result = trained(workspace, f"{workspace.directory}/{pattern}")
        lost, repeated = lost + result.lost_rows, repeated + result.repeated_rows
    return Outcome(lost, repeated)


@fault("Parquet files without rows, then nothing but such files", times=2)
def empty_parts(workspace: Workspace) -> Outcome:
    paths = paths_of(workspace)
    for name in ("aa.parquet", "part-001a.parquet", "zz.parquet"):
        pq.write_table(rows(0), paths[0].with_name(name))
    result = trained(workspace)
    for path in paths:
        path.unlink()
    message = refused(config_of(workspace), "no rows")
    return Outcome(result.lost_rows, result.repeated_rows, message)


def changed_in_second_epoch(workspace: Workspace, change: Change, text: str, shuffle: str) -> Outcome:
    """Change a file while the second of three epochs is read; restore it, resume, and count all rows three times."""
    path = paths_of(workspace)[BROKEN]
    content = path.read_bytes()
    config = config_of(workspace, num_epochs=3, save_steps=2, shuffle=shuffle, data_more="in_order: true")
    read, calls = ParquetReader.read, []

    def read_and_change(self: ParquetReader, start: int = 0) -> Iterator[Piece]:
        calls.append(start)
        if len(calls) == 2:
            change(path)
        yield from read(self, start)

    with mock.patch.object(ParquetReader, "read", read_and_change):
        message = refused(config, f"{path.name}: {text}")
    assert len(checkpoints(config.with_suffix(""))) > 0
    path.write_bytes(content)
    run = tzrec.train(config, continue_train=True)
    return outcome(run.model_dir, ROWS, 3, message)


@fault("Parquet file vanishes, shrinks, grows or is replaced between passes", times=8)
def changed_file(workspace: Workspace) -> Outcome:
    changes: dict[Change, str] = {
        (lambda path: path.unlink()): "is gone",
        (lambda path: rewrite(path, rows(100, 300))): "the file changed in size",
        (lambda path: rewrite(path, rows(400, 300))): "the file changed in size",
        (lambda path: rewrite(path, rows(150, 300), row_group_size=200)): "the file was written again",
    }
    lost, repeated, message = 0, 0, ""
    for shuffle in ("true", "false"):
        for change, text in changes.items():
            result = changed_in_second_epoch(workspace, change, text, shuffle)
            lost, repeated, message = lost + result.lost_rows, repeated + result.repeated_rows, result.message
    return Outcome(lost, repeated, message)


class _Throttling(MemoryFileSystem):  # type: ignore[misc]
    """Filesystem that fails with an error class of its own."""

    protocol = "throttling"

    def glob(self, path: str, **kwargs: Any) -> list[str]:
        raise LookupError("SlowDown: reduce your request rate\nfor 17 requests")


@fault("evaluation data missing, of another schema, and a remote store that fails", times=3)
def other_input(workspace: Workspace) -> Outcome:
    fsspec.register_implementation("throttling", _Throttling, clobber=True)
    data = paths_of(workspace)[0].parent
    evaluation = paths_of(workspace, "evaluation")[0]
    change_column("price", lambda values: [[[value]] for value in values])(evaluation)
    for path, text in (
        (data / "none.parquet", 'no file matches ".*none.parquet"'),
        (evaluation, 'column "price" has type list'),
        ("throttling://bucket/a.parquet", 'cannot open "throttling://bucket/a.parquet": SlowDown'),
    ):
        config = config_of(workspace, eval=path)
        message = refused(config, text)
        assert checkpoints(config.with_suffix("")) == []
    return trained(workspace, message=message)


@fault("URL as model_dir, and tables larger than the memory", times=3)
def refused_configs(workspace: Workspace) -> Outcome:
    paths_of(workspace)
    url = {"model_dir": "s3://bucket/model"}
    message = refused(config_of(workspace), "is a URL", kind=ConfigError, edit=url)
    for size in (10**13, 2**62):
        edit = {"feature_configs[2].id_feature.hash_bucket_size": size}
        message = refused(config_of(workspace), "the embedding tables need .* free", kind=ConfigError, edit=edit)
    assert not (Path.cwd() / "s3:").exists()
    assert np.all([not path.is_dir() for path in workspace.directory.glob("m*")])
    return trained(workspace, message=message)


@fault("Parquet file shrinks between passes of 2 ranks")
def changed_file_on_two_ranks(workspace: Workspace) -> Outcome:
    path = paths_of(workspace)[BROKEN]
    content = path.read_bytes()
    config = config_of(workspace, num_epochs=8, save_steps=20, keep=3, batch_size=32)
    log = workspace.directory / "log"
    process = workspace.start_train(config, ranks=2, log=log)
    while process.poll() is None and not checkpoints(config.with_suffix("")):
        time.sleep(0.01)
    rewrite(path, rows(100, 300))
    assert process.wait(60) != 0
    text = log.read_text()
    assert "tzrec/run/train.py" not in text, text[-3000:]  # a traceback; that of the launcher does not count
    messages = [line for line in text.splitlines() if f"{path.name}: the file changed in size" in line]
    path.write_bytes(content)
    workspace.train(config, "--continue_train", ranks=2).assert_succeeded()
    return outcome(config.with_suffix(""), ROWS, 8, messages[0])
