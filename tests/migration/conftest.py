"""Checkpoints as TorchEasyRec writes them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """torch's checkpoint log goes into every report of a failure otherwise."""
    logging.getLogger("c10d-NullHandler-dcp_logger").setLevel(logging.WARNING)


def save_original(directory: Path, tensors: Mapping[str, torch.Tensor]) -> Path:
    """Write tensors as the part `model` of a checkpoint; return the checkpoint."""
    tensors = {name: value.detach().clone() for name, value in tensors.items()}
    dcp.save(tensors, checkpoint_id=directory / "model", no_dist=True)
    return directory
