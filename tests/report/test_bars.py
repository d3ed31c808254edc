from __future__ import annotations

from xml.etree import ElementTree

from tzrec.report.bars import bar_chart


def test_bar_chart_draws_bars_from_zero() -> None:
    """440 pixels between names and numbers for the range from -0.1 to 0.3: zero at 310, 1100 pixels per unit."""
    svg = ElementTree.fromstring(bar_chart({"a<b": 0.3, "useless": 0.0, "harmful": -0.1}))
    assert svg.get("viewBox") == "0 0 720 66"
    bars = [(float(bar.get("x")), float(bar.get("width"))) for bar in svg.iter("rect")]
    assert bars == [(310.0, 330.0), (310.0, 0.0), (200.0, 110.0)]
    assert [text.text for text in svg.iter("text")] == ["a<b", "0.3", "useless", "0", "harmful", "-0.1"]


def test_bar_chart_of_no_or_equal_values() -> None:
    assert bar_chart({}) == ""
    assert 'width="0.0"' in bar_chart({"a": 0.0})
