"""Comments of the schema, which the compiled modules do not have."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet

import tzrec.protos
from tzrec.errors import SetupError
from tzrec.protos import options_pb2 as pb

# field numbers in descriptor.proto: the comment of an element is found by its path of field numbers and indices
_MESSAGE, _ENUM, _FIELD, _VALUE, _NESTED_MESSAGE, _NESTED_ENUM = 4, 5, 2, 2, 3, 4
_Path = tuple[int, ...]


def described_files() -> Sequence[FileDescriptorProto]:
    """Return the descriptors of all files of the schema, with their comments.

    Raises:
        SetupError: The compiled schema has no comments.
    """
    path = Path(next(iter(tzrec.protos.__path__))) / "descriptors.binpb"
    if not path.is_file():
        raise SetupError(f"there is no {path}, which has the comments of the schema; compile it again: make proto")
    return FileDescriptorSet.FromString(path.read_bytes()).file


@functools.cache
def comments() -> Mapping[str, str]:
    """Map the full name of each message, field, enum and value of a config to its comment, on one line.

    Example:
        comments()["tzrec.protos.EasyRecConfig.model_dir"]
    """
    files = (file for file in described_files() if file.package == pb.DESCRIPTOR.package)
    return {name: comment for file in files for name, comment in file_comments(file).items()}


def file_comments(file: FileDescriptorProto) -> dict[str, str]:
    """Map the full name of each element of a file to its comment, on one line; "" where it has none."""
    by_path = {tuple(part.path): " ".join(part.leading_comments.split()) for part in file.source_code_info.location}
    enums = (_enum(enum, file.package, (_ENUM, index)) for index, enum in enumerate(file.enum_type))
    messages = (_message(part, file.package, (_MESSAGE, index)) for index, part in enumerate(file.message_type))
    return {name: by_path.get(path, "") for named in (*enums, *messages) for name, path in named}


def _message(message: DescriptorProto, scope: str, path: _Path) -> Iterator[tuple[str, _Path]]:
    name = f"{scope}.{message.name}"
    yield name, path
    yield from ((f"{name}.{field.name}", (*path, _FIELD, index)) for index, field in enumerate(message.field))
    for index, enum in enumerate(message.enum_type):
        yield from _enum(enum, name, (*path, _NESTED_ENUM, index))
    for index, nested in enumerate(message.nested_type):
        yield from _message(nested, name, (*path, _NESTED_MESSAGE, index))


def _enum(enum: EnumDescriptorProto, scope: str, path: _Path) -> Iterator[tuple[str, _Path]]:
    name = f"{scope}.{enum.name}"
    yield name, path
    yield from ((f"{name}.{value.name}", (*path, _VALUE, index)) for index, value in enumerate(enum.value))
