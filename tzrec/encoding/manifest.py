"""What an encoded data set was made from, and of how many rows: its _manifest.json."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow.fs as pafs

from tzrec.config.vocabulary import self_contained
from tzrec.data import atomic
from tzrec.data.paths import InputFile, filesystem
from tzrec.encoding.parts import Done, Part
from tzrec.errors import UsageError
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.version import __version__

NAME = "_manifest.json"  # readers of whole folders pass over names that begin with _
_FORMAT = 1


@dataclass(frozen=True)
class SourceFile:
    """An input file, by what changes when it is written again."""

    path: str
    size: int
    modified_ns: int

    @classmethod
    def of(cls, file: InputFile) -> SourceFile:
        info = file.filesystem.get_file_info(file.path)
        return cls(file.name, info.size, info.mtime_ns or 0)


@dataclass(frozen=True)
class Origin:
    """What the rows of an encoded data set follow from.

    Attributes:
        config_sha256: digest of features, data_config, the files these name, and the reserved columns.
        version: of tzrec; another one may cut the input into other parts, or encode otherwise.
        fg_mode: how the rows are to be read.
        on_ray: whether Ray cuts it into files, which it does in its own way.
        inputs: the files in reading order.
    """

    config_sha256: str
    version: str
    fg_mode: str
    on_ray: bool
    inputs: tuple[SourceFile, ...]

    @classmethod
    def of(
        cls, config: EasyRecConfig, fg_mode: str, on_ray: bool, reserved: Sequence[str], files: Sequence[InputFile]
    ) -> Origin:
        inputs = tuple(SourceFile.of(file) for file in files)
        return cls(_digest(config, reserved), __version__, fg_mode, on_ray, inputs)

    @property
    def stamp(self) -> str:
        """A digest of all of it."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()


def _digest(config: EasyRecConfig, reserved: Sequence[str]) -> str:
    whole = self_contained(config)
    digest = hashlib.sha256(whole.data_config.SerializeToString(deterministic=True))
    for each in whole.feature_configs:
        digest.update(each.SerializeToString(deterministic=True))
        for _, message in each.ListFields():
            name = getattr(message, "vocab_file", "")
            if name:  # of a tokenizer: what it holds decides about the ids, not what it is called
                digest.update(Path(message.asset_dir, name).read_bytes())
    digest.update("\0".join(reserved).encode())
    return digest.hexdigest()


def refuse_other(directory: str, origin: Origin) -> None:
    """Raises UsageError where a directory holds something else than a beginning of this very data set."""
    where, inner = filesystem(directory)
    if where.get_file_info(inner).type == pafs.FileType.NotFound:
        return
    if where.get_file_info(f"{inner}/{NAME}").type != pafs.FileType.File:
        names = [info.base_name for info in where.get_file_info(pafs.FileSelector(inner))]
        if [name for name in names if not name.startswith(".")]:
            raise UsageError(f"{directory} is not empty and has no {NAME}; name another --output_path")
        return
    with where.open_input_file(f"{inner}/{NAME}") as stream:
        found = json.loads(stream.read())
    changed = []
    if found["config_sha256"] != origin.config_sha256:
        changed.append("with another config (features, data_config or reserved columns)")
    if found["version"] != origin.version:
        changed.append(f"by tzrec {found['version']}")
    if found["fg_mode"] != origin.fg_mode:
        changed.append(f"with --fg_mode {found['fg_mode']}")
    if found["on_ray"] != origin.on_ray:
        changed.append(f"with{'' if found['on_ray'] else 'out'} --ray")
    if found["inputs"] != [asdict(each) for each in origin.inputs]:
        changed.append("from other files, or from files that have changed since")
    if changed:
        raise UsageError(f"{directory} was begun {' and '.join(changed)}; remove it or name another --output_path")


def is_complete(directory: str) -> bool:
    """Whether a data set that `refuse_other` has let pass is all there."""
    where, inner = filesystem(directory)
    if where.get_file_info(f"{inner}/{NAME}").type != pafs.FileType.File:
        return False
    with where.open_input_file(f"{inner}/{NAME}") as stream:
        return bool(json.loads(stream.read())["complete"])


def write_manifest(directory: str, origin: Origin, parts: Sequence[Part], done: Sequence[Done | None]) -> None:
    """Write the manifest: parts that are not there yet have no number of rows; without parts there are as many files
    as there are values in `done`."""
    if parts:
        listed = [_described(part, each) for part, each in zip(parts, done, strict=True)]
    else:
        listed = [{"name": f"part-{number:06d}", "rows": each.rows} for number, each in enumerate(done) if each]
    value = {
        "format": _FORMAT,
        **asdict(origin),
        "complete": None not in done,
        "rows": sum(each.rows for each in done if each),
        "parts": listed,
    }
    write_file(directory, NAME, json.dumps(value, indent=1) + "\n")


def write_file(directory: str, name: str, text: str) -> None:
    """Write a small file beside the parts; locally it changes at once, and survives a crash."""
    where, inner = filesystem(directory)
    where.create_dir(inner, recursive=True)
    atomic.write_text(f"{directory}/{name}", text, is_synced=True)


def _described(part: Part, done: Done | None) -> dict[str, object]:
    told = {"name": part.name, "input": part.reader.files[0].name, "first": part.first, "after": part.after}
    if done is None:
        return told
    bad = [{"column": column, "reason": reason, "count": count} for column, reason, count in done.bad]
    return {**told, "rows_read": done.read, "rows": done.rows, "bad": bad}
