from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch._inductor import config as inductor
from torch._inductor import exc

from tests.serving.small import small_ranker
from tzrec.errors import SetupError
from tzrec.serving.compile import compile_servable, example_inputs, require_compiler
from tzrec.serving.servable import Servable


def test_example_inputs() -> None:
    servable = Servable.of(small_ranker())
    inputs = example_inputs(servable.signature)
    values, lengths, weights, dense, *steps = inputs
    assert lengths.tolist() == [[2, 1, 1, 1, 1]] * 7
    assert len(values) == len(weights) == int(lengths.sum())
    assert dense.shape == (5, 3)
    assert len(servable(*inputs)) == 5
    told = [each["shape"] for each in servable.signature.described()[4:]]
    free = [len(each) for each, shape in zip(steps, told, strict=True) if shape != ["B"]]
    assert len(set(free)) == len(free)  # the tracer would take equal sizes for the same


def test_without_a_compiler() -> None:
    with inductor.patch({"cpp.cxx": ("no-such-compiler",)}), pytest.raises(SetupError, match=r"apt-get install g\+\+"):
        require_compiler()


def test_with_a_compiler_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise exc.InductorError(exc.CppCompileError(["g++"], "no such header"), None)

    monkeypatch.setattr(torch.export, "export", lambda *args, **kwargs: None)
    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", fail)
    with pytest.raises(SetupError, match=r"did not work: C\+\+ compile error"):
        compile_servable(Servable.of(small_ranker()), tmp_path / "model.pt2")
