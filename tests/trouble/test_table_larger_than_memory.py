"""Tables larger than the memory are an error with the numbers, in a check and before anything is allocated."""

from __future__ import annotations

from pathlib import Path

import pytest

import tzrec
from tests.fixtures.parquet_run import write_config, write_file
from tzrec import env
from tzrec.errors import ConfigError


@pytest.mark.parametrize(
    ("users", "text"),
    [
        (6 * 10**9, r"384 GB \(weights 192 GB, adagrad_optimizer 192 GB\).* user_emb 6,000,000,000 x 8 = 192 GB"),
        (2**62, r"295 EB \(weights 148 EB, adagrad_optimizer 148 EB\)"),
        (2**64 - 1, r"1\.2 ZB"),
    ],
)
def test_table_larger_than_memory_is_named_with_its_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, users: int, text: str
) -> None:
    monkeypatch.setattr(env, "available_memory", lambda: 16e9)
    write_file(tmp_path, "t.parquet")
    config = write_config(tmp_path, users=users)
    message = rf"feature_configs\[0\].id_feature: the embedding tables need {text}.*"
    (problem,) = tzrec.check(config)
    assert "this machine has 16 GB free" in problem.message
    for run in (tzrec.train, tzrec.evaluate):
        with pytest.raises(ConfigError, match=message):
            run(config)
    assert not (tmp_path / "model").exists()
