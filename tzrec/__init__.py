"""tzrec: recommendation models from a protobuf text config, built on PyTorch and TorchRec.

run = tzrec.train("my.config", model_dir="out", edit={"train_config.num_steps": 200})
run.metrics["auc_ctr"]
scores = tzrec.load("out/export").predict(table)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tzrec.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    PackageError,
    Problem,
    SetupError,
    TrainingError,
    TzrecError,
    UsageError,
)
from tzrec.version import __version__

if TYPE_CHECKING:
    from tzrec.api import load, train

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "PackageError",
    "Problem",
    "SetupError",
    "TrainingError",
    "TzrecError",
    "UsageError",
    "__version__",
    "load",
    "train",
]


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: only those who train or predict pay for it
    if name in ("load", "train"):
        return getattr(importlib.import_module("tzrec.api"), name)
    raise AttributeError(f"module 'tzrec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
