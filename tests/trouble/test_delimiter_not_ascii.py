"""A delimiter or quote that the parser cannot use is a problem of its field."""

from __future__ import annotations

from pathlib import Path

import pytest

import tzrec
from tests.fixtures.click_files import clicks, write_config, write_csv


@pytest.mark.parametrize(
    ("settings", "field", "message"),
    [
        ('delimiter: "§"', "delimiter", "'§' is not an ASCII character"),
        ('delimiter: "🙂"', "delimiter", "'🙂' is not an ASCII character"),
        ('delimiter: "::"', "delimiter", "'::' is not one character; replace it in the data"),
        ('delimiter: ""', "delimiter", "is empty"),
        ('delimiter: "\\n"', "delimiter", "'\\n' is no character of a row"),
        ('delimiter: "\\""', "delimiter", "'\"' is also data_config.quote"),
        ('quote: "«"', "quote", "'«' is not an ASCII character"),
        ("quote: \"''\"", "quote", "is not one character"),
        ('quote: "\\r"', "quote", "'\\r' is no character of a row"),
        ('quote: ","', "delimiter", "',' is also data_config.quote"),
    ],
)
def test_delimiter_that_cannot_be_used_is_a_problem(tmp_path: Path, settings: str, field: str, message: str) -> None:
    write_csv(tmp_path / "t.csv", clicks(50))
    config = write_config(tmp_path / "c.config", str(tmp_path / "t.csv"), f"with_header: true {settings}")
    (problem,) = tzrec.check(config)
    assert problem.field == f"data_config.{field}"
    assert message in problem.message


@pytest.mark.parametrize("delimiter", ["|", "\t", "\x01", ";"])
def test_delimiter_of_one_ascii_character_is_valid(tmp_path: Path, delimiter: str) -> None:
    write_csv(tmp_path / "t.csv", clicks(50), delimiter)
    config = write_config(tmp_path / "c.config", str(tmp_path / "t.csv"))
    assert tzrec.check(config, edit={"data_config.delimiter": delimiter}) == []
