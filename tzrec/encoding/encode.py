"""`tzrec fg`: encode the features of a data set once, so that training need not do it again in every pass."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf.message import Message

from tzrec import cli, env
from tzrec.log import logger
from tzrec.protos import data_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig

if TYPE_CHECKING:
    from tzrec.data.encode import RowEncoder
    from tzrec.data.reader import Reader
    from tzrec.encoding.manifest import Origin
    from tzrec.encoding.parts import Done

CONFIG = "pipeline.config"
BAD_ROWS = "_bad_rows.jsonl"
_ONLY_TEXT = ("input_fields", "input_fields_str", "with_header", "delimiter", "null_values")
_MODES = {"FG_NONE": data_pb2.FG_NONE, "FG_BUCKETIZE": data_pb2.FG_BUCKETIZE}
_SAYS_S = 10.0


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 when all rows are encoded; 1 where the command has to be given again."""
    args = _flags().parse_args(argv)
    from tzrec.config.check import load_checked
    from tzrec.config.load import dump_config
    from tzrec.encoding.manifest import write_file

    config = load_checked(args.pipeline_config, args.edit_config_json)
    output = args.output_path.rstrip("/")
    if args.input_path:
        paths = [(args.input_path, f"{output}/data")]
    else:
        paths = [(config.train_input_path, f"{output}/train"), (config.eval_input_path, f"{output}/eval")]
    made = [_encode(config, path, directory, args) if path else "" for path, directory in paths]
    write_file(output, CONFIG, dump_config(encoded_config(config, _MODES[args.fg_mode], *made)))
    logger.info("fg     %s/%s trains on it", output, CONFIG)
    return 0


def _flags() -> cli.Flags:
    flags = cli.parser("fg", "Encode the features of a data set once; training on what comes out needs no encoding.")
    flags.config()
    text = "comma list of globs, encoded into data/; default: what the config names, into train/ and eval/"
    flags.add_argument("--input_path", metavar="GLOB", help=text)
    flags.add_argument("--output_path", required=True, metavar="DIR", help="new, or begun by the same command before")
    text = "FG_NONE: ids and numbers; FG_BUCKETIZE: what ids are made of, so that sizes of tables may change"
    flags.add_argument("--fg_mode", choices=list(_MODES), default="FG_NONE", help=text)
    flags.add_argument("--reserved_columns", default="", metavar="COLUMN,...", help="raw columns to hand through")
    flags.add_argument(
        "--processes", type=cli.positive, default=env.cores(), metavar="N", help="default: the cores of this machine"
    )
    flags.add_argument(
        "--batch_size", type=cli.positive, default=32768, metavar="ROWS", help="rows to encode at a time"
    )
    flags.switch("--ray", "encode on a Ray cluster: the one this machine belongs to, or one of its own")
    flags.edits()
    return flags


def encoded_config(config: EasyRecConfig, fg_mode: int, train_path: str, eval_path: str = "") -> EasyRecConfig:
    """The config that trains on encoded data: the same but for where the data lies and how it is read."""
    encoded = EasyRecConfig()
    encoded.CopyFrom(config)
    encoded.train_input_path, encoded.eval_input_path = train_path, eval_path
    encoded.data_config.dataset_type = data_pb2.ParquetDataset
    encoded.data_config.fg_mode = fg_mode  # type: ignore[assignment]  # the stub wants its own kind of int
    for name in _ONLY_TEXT:
        encoded.data_config.ClearField(name)  # type: ignore[arg-type]
    for feature in encoded.feature_configs:
        _clear(feature, "fg_encoded_default_value")
    return encoded


def _clear(message: Message, name: str) -> None:
    """Clear a field wherever it is: a row without ids had none when it was encoded either."""
    for field, value in message.ListFields():
        if field.name == name:
            message.ClearField(name)  # type: ignore[arg-type]
        elif field.message_type and not field.message_type.GetOptions().map_entry:
            for each in value if field.is_repeated else [value]:
                _clear(each, name)


