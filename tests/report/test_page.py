"""HTML reports."""

from __future__ import annotations

from tzrec.report.page import figures, folded, page, table, text, tiles


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


def test_parts_without_content_are_empty() -> None:
    assert table([]) == text("") == figures([]) == folded("more", "") == ""
