"""Tables larger than the memory are a warning of a check, and an error of a run before anything is allocated."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tzrec
from tests.fixtures.parquet_run import write_config, write_file
from tzrec import env
from tzrec.errors import ConfigError
from tzrec.run.check import check


@pytest.mark.parametrize(
    ("users", "text"),
    [
        (6 * 10**9, r"384 GB \(weights 192 GB, adagrad_optimizer 192 GB\).* user_emb 6,000,000,000 x 8 = 192 GB"),
        (2**62, r"295 EB \(weights 148 EB, adagrad_optimizer 148 EB\)"),
        (2**63 - 1, r"590 EB"),
    ],
)
def test_table_larger_than_memory_is_named_with_its_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, users: int, text: str
) -> None:
    monkeypatch.setattr(env, "available_memory", lambda: 16e9)
    write_file(tmp_path, "t.parquet")
    config = write_config(tmp_path, users=users)
    message = rf"feature_configs\[0\].id_feature: the embedding tables need {text}.*"
    result = check(str(config))
    (warning,) = (entry for entry in result.warnings if re.match(message, f"{entry.field}: {entry.message}"))
    assert not result.problems and "this machine has 16 GB free" in warning.message
    for run in (tzrec.train, tzrec.evaluate):
        with pytest.raises(ConfigError, match=message):
            run(config)
    assert not (tmp_path / "model").exists()


def test_table_with_more_rows_than_an_id_counts_is_refused(tmp_path: Path) -> None:
    write_file(tmp_path, "t.parquet")
    (problem,) = tzrec.check(write_config(tmp_path, users=2**64 - 1))
    assert problem.message == "18446744073709551615 rows; a table has at least one and less than 2^63"
