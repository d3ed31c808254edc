"""Portable program: the exported forward pass as JSON, for a machine type or torch that machine code does not run on.

It is the graph that torch.export traced, without weights, which are those of `weights.safetensors`. Its operators are
called one by one: MMoE with 15 features takes 2.4 times as long as machine code for one row, 1.3 times for 200.

torch evaluates expressions of the file when it reads it, and makes Python code of the graph. So the file is validated
first: operators from a list, names that are identifiers, and expressions of numbers and symbols.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from tzrec.errors import PackageError, shorten_middle
from tzrec.torchrec_adapter import ProgramFormatError, program_from_json, program_to_json

SUFFIX = ".export.json"

_LIBRARIES = "aten|fbgemm|higher_order|mkldnn|prims"
_PYTHON = "add|sub|mul|truediv|floordiv|mod|pow|neg|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem"
_OPERATOR = re.compile(
    rf"torch\.ops\.(?:{_LIBRARIES})(?:\.(?:_?[A-Za-z][A-Za-z0-9_]*|__i?(?:and|or|xor|lshift|rshift)__)){{1,2}}"
    rf"|_operator\.(?:{_PYTHON})|torch\.sym_[a-z]+|math\.[a-z]+"
)
_NAME = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]*)?")
_WEIGHT = re.compile(r"[^\"'\\\x00-\x1f(){};]+")
_EXPRESSION = re.compile(r"(?:[A-Z][A-Za-z]*\(|'[a-z]+[0-9]+'|[a-z]+=(?:True|False)|True|False|-?[0-9]+|[),\s])+")
_PATTERNS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "target": (_OPERATOR, "operator"),
    "as_operator": (_OPERATOR, "operator"),
    "name": (_NAME, "name"),
    "expr_str": (_EXPRESSION, "expression"),
    "parameter_name": (_WEIGHT, "weight"),
    "buffer_name": (_WEIGHT, "weight"),
}


class PortableModel:
    """A portable program with its weights; several threads may run it.

    Args:
        path: of its file.
        weights: by name, also others; used, not copied.

    Raises:
        PackageError: the file is damaged, a weight is missing, or this release of torch cannot read it.
    """

    def __init__(self, path: Path, weights: Mapping[str, Tensor]) -> None:
        data = path.read_bytes()
        objects = list(_objects(_parse(path, data)))
        _validate(path, objects)
        names = [str(value[key]) for value in objects for key in ("parameter_name", "buffer_name") if key in value]
        missing = [name for name in names if name not in weights]
        if missing:
            raise PackageError(f"{path.parent} is damaged: no weight {', '.join(missing)}, which {path.name} needs")
        try:
            self._forward = program_from_json(data, {name: weights[name] for name in names})
        except ProgramFormatError as error:
            raise PackageError(
                f"{path} cannot be read by torch {torch.__version__}: {error}. Export it again with this torch."
            ) from None

    def run(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Run the program: its inputs in order -> its outputs in order."""
        return list(self._forward(*inputs))


def write_portable(program: ExportedProgram, path: Path) -> None:
    """Write an exported program without its weights, and without what it says about the source code.

    Raises:
        ProgramFormatError: torch cannot write it.
        PackageError: it has an operator that a package may not have.
    """
    assert not program.constants, f"the program has constants that are no weights: {', '.join(program.constants)}"
    value = json.loads(program_to_json(program))
    value["guards_code"] = []
    for node in _objects(value):
        if "metadata" in node and "target" in node:
            node["metadata"] = {}
    _validate(path, _objects(value))
    path.write_text(json.dumps(value, separators=(",", ":")))


def _parse(path: Path, data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PackageError(f"{path} is damaged: {error}") from None


def _validate(path: Path, objects: Iterable[Mapping[str, Any]]) -> None:
    """Raise an error where the objects of a file are anything but a graph of known operators."""
    for value in objects:
        for key, (pattern, kind) in _PATTERNS.items():
            text = value.get(key)
            if isinstance(text, str) and not pattern.fullmatch(text):
                raise PackageError(f"{path} has the {kind} {shorten_middle(repr(text))}, which no exported program has")


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield all objects in a JSON value."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield item
            pending += item.values()
        elif isinstance(item, list):
            pending += item
