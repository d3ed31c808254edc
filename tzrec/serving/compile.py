"""From a servable to an AOTInductor package: no data needed, batch size and number of ids free."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._inductor import cpp_builder, exc

from tzrec.errors import SetupError
from tzrec.serving.sequences import Sequences
from tzrec.serving.servable import Servable
from tzrec.serving.signature import Signature

_FREE = torch.export.Dim.DYNAMIC
_ROWS = 5
"""Rows of the example that is traced; any number from 2 on gives the same program."""


def require_compiler() -> None:
    """Raises SetupError where there is no C++ compiler, which would otherwise show only after the model is traced."""
    try:
        cpp_builder.get_cpp_compiler()
    except exc.InvalidCxxCompiler as error:
        raise SetupError(_no_compiler(error)) from None


def compile_servable(servable: Servable, path: Path) -> None:
    """Write `path` (`*.pt2`): machine code without weights, which its loader is given by name.

    Raises:
        SetupError: the C++ compiler does not work.
    """
    example = example_inputs(servable.signature)
    # The program does not depend on how large the tables are: without them compiling takes less time and memory.
    tables, servable.tables = servable.tables, torch.zeros(64, dtype=torch.uint8)
    try:
        _compile(servable, example, path)
    finally:
        servable.tables = tables


def _compile(servable: Servable, example: tuple[Tensor, ...], path: Path) -> None:
    shapes = tuple(_free(each["shape"]) for each in servable.signature.described())
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's about its own tree specs
        program = torch.export.export(servable, example, dynamic_shapes=(shapes,), strict=False)
        try:
            torch._inductor.aoti_compile_and_package(program, package_path=str(path), inductor_configs=_options())
        except exc.InductorError as error:
            if isinstance(error.inner_exception, exc.CppCompileError):
                raise SetupError(_no_compiler(error.inner_exception)) from None
            raise


def _free(shape: Any) -> dict[int, Any]:
    """The dimensions that have a name instead of a number."""
    return {index: _FREE for index, size in enumerate(shape) if isinstance(size, str)}


def example_inputs(signature: Signature) -> tuple[Tensor, ...]:
    """Row 0 of every table, once per row and twice in the first, and dense zeros; steps likewise."""
    features = len(signature.sparse)
    lengths = torch.ones(features, _ROWS, dtype=torch.int32)
    lengths[:, 0] = 2
    ids = features * (_ROWS + 1)
    made = {
        "values": torch.zeros(ids, dtype=torch.int64),
        "lengths": lengths,
        "weights": torch.ones(ids),
        "dense": torch.zeros(_ROWS, sum(signature.dense.values())),
    }
    given = tuple(made[name] for name in signature.names if name in made)
    return given + tuple(_example_steps(signature.sequences, ids + _ROWS))


def _example_steps(sequences: Sequences, above: int) -> Iterator[Tensor]:
    """Every number of steps, ids and places is another one above a bound: equal ones would be taken for the same."""
    number = count(above + 1)
    for width in sequences.steps.values():
        lengths = torch.ones(_ROWS, dtype=torch.int32)
        steps = next(number)
        lengths[0] += steps - _ROWS
        ids = 0 if width else next(number)
        yield torch.zeros(steps, width) if width else torch.zeros(ids, dtype=torch.int64)
        yield lengths
        if not width:
            sizes = torch.ones(steps, dtype=torch.int32)
            sizes[0] += ids - steps
            yield sizes
    for group in sequences.groups.values():
        places = torch.arange(next(number))
        yield from (places.clamp(max=_ROWS - 1), torch.zeros_like(places)) if group.jagged else (places,)


def _options() -> dict[str, Any]:
    options: dict[str, Any] = {
        # weights lie in their own file: mapped, shared between processes, readable by others
        "aot_inductor.package_constants_in_so": False,
        "always_keep_tensor_constants": True,
        # a program traced with 5 rows also takes one row, or none
        "aot_inductor.check_lowerbound": False,
        # compiled once: precompiling headers would take longer than it saves
        "aot_inductor.precompile_headers": False,
        # as many threads as the process that loads it has, not the one that compiled it
        "cpp.dynamic_threads": True,
    }
    if platform.machine() == "x86_64":
        # Runs on every x86 server of the last ten years, not only on processors like this one. Matrix products are
        # library calls, which choose their instructions at run time.
        options |= {"cpp.march": "x86-64-v3", "cpp.simdlen": 256}
    return options


def _no_compiler(error: Exception) -> str:
    first = str(error).strip().splitlines()[0]
    return (
        f"export compiles the model with a C++ compiler, which did not work: {first}\n"
        "install g++ (Debian, Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++), or name one in CXX"
    )
