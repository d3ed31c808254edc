"""tzrec: recommendation models from a protobuf text config, built on PyTorch and TorchRec.

run = tzrec.train("my.config", model_dir="out", edit={"train_config.num_steps": 200})
run.metrics["auc_ctr"]
scores = tzrec.load("out/export").predict(table)
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tzrec import env
from tzrec.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    PackageError,
    Problem,
    SetupError,
    StoreError,
    TrainingError,
    TzrecError,
    UsageError,
)
from tzrec.version import __version__

if TYPE_CHECKING:
    from tzrec.api import build_config, check, evaluate, export, init, load, predict, train, tune

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "PackageError",
    "Problem",
    "SetupError",
    "StoreError",
    "TrainingError",
    "TzrecError",
    "UsageError",
    "__version__",
    "build_config",
    "check",
    "evaluate",
    "export",
    "init",
    "load",
    "predict",
    "train",
    "tune",
]

env.use_system_memory_for_arrow()

_FUNCTIONS = ("build_config", "check", "evaluate", "export", "init", "load", "predict", "train", "tune")


class _Package(ModuleType):
    """Module that imports its functions on first use and keeps them when a command's module has the same name.

    Python sets `tzrec.predict` to the module tzrec/predict.py once that is imported; here it remains the function, and
    the module is reached by its full name: `from tzrec.predict import main`, `python -m tzrec.predict`.
    """

    def __getattr__(self, name: str) -> Any:
        if name in _FUNCTIONS:  # torch takes seconds to import
            return getattr(importlib.import_module("tzrec.api"), name)
        raise AttributeError(f"module 'tzrec' has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _FUNCTIONS and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *__all__})


sys.modules[__name__].__class__ = _Package
