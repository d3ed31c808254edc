"""The first minute of `make chaos-serve`; the whole of it takes longer."""

from __future__ import annotations

import json
from pathlib import Path

from tests.chaos.serve.__main__ import is_right
from tests.chaos.serve.storm import storm
from tests.fixtures.small_model import exported_package


def test_server_survives_malformed_requests_while_versions_are_switched(tmp_path: Path) -> None:
    figures = storm(exported_package(), tmp_path, num_requests=20_000, max_s=30, interval_s=1)
    assert is_right(figures), json.dumps(figures)
    assert figures["memory_mb_last_quarter"] < 1.25 * figures["memory_mb_second_quarter"], json.dumps(figures)
    assert figures["good"] > 100 and figures["malformed"] > 20 and figures["slow"] > 0 and figures["switches"] > 1
