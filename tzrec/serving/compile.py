"""Compile a servable with AOTInductor: without data, for any batch size and number of ids."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from tzrec.errors import SetupError
from tzrec.serving.request_signature import RequestSignature
from tzrec.serving.sequence_inputs import SequenceInputs
from tzrec.serving.servable import Servable
from tzrec.serving.signature import Signature
from tzrec.serving.user_once import UserOnce, dynamic_dimensions, zero_inputs
from tzrec.torchrec_adapter import CppCompilerError, compile_package, require_cpp_compiler

_ROWS = 5
"""Rows of the example that is traced; any number from 2 on gives the same program."""


def require_compiler() -> None:
    """Check that there is a C++ compiler, before the model is traced for minutes.

    Raises:
        SetupError: there is none.
    """
    try:
        require_cpp_compiler()
    except CppCompilerError as error:
        raise SetupError(_compiler_failed(error)) from None


def trace_servable(servable: Servable | UserOnce) -> ExportedProgram:
    """Trace the forward pass, for any number of rows, ids and elements; the program gets its weights by name."""
    example = example_inputs(servable.signature)
    shapes = tuple(dynamic_dimensions(spec["shape"]) for spec in servable.signature.describe_inputs())
    # The program does not depend on how large the tables are: without them compiling takes less time and memory.
    tables, servable.tables = servable.tables, torch.zeros(64, dtype=torch.uint8)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # from torch, about its own tree specs
            return torch.export.export(servable, example, dynamic_shapes=(shapes,), strict=False)
    finally:
        servable.tables = tables


def compile_program(program: ExportedProgram, path: Path) -> None:
    """Write machine code to `path` (`*.pt2`); its loader gets the weights by name.

    Raises:
        SetupError: the C++ compiler does not work.
    """
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            compile_package(program, str(path), _options())
        except CppCompilerError as error:
            raise SetupError(_compiler_failed(error)) from None


def example_inputs(signature: Signature | RequestSignature) -> tuple[Tensor, ...]:
    """Inputs to trace with: row 0 of every table, once per row and twice in the first, and dense zeros."""
    if isinstance(signature, RequestSignature):
        return zero_inputs(signature.describe_inputs(), {"U": _ROWS - 2, "B": _ROWS})
    num_features = len(signature.sparse)
    lengths = torch.ones(num_features, _ROWS, dtype=torch.int32)
    lengths[:, 0] = 2
    num_ids = num_features * (_ROWS + 1)
    tensors = {
        "values": torch.zeros(num_ids, dtype=torch.int64),
        "lengths": lengths,
        "weights": torch.ones(num_ids),
        "dense": torch.zeros(_ROWS, sum(signature.dense.values())),
    }
    by_row = tuple(tensors[name] for name in signature.names if name in tensors)
    return by_row + tuple(_example_elements(signature.sequences, num_ids + _ROWS))


def _example_elements(sequences: SequenceInputs, lower_bound: int) -> Iterator[Tensor]:
    """Sequence inputs; all numbers of elements, ids and positions differ, because torch.export takes equal sizes for
    the same dimension."""
    sizes = count(lower_bound + 1)
    for width in sequences.width_by_feature.values():
        num_elements = next(sizes)
        lengths = torch.ones(_ROWS, dtype=torch.int32)
        lengths[0] += num_elements - _ROWS
        num_ids = 0 if width else next(sizes)
        yield torch.zeros(num_elements, width) if width else torch.zeros(num_ids, dtype=torch.int64)
        yield lengths
        if not width:
            key_lengths = torch.ones(num_elements, dtype=torch.int32)
            key_lengths[0] += num_ids - num_elements
            yield key_lengths
    for group in sequences.groups.values():
        index = torch.arange(next(sizes))
        yield from (index.clamp(max=_ROWS - 1), torch.zeros_like(index)) if group.is_jagged else (index,)
        if group.is_jagged and group.is_padded:
            yield torch.arange(next(sizes))


def _options() -> dict[str, Any]:
    options: dict[str, Any] = {
        # weights are in their own file: mapped, shared between processes, readable by other programs
        "aot_inductor.package_constants_in_so": False,
        "always_keep_tensor_constants": True,
        # a program traced with 5 rows also takes one row, or none
        "aot_inductor.check_lowerbound": False,
        # precompiling headers takes longer than it saves in a single compilation
        "aot_inductor.precompile_headers": False,
        # as many threads as the process that loads it has, not the one that compiled it
        "cpp.dynamic_threads": True,
    }
    if platform.machine() == "x86_64":
        # Portable: every x86 server of the last ten years, not only processors like this one. Matrix products are
        # library calls, which choose their instructions at run time.
        options |= {"cpp.march": "x86-64-v3", "cpp.simdlen": 256}
    return options


def _compiler_failed(error: Exception) -> str:
    first = str(error).strip().splitlines()[0]
    return (
        f"export compiles the model with a C++ compiler, which did not work: {first}\n"
        "install g++ (Debian, Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++), or name one in CXX"
    )
