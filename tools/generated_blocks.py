"""Generated tables inside of written pages: models, figures of experiments, supported parts of the schema.

python tools/generated_blocks.py            write all of them, and docs/images/speed.svg

A table stands between two marks, `<!-- name: begin ... -->` and `<!-- name: end -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import figures_table
import models_table
import support_table

ROOT = Path(__file__).parents[1]
BEGIN = "<!-- {name}: begin (python tools/generated_blocks.py) -->"
END = "<!-- {name}: end -->"


def models_of_readme() -> str:
    """Return the table of models with links from the root of the repository."""
    links = re.sub(r"\]\((?!\.\./)", "](docs/models/", models_table.models_table())
    return links.replace("](../../", "](").replace("](../", "](docs/")


def features_of_readme() -> str:
    """Return the table of features with links from the root of the repository."""
    return models_table.features_table().replace("](", "](docs/")


BLOCKS: dict[tuple[str, str], Callable[[], str]] = {
    ("README.md", "models"): models_of_readme,
    ("README.md", "features"): features_of_readme,
    ("README.md", "figures"): figures_table.figures_of_readme,
    ("README.md", "comparison"): figures_table.comparison,
    ("docs/benchmarks.md", "figures"): figures_table.figures,
    ("experiments/first_model/README.md", "results"): figures_table.first_models,
    ("docs/compatibility.md", "support"): support_table.table,
}
"""(page, name of the block) -> its text."""


def filled(text: str, name: str, content: str) -> str:
    """Return the text of a page with the content between the marks of a block."""
    begin, end = BEGIN.format(name=name), END.format(name=name)
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    return f"{head}{begin}\n\n{content}\n\n{end}{tail}"


def main() -> None:
    """Write the blocks and the plot."""
    figures_table.main()
    for (page, name), content in BLOCKS.items():
        path = ROOT / page
        path.write_text(filled(path.read_text(), name, content()))


if __name__ == "__main__":
    main()
