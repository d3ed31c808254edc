"""What all tests share: one thread, and the same random numbers at the start of each."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

torch.set_num_threads(1)

pytest_plugins = ["tests.fixtures.ranks"]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """A test that draws numbers draws the same ones alone and among others."""
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
