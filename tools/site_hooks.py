"""Hooks of mkdocs: README and changelog become pages, and links out of docs/ become links into the repository."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
PAGES = {"index.md": "README.md", "changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
"""Page of the site -> file of the repository that it shows."""

SHORT_CODE = re.compile(r"<code>([^<\n]{1,30})</code>")
LINK = re.compile(r"(\]\(|src=\")(?![a-z]+:|#)([^)\s\"#]+)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are not in docs/."""
    for page, source in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Rewrite the links of a page."""
    uri = page.file.src_uri
    source = ROOT / PAGES.get(uri, f"docs/{uri}")

    def rewrite(match: re.Match[str]) -> str:
        return match[1] + site_link(uri, source, match[2], config["extra"]["repository"])

    return LINK.sub(rewrite, markdown)


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Mark code that fits in a line of the narrowest screen, so that the style sheet keeps it in one piece."""
    return SHORT_CODE.sub(r'<code class="short">\1</code>', html)


def site_link(page: str, source: Path, link: str, repository: str) -> str:
    """Rewrite one link.

    Args:
        page: page of the site that has the link, e.g. `models/mmoe.md`.
        source: file that the page is made from; the link is relative to it.
        link: path without anchor.
        repository: address of the repository.

    Returns:
        a path relative to the page, or an address inside of the repository for files that are not on the site.
    """
    target = Path(os.path.normpath(source.parent / link)).relative_to(ROOT).as_posix()
    pages = {source: page for page, source in PAGES.items()}
    if target in pages or target.startswith("docs/"):
        on_site = pages.get(target) or target.removeprefix("docs/")
        if (ROOT / target).is_file():
            return os.path.relpath(on_site, Path(page).parent)
    kind = "tree" if (ROOT / target).is_dir() else "blob"
    return f"{repository}/{kind}/main/{target}"
