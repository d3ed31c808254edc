"""The config of docs/feature_stores.md."""

from __future__ import annotations

import re
from pathlib import Path

from tzrec.config.check import load_checked_message
from tzrec.protos.serve_pb2 import ServeConfig

ROOT = Path(__file__).parents[3]


def test_config_of_the_page_is_valid(tmp_path: Path) -> None:
    (text,) = re.findall(r"```proto\n(.*?)```", (ROOT / "docs" / "feature_stores.md").read_text(), re.DOTALL)
    (tmp_path / "server.config").write_text(text)
    config = load_checked_message(str(tmp_path / "server.config"), ServeConfig())
    assert [(store.name, store.WhichOneof("store")) for store in config.feature_stores] == [
        ("items", "parquet_store"),
        ("users", "redis_store"),
    ]
