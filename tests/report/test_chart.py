"""Line charts as SVG text."""

from __future__ import annotations

import re

import pytest

from tzrec.report.chart import HEIGHT, Axis, line_chart, thin, ticks


def test_axis_maps_data_to_coordinates() -> None:
    axis = Axis(low=10, high=20, start=100, stop=300)
    assert [axis.at(value) for value in (10, 15, 20)] == [100, 200, 300]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.612, 0.634, [0.615, 0.62, 0.625, 0.63]),
        (0, 2441, [0, 500, 1000, 1500, 2000]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected


def test_line_chart_draws_lines_through_points() -> None:
    svg = line_chart({"a": [(0, 1.0), (10, 3.0)], "b<": [(0, 2.0), (5, float("nan")), (10, 2.0)]}, "step")
    # x from 64 to 708, y from 268 (lowest value) to 12 (highest)
    assert re.findall(r'points="([^"]*)"', svg) == ["64.0,268.0 708.0,12.0", "64.0,140.0 708.0,140.0"]
    assert "a 3</li>" in svg
    assert "b&lt; 2</li>" in svg


def test_line_chart_of_one_point_or_none() -> None:
    middle = (HEIGHT - 32 + 12) / 2
    assert f'points="386.0,{middle}"' in line_chart({"a": [(7, 0.5)]}, "step")
    assert line_chart({"a": []}, "step") == ""


def test_thin_keeps_last_point() -> None:
    points = [(index, index) for index in range(2500)]
    few = thin(points)
    assert len(few) == 833 + 1
    assert (few[1], few[-1]) == ((3, 3), (2499, 2499))


def test_line_chart_of_single_point_has_mark_and_integer_ticks() -> None:
    svg = line_chart({"auc": [(24.0, 0.69)]}, "step")
    assert svg.count("<circle") == 1
    assert ">24</text>" in svg
    assert "23.6" not in svg


def test_line_chart_of_many_points_has_no_marks() -> None:
    assert "<circle" not in line_chart({"loss": [(float(step), 1.0 / step) for step in range(1, 50)]}, "step")
