"""Public names of the package."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tzrec
from tzrec import errors

ERRORS = {
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
}


def test_public_names_are_exact() -> None:
    functions = {"build_config", "check", "evaluate", "export", "init", "load", "predict", "train", "tune"}
    assert set(tzrec.__all__) == {"__version__"} | functions | ERRORS


@pytest.mark.parametrize("name", sorted(tzrec.__all__))
def test_public_name_resolves(name: str) -> None:
    assert getattr(tzrec, name) is not None
    assert name in dir(tzrec)


def test_errors_are_public_and_derive_from_tzrec_error() -> None:
    classes = {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert set(classes) == ERRORS
    assert all(issubclass(value, errors.TzrecError) for name, value in classes.items() if name != "Problem")


def test_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'tzrec' has no attribute 'trian'"):
        tzrec.trian  # noqa: B018


def test_import_loads_no_heavy_package() -> None:
    code = "import sys, tzrec; sys.exit(any(name in sys.modules for name in ('torch', 'pyarrow', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