def _encode(config: EasyRecConfig, path: str, directory: str, args: Namespace) -> str:
    """Encode one data set as far as it is not done yet; the path under which it is read."""
    from tzrec.checkpoint.lock import Lock
    from tzrec.encoding.manifest import Origin, refuse_other

    began = time.perf_counter()
    reserved = [name.strip() for name in args.reserved_columns.split(",") if name.strip()]
    encoder, reader = _open(config, path, reserved, _MODES[args.fg_mode])
    origin = Origin.of(config, args.fg_mode, args.ray, reserved, reader.files)
    refuse_other(directory, origin)
    lock = Lock(Path(directory), "--output_path") if "://" not in directory else None
    try:
        run = _by_ray if args.ray else _by_processes
        run(encoder, reader, directory, origin, args, began)
    finally:
        if lock:
            lock.release()
    return f"{directory}/*.parquet"


def _by_processes(
    encoder: RowEncoder, reader: Reader, directory: str, origin: Origin, args: Namespace, began: float
) -> None:
    """Part by part; what a run before this one has left is used."""
    from tzrec.encoding.manifest import write_manifest
    from tzrec.encoding.parts import find_part, plan
    from tzrec.encoding.processes import write_parts

    parts = plan(reader)
    done = [find_part(part, directory, origin.stamp) for part in parts]
    left = [part for part, each in zip(parts, done, strict=True) if each is None]
    write_manifest(directory, origin, parts, done)
    if len(left) < len(parts):
        _say(f"{directory}: {len(parts) - len(left)} of {len(parts)} parts are there already")
    said = began
    for part, each in write_parts(encoder, left, directory, origin.stamp, args.batch_size, args.processes):
        done[part.number] = each
        if time.perf_counter() - said > _SAYS_S:
            said = time.perf_counter()
            _say(f"{len(parts) - done.count(None)} of {len(parts)} parts")
    write_manifest(directory, origin, parts, done)
    _report([each for each in done if each], directory, time.perf_counter() - began)


def _by_ray(encoder: RowEncoder, reader: Reader, directory: str, origin: Origin, args: Namespace, began: float) -> None:
    """All at once, unless it is done already."""
    from tzrec.encoding.manifest import is_complete, write_manifest
    from tzrec.encoding.ray import write_on_ray

    if is_complete(directory):
        _say(f"{directory} is there already")
        return
    done = write_on_ray(encoder, reader, directory, args.processes, args.batch_size)
    write_manifest(directory, origin, [], done)
    rows, read = sum(each.rows for each in done), reader.count()
    left_out = f", {read - rows:,} left out" if read > rows else ""
    _say(f"{directory}  {rows:,} rows{left_out}, {time.perf_counter() - began:.0f} s")


def _open(config: EasyRecConfig, path: str, reserved: Sequence[str], fg_mode: int) -> tuple[RowEncoder, Reader]:
    from tzrec.data.encode import RowEncoder
    from tzrec.data.reader import open_reader
    from tzrec.data.text import Meaning

    encoder, data = RowEncoder(config, reserved, fg_mode=fg_mode), config.data_config
    reader = open_reader(data, path, encoder.columns)
    if reader.is_text:  # what its cells mean is settled once, for all files
        meaning = Meaning.of(data, reader, [*data.label_fields, *data.sample_weight_fields], reserved)
        encoder = RowEncoder(config, reserved, meaning, fg_mode)
    return encoder, reader


def _report(done: Sequence[Done], directory: str, seconds: float) -> None:
    """Say what was done, and write down a sample of what was bad."""
    from tzrec.data.bad_rows import SAMPLE_ROWS
    from tzrec.encoding.manifest import write_file

    counts: Counter[str] = Counter()
    for each in done:
        counts.update({f"{column}: {reason}": count for column, reason, count in each.bad})
    if counts:
        sample = [line for each in done for line in each.sample][:SAMPLE_ROWS]
        write_file(directory, BAD_ROWS, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in sample))
        told = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        logger.warning("fg     bad rows: %s; see %s/%s", told, directory, BAD_ROWS)
    read, rows = sum(each.read for each in done), sum(each.rows for each in done)
    out = f", {read - rows:,} left out" if read > rows else ""
    _say(f"{directory}  {rows:,} rows in {len(done)} parts{out}, {seconds:.0f} s")


def _say(text: str) -> None:
    logger.info("fg     %s", text)


if __name__ == "__main__":
    cli.leave(main())
