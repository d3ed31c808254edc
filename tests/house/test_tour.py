"""Doctest of the Python blocks in docs/tour.md."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

TOUR = Path(__file__).parents[2] / "docs" / "tour.md"


def test_tour_examples_print_documented_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", TOUR.read_text(), re.DOTALL | re.MULTILINE)
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "tour", str(TOUR), 0)
    result = doctest.DocTestRunner().run(test)
    assert result.attempted > 25
    assert result.failed == 0, capsys.readouterr().out
