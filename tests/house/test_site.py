"""The site of the documentation: every page is in its navigation, and no link leads nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from site_hooks import on_page_content, site_link

ROOT = Path(__file__).parents[2]


def nav_pages(entries: object) -> set[str]:
    """Collect the pages of a part of the navigation."""
    if isinstance(entries, str):
        return {entries}
    parts = entries.values() if isinstance(entries, dict) else entries
    return set().union(*map(nav_pages, parts))  # type: ignore[call-overload]


def test_navigation_has_every_page() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert pages - nav_pages(config["nav"]) == set()


@pytest.mark.parametrize(
    ("page", "source", "link", "expected"),
    [
        ("models/mmoe.md", "docs/models/mmoe.md", "../features.md", "../features.md"),
        ("index.md", "README.md", "docs/models/mmoe.md", "models/mmoe.md"),
        ("index.md", "README.md", "CHANGELOG.md", "changelog.md"),
        ("models/mmoe.md", "docs/models/mmoe.md", "../../README.md", "../index.md"),
        ("why.md", "docs/why.md", "../tzrec/cli.py", "R/blob/main/tzrec/cli.py"),
        ("index.md", "README.md", "docs/models", "R/tree/main/docs/models"),
    ],
)
def test_link_of_page_leads_to_page_or_repository(page: str, source: str, link: str, expected: str) -> None:
    assert site_link(page, ROOT / source, link, "R") == expected


def test_short_code_is_marked_to_stay_in_one_piece() -> None:
    html = "<p>Without <code>--set</code>, <code>torchrun --nproc-per-node=8 -m tzrec.train_eval</code></p>"
    expected = html.replace("<code>--set", '<code class="short">--set')
    assert on_page_content(html, None, None, None) == expected
    assert on_page_content("<pre><code>a\nb</code></pre>", None, None, None) == "<pre><code>a\nb</code></pre>"


def test_site_builds_without_dead_links(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr
    # without --quiet, which drops the warnings that make a strict build fail
    assert "<h1" in (tmp_path / "site" / "models" / "mmoe" / "index.html").read_text()
