from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from tzrec.profile import summary
from tzrec.profile.column import ColumnStats
from tzrec.profile.suggestions import Suggestion


def column(name: str, values: object) -> ColumnStats:
    found = ColumnStats(name)
    found.add(pa.array(values))
    return found


def test_a_line_per_column() -> None:
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


def test_estimates_are_marked() -> None:
    cells = summary.row(column("id", np.arange(9000)))
    assert cells["distinct"].startswith("~")
    assert abs(int(cells["distinct"][1:].replace(",", "")) - 9000) < 300


def test_text_of_which_a_part_is_numbers_has_none() -> None:
    assert summary.row(column("c", ["1", "2"]))["most"] == "2"
    mixed = column("c", ["1"])
    mixed.add(pa.array(["x"]))
    assert summary.row(mixed)["most"] == ""
    assert summary.row(column("c", [1.0, float("nan")]))["most"] == "1"


def test_changes_are_told_in_a_line() -> None:
    change = Suggestion("a.b", 7, [f"word{at}" for at in range(30)], "why")
    words = "word0", "word1", "word2", "word3", "word4", "word5"
    shown = ", ".join(f'"{word}"' for word in words)
    assert summary.line(change) == f"a.b: 7 -> [{shown}, ... 30 in all] (why)"
    assert summary.line(Suggestion("a.b", None, "x y", "why")) == 'a.b: not set -> "x y" (why)'
    long = Suggestion("a.b", None, ["x" * 100, "y"], "why")
    assert summary.line(long) == "a.b: not set -> [... 2 in all] (why)"


def test_json_holds_bounds() -> None:
    values = np.repeat(np.arange(10_000), 2)
    found = json.loads(summary.as_json([column("id", values)], [Suggestion("a.b", None, 3, "why")], ["note"]))
    assert found["bounds"] == {"distinct_standard_error": 0.008125, "quantile_rank_error": 0.0025}
    (told,) = found["columns"]
    assert (told["rows"], told["missing"], told["is_exact"], told["values_per_row"]) == (20_000, 0, False, [1, 1])
    assert abs(told["numbers"]["quantiles"]["0.5"] - 5000) <= 0.0025 * 10_000
    assert all(each["at_least"] <= 2 <= each["at_most"] for each in told["top"])
    assert found["proposals"] == [{"path": "a.b", "old": None, "new": 3, "why": "why"}]
    assert found["notes"] == ["note"]


def test_the_page_says_the_same() -> None:
    html = summary.as_page([column("<price>", [1.0, 3.0])], [Suggestion("a.b", None, 3, "why")], ["note"])
    assert all(each in html for each in ("&lt;price&gt;", "<td>a.b</td><td></td><td>3</td><td>why</td>", "note"))
