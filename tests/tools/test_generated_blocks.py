"""Generated blocks of pages are those of the schema."""

from __future__ import annotations

from pathlib import Path

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


def test_filled_replaces_what_is_between_the_marks() -> None:
    begin, end = generated_blocks.BEGIN.format(name="x"), generated_blocks.END.format(name="x")
    assert generated_blocks.filled(f"a\n{begin}\nold\n{end}\nb", "x", "new") == f"a\n{begin}\n\nnew\n\n{end}\nb"


def test_models_of_readme_have_links_from_the_root() -> None:
    first = next(line for line in generated_blocks.models_of_readme().splitlines() if "mmoe" in line)
    assert "](docs/models/mmoe.md)" in first
    assert "](examples/configs/mmoe_taobao.config)" in first
