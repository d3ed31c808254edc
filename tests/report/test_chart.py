"""Line charts as SVG text."""

from __future__ import annotations

import re

import pytest

from tzrec.report.axis import Axis, settled, step_range, tick_text, ticks, value_range
from tzrec.report.chart import Style, line_chart, thin


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


@pytest.mark.parametrize(("value", "text"), [(0.94, "0.94"), (9500, "9,500"), (25000, "25k"), (2.5e6, "2.5M")])
def test_tick_text_shortens_large_numbers(value: float, text: str) -> None:
    assert tick_text(value) == text


def test_value_range_does_not_stretch_noise() -> None:
    low, high = value_range([24.6, 25.5], has_zero=True)
    assert low == 0
    assert high == pytest.approx(25.5 * 1.06)
    low, high = value_range([0.5, 0.501])
    assert high - low > 0.025
    assert value_range([3.0]) == pytest.approx((2.916, 3.084))


def test_value_range_of_shares_stays_within_their_range() -> None:
    assert value_range([0.01, 0.99]) == (0.0, 1.0)
    assert value_range([-0.2, 0.4])[0] < -0.2


def test_step_range_begins_at_zero_for_a_single_point() -> None:
    assert step_range([24.0]) == (0.0, 24.0)
    assert step_range([0.0]) == (0.0, 1.0)


def test_settled_limits_the_first_tenth_to_the_maximum_of_the_rest() -> None:
    assert settled([9.0, 8.0, *[1.0, 2.0] * 9]) == [2.0, 2.0, *[1.0, 2.0] * 9]
    assert settled([9.0, 1.0]) == [9.0, 1.0]


def test_line_chart_draws_lines_through_points() -> None:
    series = {"a": [(0, 1.0), (10, 3.0)], "b<": [(0, 2.0), (5, float("nan")), (10, 2.0)]}
    svg = line_chart(series, "step", Style(y_range=(1, 3)))
    # x from 46 to 406, y from 200 (lowest value) to 12 (highest)
    assert re.findall(r'points="([^"]*)"', svg) == ["46.0,200.0 406.0,12.0", "46.0,106.0 406.0,106.0"]
    assert "a <b>3.000</b></li>" in svg
    assert "b&lt; <b>2.000</b></li>" in svg


def test_line_chart_of_one_point_is_marked_on_steps_from_zero() -> None:
    svg = line_chart({"auc": [(24.0, 0.69)]}, "step")
    assert svg.count('class="point') == 1
    assert 'points="406.0,106.0"' in svg
    assert ">0</text>" in svg
    assert "24.5" not in svg


def test_line_chart_without_finite_values_is_empty() -> None:
    assert line_chart({"a": []}, "step") == line_chart({"a": [(1, float("nan"))]}, "step") == ""


def test_line_chart_marks_epochs_checkpoints_best_and_intervals() -> None:
    style = Style((0, 1), epochs=[5], checkpoints=[5, 10], best=(10, 0.5), whiskers=[(10, 0.25, 0.75)])
    svg = line_chart({"auc": [(0, 0.0), (10, 0.5)]}, "step", style)
    assert '<line class="epoch" x1="226.0" x2="226.0"' in svg
    assert svg.count('class="checkpoint"') == 2
    assert '<circle class="best" cx="406.0" cy="106.0"' in svg
    assert '<line class="whisker" x1="406.0" x2="406.0" y1="153.0" y2="59.0"/>' in svg


def test_line_chart_draws_values_above_a_settled_axis_at_its_end() -> None:
    points = [(float(step), 100.0 if step == 0 else 1.0 + step % 2) for step in range(20)]
    svg = line_chart({"loss": points}, "step", Style(is_settled=True))
    assert 'points="46.0,12.0 ' in svg
    assert "100" not in svg


def test_thin_keeps_last_point() -> None:
    points = [(index, index) for index in range(2500)]
    few = thin(points)
    assert len(few) == 500 + 1
    assert (few[1], few[-1]) == ((5, 5), (2499, 2499))


def test_line_chart_of_many_points_has_no_marks() -> None:
    assert "<circle" not in line_chart({"loss": [(float(step), 1.0 / step) for step in range(1, 50)]}, "step")
