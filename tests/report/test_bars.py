"""Bar charts as SVG text."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from tzrec.report.bars import bar_chart, histogram, small_bars, stacked_bar


def test_bar_chart_draws_bars_from_zero() -> None:
    """200 pixels between names and numbers for the range from -0.1 to 0.3: zero at 240, 500 pixels per unit."""
    svg = ElementTree.fromstring(bar_chart({"a<b": 0.3, "useless": 0.0, "harmful": -0.1}))
    assert svg.get("viewBox") == "0 0 460 66"
    bars = [(float(bar.get("x", "")), float(bar.get("width", ""))) for bar in svg.iter("rect")]
    assert bars == [(240.0, 150.0), (240.0, 0.0), (190.0, 50.0)]
    assert [text.text for text in svg.iter("text")] == ["a<b", "0.3000", "useless", "0.0000", "harmful", "-0.1000"]


def test_bar_chart_of_no_or_equal_values() -> None:
    assert bar_chart({}) == ""
    assert 'width="0.0"' in bar_chart({"a": 0.0})


def test_histogram_draws_one_outline_per_name() -> None:
    svg = histogram([0, 0.5, 1], {"negative": [1.0, 0.0], "positive": [0.25, 0.75]}, "score<")
    outlines = re.findall(r'<polygon class="area s(\d)" points="([^"]*)"', svg)
    assert [index for index, _ in outlines] == ["0", "1"]
    # 188 pixels for 1.05
    assert outlines[0][1] == "46.0,200 46.0,21.0 226.0,21.0 226.0,200.0 406.0,200.0 406.0,200"
    assert "score&lt;</text>" in svg


def test_stacked_bar_divides_its_width() -> None:
    svg = stacked_bar({"forward": 3.0, "data": 1.0}, {"forward": "75%", "data": "25%"})
    assert re.findall(r'x="([\d.]+)" y="0" width="([\d.]+)"', svg) == [("0.00", "75.00"), ("75.00", "25.00")]
    assert "forward <b>75%</b>" in svg


def test_small_bars_draw_both_distributions_on_one_scale() -> None:
    svg = small_bars([0.5, 0.5], [1.0, 0.0])
    assert re.findall(r'height="([\d.]+)"/>', svg) == ["12.0", "12.0"]
    assert 'points="0.0,2.0 60.0,2.0 60.0,26.0 120.0,26.0"' in svg
