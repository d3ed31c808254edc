"""HTML reports."""

from __future__ import annotations

from tzrec.report.page import page, table, text


def test_page_escapes_names() -> None:
    html = page("a<b", {"One": text('x < "y"'), "Two": table([{"step": "1", "<m>": "0.5"}]), "Empty": ""})
    assert "<title>a&lt;b</title>" in html
    assert "<h2>One</h2><pre>x &lt; &quot;y&quot;</pre>" in html
    assert "<tr><th>step</th><th>&lt;m&gt;</th></tr><tr><td>1</td><td>0.5</td></tr>" in html
    assert "Empty" not in html


def test_table_and_text_without_content_are_empty() -> None:
    assert table([]) == text("") == ""
