from __future__ import annotations

import pytest
from sizing_table import BEGIN, END, PAGE, num_cpus, table, updated

FIGURES = {f"{key}_{connections}": 2.5 for key in ("p50_ms", "p99_ms", "cpu_ms") for connections in (1, 4, 16)}
FIGURES |= {"p99_ms_16": 9.0, "max_rate": 431.2}


@pytest.mark.parametrize(("rate", "cpu_ms", "expected"), [(100, 3, 1), (100, 6, 1), (100, 6.1, 2), (1000, 3, 5)])
def test_num_cpus_leaves_four_tenths_free(rate: float, cpu_ms: float, expected: int) -> None:
    assert num_cpus(rate, cpu_ms) == expected


def test_table_has_times_and_processors() -> None:
    lines = table(FIGURES).splitlines()
    assert "| 99th percentile | 2.5 ms | 2.5 ms | 9.0 ms |" in lines
    assert "| 1,000 | 5 |" in lines and lines[-1].endswith("431 requests/s.")


def test_updated_page_keeps_the_rest() -> None:
    text = PAGE.read_text()
    page = updated(text, FIGURES)
    assert page.partition(BEGIN)[0] == text.partition(BEGIN)[0] and page.partition(END)[2] == text.partition(END)[2]
    assert table(FIGURES) in page and updated(page, FIGURES) == page
