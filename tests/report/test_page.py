"""The page that charts and tables stand on."""

from __future__ import annotations

from tzrec.report.page import page, table, text


def test_names_from_configs_are_no_markup() -> None:
    html = page("a<b", {"One": text('x < "y"'), "Two": table([{"step": "1", "<m>": "0.5"}]), "Empty": ""})
    assert "<title>a&lt;b</title>" in html
    assert "<h2>One</h2><pre>x &lt; &quot;y&quot;</pre>" in html
    assert "<tr><th>step</th><th>&lt;m&gt;</th></tr><tr><td>1</td><td>0.5</td></tr>" in html
    assert "Empty" not in html


def test_nothing_makes_nothing() -> None:
    assert table([]) == text("") == ""
