"""A quote that never closes: an error with its line, or one bad line; quotes can be turned off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tzrec
from tests.fixtures.click_files import clicks, write_config, write_csv
from tzrec.errors import DataError
from tzrec.run.check import check

SAID = r"t.tsv, line 502: the quote that opens this cell .*: '\"12 monkeys"
TSV = 'with_header: true delimiter: "\\t"'


def write(folder: Path, title: str = '"12 monkeys', settings: str = "") -> str:
    columns = clicks(1000)
    columns["title"] = [f"film {item}" for item in columns["item"]]
    columns["title"][500] = title
    write_csv(folder / "t.tsv", columns, "\t")
    return write_config(folder / "c.config", str(folder / "t.tsv"), f"{TSV} {settings}")


def test_unclosed_quote_is_named_by_every_verb(tmp_path: Path) -> None:
    config = write(tmp_path)
    (problem,) = check(config).problems
    assert problem.message.startswith(f"{tmp_path}/t.tsv, line 502: the quote that opens this cell never closes")
    with pytest.raises(DataError, match=SAID) as caught:
        tzrec.train(config)
    assert "data_config.quote" in str(caught.value) and len(str(caught.value)) < 500
    with pytest.raises(DataError, match=SAID):
        tzrec.init(tmp_path / "t.tsv", ["clk"], tmp_path / "first.config")
    tzrec.train(config, edit={"data_config.bad_row_policy": "SKIP_ROW"})
    with pytest.raises(DataError, match=SAID):
        tzrec.predict(tmp_path / "t.tsv", tmp_path / "scores", config=config)


def test_unclosed_quote_costs_one_row_under_skip_row(tmp_path: Path) -> None:
    run = tzrec.train(write(tmp_path, settings="bad_row_policy: SKIP_ROW"))
    (record,) = map(json.loads, (run.model_dir / "bad_rows.jsonl").read_text().splitlines()[:1])
    assert (record["line"], record["reason"]) == (502, "a quote that does not close")
    rows = tzrec.predict(
        tmp_path / "t.tsv", tmp_path / "scores", config=tmp_path / "c.config", edit={"data_config.batch_size": 100}
    )
    assert rows == 999


def test_quotes_turned_off_keep_every_row(tmp_path: Path) -> None:
    config = write(tmp_path, settings='quote: ""')
    assert check(config).problems == []
    tzrec.train(config)
    assert tzrec.predict(tmp_path / "t.tsv", tmp_path / "scores", config=config) == 1000
