"""Settings of all tests: one thread, the same random numbers at the start of each test, files over processes."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

torch.set_num_threads(1)

pytest_plugins = ["tests.fixtures.ranks"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Distribute files over processes by `FileScheduling` where `make test` asks for it."""
    if config.getvalue("dist") != "loadfile":
        return None
    from tests.fixtures.parallel import FileScheduling

    return FileScheduling(config, log)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Seed all generators, so that a test draws the same numbers alone and in a full run."""
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
