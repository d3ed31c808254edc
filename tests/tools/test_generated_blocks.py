"""Generated blocks of pages are those of the schema and of the files of results."""

from __future__ import annotations

from pathlib import Path

import figures_table
import generated_blocks
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", sorted({page for page, _ in generated_blocks.BLOCKS}))
def test_blocks_of_page_are_up_to_date(page: str) -> None:
    text = expected = (ROOT / page).read_text()
    for (owner, name), content in generated_blocks.BLOCKS.items():
        if owner == page:
            expected = generated_blocks.filled(expected, name, content())
    assert text == expected, "run: make docs"


def test_plot_of_speed_is_up_to_date() -> None:
    assert figures_table.SPEED.read_text() == figures_table.plot(), "run: make docs"


def test_first_models_in_words_counts_those_near_boosting_and_those_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        {"table": "a", "label": "x", "first_model": 0.80, "boosting": 0.79},
        {"table": "a", "label": "y", "first_model": 0.78, "boosting": 0.79},
        {"table": "b", "label": "x", "first_model": 0.70, "boosting": 0.75},
    ]
    monkeypatch.setattr(figures_table, "_first_models", lambda: lines)
    words = " ".join(figures_table.first_models_in_words().split())
    assert "on 3 labels of 2 public tables: 2 are within 0.01 of gradient boosting or ahead of it (1)" in words


def test_filled_replaces_what_is_between_the_marks() -> None:
    begin, end = generated_blocks.BEGIN.format(name="x"), generated_blocks.END.format(name="x")
    assert generated_blocks.filled(f"a\n{begin}\nold\n{end}\nb", "x", "new") == f"a\n{begin}\n\nnew\n\n{end}\nb"


def test_models_of_readme_have_links_from_the_root() -> None:
    first = next(line for line in generated_blocks.models_of_readme().splitlines() if "mmoe" in line)
    assert "](docs/models/mmoe.md)" in first
    assert "](examples/configs/mmoe_taobao.config)" in first
