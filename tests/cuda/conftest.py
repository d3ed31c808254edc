"""Device of the tests in this folder: the CPU, and a GPU where there is one, within a time limit."""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator

import pytest
import torch

from tests.fixtures.devices import on_device

TIME_LIMIT_S = 300


@pytest.fixture(scope="session", autouse=True)
def time_limit() -> Iterator[None]:
    """End the process with a stack trace if the tests on a GPU take longer than five minutes."""
    if torch.cuda.is_available():
        faulthandler.dump_traceback_later(TIME_LIMIT_S, exit=True)
    yield
    if torch.cuda.is_available():
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def device(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """Device on which the package trains during the test."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU and fbgemm for CUDA: GPU=1 make venv, then make test-cuda")
    with on_device(request.param):
        yield torch.device(request.param)
