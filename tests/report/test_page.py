"""HTML reports."""

from __future__ import annotations

import re

import pytest

from tzrec.report.page import figures, folded, items, page, table, text, tiles


def test_page_escapes_names() -> None:
    html = page("a<b", {"One": text('x < "y"'), "Two": table([{"step": "1", "<m>": "b"}]), "Empty": ""})
    assert "<title>a&lt;b</title>" in html
    assert '<section id="one"><h2>One</h2><pre>x &lt; &quot;y&quot;</pre></section>' in html
    assert '<tr><th class="number">step</th><th>&lt;m&gt;</th></tr>' in html
    assert '<tr><td class="number">1</td><td>b</td></tr>' in html
    assert "Empty" not in html
    assert "<nav" not in html


def test_page_with_many_sections_has_contents() -> None:
    html = page("run", dict.fromkeys(("A", "B b", "C", "D"), "x"))
    assert '<a href="#b-b">B b</a>' in html


def test_page_loads_nothing() -> None:
    html = page("run", {"A": "x"}, tiles({"auc": ("0.9", "last step 3")}))
    assert "http" not in html
    assert "url(" not in html
    assert "@media (prefers-color-scheme: dark)" in html
    assert "@media print" in html


def test_table_writes_html_of_raw_columns_only() -> None:
    html = table([{"a": "<i>", "b": "<i>"}], raw=["b"])
    assert "<td>&lt;i&gt;</td><td><i></td>" in html


@pytest.mark.parametrize(
    ("cell", "is_number"),
    [
        ("0.6184 ± 0.030", True),
        ("0.0% → 1.5%", True),
        ("1,220 to 1,922", True),
        ("about 18%", True),
        ("x0.2186", True),
        ("54 MB", True),
        ("0:10", True),
        ("6 values, 17.5 to 42", False),
        ("100 % of the ids", False),
        ("2026-11-29 16:20 UTC", False),
    ],
)
def test_table_aligns_numbers_but_not_texts_that_begin_with_one(cell: str, is_number: bool) -> None:
    assert ('<td class="number">' in table([{"a": cell}, {"a": "—"}])) == is_number


def test_table_leaves_out_optional_columns_without_values() -> None:
    rows = [{"a": "x", "b": "—", "c": ""}, {"a": "y", "b": "—", "c": "1"}]
    assert re.findall("<th[^>]*>(.)</th>", table(rows, optional=("b", "c"))) == ["a", "c"]


def test_items_keep_the_sign_of_a_percentage_with_its_number() -> None:
    assert items(["5 % <"]) == '<ul class="items"><li>5&nbsp;% &lt;</li></ul>'


def test_parts_without_content_are_empty() -> None:
    assert table([]) == text("") == items([]) == figures([]) == folded("more", "") == ""
