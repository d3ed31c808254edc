"""`init` on odd tables: our own error or a config that `check` accepts and that trains."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

import tzrec
from tests.fixtures.odd_tables import LABEL, OddTable, odd_tables
from tzrec.config.load import load_config
from tzrec.errors import TzrecError

QUICK = {"train_config.num_epochs": 1, "data_config.num_workers": 0, "train_config.save_checkpoints_epochs": 0}


def config_of(table: OddTable, folder: Path) -> Path | None:
    """Write a config and check it; None where `init` refuses the table."""
    path = folder / "first.config"
    try:
        result = tzrec.init(table.write(folder), [LABEL], path)
    except TzrecError:
        return None
    assert [reading.name for reading in result.readings if not reading.is_label]
    assert tzrec.check(path) == []
    return path


def try_table(table: OddTable) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = config_of(table, Path(folder))
        if path is not None and load_config(str(path)).feature_configs:
            tzrec.train(path, model_dir=Path(folder, "model"), edit=QUICK)


@settings(max_examples=30, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=HealthCheck)
@given(odd_tables())
def test_init_of_odd_tables_writes_configs_that_check_accepts(table: OddTable) -> None:
    with tempfile.TemporaryDirectory() as folder:
        config_of(table, Path(folder))


@settings(max_examples=4, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=HealthCheck)
@given(odd_tables())
def test_init_of_a_few_odd_tables_writes_configs_that_train(table: OddTable) -> None:
    try_table(table)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=HealthCheck)
@given(odd_tables())
def test_init_of_a_hundred_odd_tables_writes_configs_that_train(table: OddTable) -> None:
    try_table(table)
