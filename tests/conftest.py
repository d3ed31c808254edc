"""Settings of all tests: one thread, and the same random numbers at the start of each test."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

torch.set_num_threads(1)

pytest_plugins = ["tests.fixtures.ranks"]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Seed all generators, so that a test draws the same numbers alone and in a full run."""
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
