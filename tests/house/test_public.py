"""The names a stranger may rely on: these and no others."""

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
    "TrainingError",
    "TzrecError",
    "UsageError",
}


def test_exact_names() -> None:
    assert set(tzrec.__all__) == {"__version__", "load", "train"} | ERRORS


@pytest.mark.parametrize("name", sorted(tzrec.__all__))
def test_each_name_leads_somewhere(name: str) -> None:
    assert getattr(tzrec, name) is not None
    assert name in dir(tzrec)


def test_all_errors_are_public_and_of_one_family() -> None:
    classes = {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert set(classes) == ERRORS
    assert all(issubclass(value, errors.TzrecError) for name, value in classes.items() if name != "Problem")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'tzrec' has no attribute 'trian'"):
        tzrec.trian  # noqa: B018


def test_import_is_light() -> None:
    code = "import sys, tzrec; sys.exit(any(name in sys.modules for name in ('torch', 'pyarrow', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
