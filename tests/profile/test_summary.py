from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from tests.fixtures.column_stats import column_stats
from tzrec.profile import summary
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.rules import Suggestion


def column(name: str, values: object) -> ColumnStats:
    return column_stats(values, name=name)


def test_as_text_has_an_aligned_line_per_column() -> None:
    columns = [column("price", [1.0, None, 3.0, 3.0]), column("word", ["a", "b", "a", "a"])]
    text = summary.as_text(columns).splitlines()
    assert [line.split()[:4] for line in text] == [
        ["column", "type", "missing", "distinct"],
        ["price", "double", "25", "%"],
        ["word", "string", "0", "%"],
    ]
    assert text[1].split()[4:] == ["2", "1", "1", "3", "3", "3", "2.333", "0.9428", "3", "66.7", "%,", "1", "33.3", "%"]
    assert text[2].endswith("a 75 %, b 25 %")
    assert len({line.index(word) for line, word in zip(text, ("most frequent", "3 66.7", "a 75"), strict=True)}) == 1
    assert summary.as_text([]) == ""


def test_row_marks_estimates() -> None:
    cells = summary.row(column("id", np.arange(9000)))
    assert cells["distinct"].startswith("~")
    assert abs(int(cells["distinct"][1:].replace(",", "")) - 9000) < 300


def test_row_of_partly_numeric_text_has_no_numbers() -> None:
    assert summary.row(column("c", ["1", "2"]))["max"] == "2"
    mixed = column("c", ["1"])
    mixed.add(pa.array(["x"]))
    assert summary.row(mixed)["max"] == ""
    assert summary.row(column("c", [1.0, float("nan")]))["max"] == "1"


def test_line_shortens_long_values() -> None:
    change = Suggestion([f"word{i}" for i in range(30)], "reason", "a.b", 7)
    words = "word0", "word1", "word2", "word3", "word4", "word5"
    start = ", ".join(f'"{word}"' for word in words)
    assert summary.line(change) == f"a.b: 7 -> [{start}, ... 30 in all] (reason)"
    assert summary.line(Suggestion("x y", "reason", "a.b")) == 'a.b: not set -> "x y" (reason)'
    long = Suggestion(["x" * 100, "y"], "reason", "a.b")
    assert summary.line(long) == "a.b: not set -> [... 2 in all] (reason)"


def test_as_json_holds_error_bounds() -> None:
    values = np.repeat(np.arange(10_000), 2)
    report = json.loads(summary.as_json([column("id", values)], [Suggestion(3, "reason", "a.b")], ["note"]))
    assert report["bounds"] == {"distinct_standard_error": 0.008125, "quantile_rank_error": 0.0025}
    (stats,) = report["columns"]
    assert (stats["rows"], stats["missing"], stats["is_exact"], stats["values_per_row"]) == (20_000, 0, False, [1, 1])
    assert abs(stats["numbers"]["quantiles"]["0.5"] - 5000) <= 0.0025 * 10_000
    assert all(item["at_least"] <= 2 <= item["at_most"] for item in stats["top"])
    assert report["suggestions"] == [{"path": "a.b", "old": None, "value": 3, "reason": "reason"}]
    assert report["notes"] == ["note"]


def test_as_page_escapes_text() -> None:
    html = summary.as_page([column("<price>", [1.0, 3.0])], [Suggestion(3, "reason", "a.b")], ["note"])
    assert all(text in html for text in ("&lt;price&gt;", "<td>a.b</td>", "<td>reason</td>", "note"))
