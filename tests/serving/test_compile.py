from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch._inductor import config as inductor
from torch._inductor import exc

from tests.fixtures.small_model import small_model
from tzrec.errors import SetupError
from tzrec.serving.compile import compile_program, example_inputs, require_compiler
from tzrec.serving.servable import Servable


def test_example_inputs_have_distinct_free_sizes() -> None:
    servable = Servable.from_model(small_model())
    inputs = example_inputs(servable.signature)
    values, lengths, weights, dense, *elements = inputs
    assert lengths.tolist() == [[2, 1, 1, 1, 1]] * 7
    assert len(values) == len(weights) == int(lengths.sum())
    assert dense.shape == (5, 3)
    assert len(servable(*inputs)) == 5
    shapes = [spec["shape"] for spec in servable.signature.describe_inputs()[4:]]
    sizes = {str(shape[0]): len(tensor) for tensor, shape in zip(elements, shapes, strict=True) if shape != ["B"]}
    assert len(set(sizes.values())) == len(sizes)  # torch.export takes equal sizes for the same dimension


def test_require_compiler_without_compiler_advises_to_install_one() -> None:
    with inductor.patch({"cpp.cxx": ("no-such-compiler",)}), pytest.raises(SetupError, match=r"apt-get install g\+\+"):
        require_compiler()


def test_compile_program_with_failing_compiler_raises_setup_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise exc.InductorError(exc.CppCompileError(["g++"], "no such header"), None)

    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", fail)
    with pytest.raises(SetupError, match=r"did not work: C\+\+ compile error"):
        compile_program(None, tmp_path / "model.pt2")  # type: ignore[arg-type]
