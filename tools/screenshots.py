"""Screenshots of HTML pages: three widths, light and dark, and print, for people who look at what they change.

    python tools/screenshots.py --page out/report.html --output_dir shots

With `--picture` it writes the top of one page, 900 pixels wide and light, as a small PNG for the documentation.

It needs `pip install playwright pillow`, Chromium of the distribution (`apt-get install chromium`; no browser is
downloaded), and pdftoppm of poppler-utils for the pages of the print.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

WIDTHS = (400, 900, 1600)
SCHEMES = ("light", "dark")


def main() -> int:
    """Write `<page>-<width>-<scheme>.png` and `<page>-print-<number>.png` for each page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", type=Path, action="append", required=True, help="HTML file; may be repeated")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--output_dir", type=Path, help="directory of the images")
    target.add_argument("--picture", type=Path, help="PNG of the top of the page alone")
    parser.add_argument("--height", type=int, default=1060, help="height of the picture in pixels")
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="browser")
    parser.add_argument("--unfold", action="store_true", help="open all folded parts")
    args = parser.parse_args()
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=args.chromium, args=flags)
        if args.picture:
            picture(browser, args.page[0], args.picture, args.height)
            browser.close()
            return 0
        args.output_dir.mkdir(parents=True, exist_ok=True)
        num_problems = sum(shoot(browser, page, args.output_dir, args.unfold) for page in args.page)
        browser.close()
    return 1 if num_problems else 0


def shoot(browser: Browser, path: Path, output_dir: Path, should_unfold: bool) -> int:
    """Write the images of a page; return the number of its problems: errors, requests, and text beyond the window."""
    problems: list[str] = []
    for scheme in SCHEMES:
        for width in WIDTHS:
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
            page.on("pageerror", lambda error: problems.append(f"error: {error}"))
            page.on("request", lambda request: problems.extend(external(request.url)))
            page.goto(path.resolve().as_uri())
            if should_unfold:
                page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
            excess = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if excess > 0:
                problems.append(f"{excess} pixels wider than the window of {width}")
            page.screenshot(path=output_dir / f"{path.stem}-{width}-{scheme}.png", full_page=True)
            page.close()
    page = browser.new_page()
    page.goto(path.resolve().as_uri())
    pdf = output_dir / f"{path.stem}.pdf"
    page.pdf(
        path=pdf, format="A4", print_background=False, margin=dict.fromkeys(("top", "bottom", "left", "right"), "12mm")
    )
    page.close()
    subprocess.run(["pdftoppm", "-png", "-r", "60", str(pdf), str(output_dir / f"{path.stem}-print")], check=True)
    for problem in problems:
        print(f"{path}: {problem}", file=sys.stderr)
    return len(problems)


def picture(browser: Browser, path: Path, target: Path, height: int) -> None:
    """Write the top of a page as a PNG of 64 colors."""
    page = browser.new_page(viewport={"width": 900, "height": height}, color_scheme="light")
    page.goto(path.resolve().as_uri())
    target.parent.mkdir(parents=True, exist_ok=True)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    image.quantize(64, dither=Image.Dither.NONE).save(target, optimize=True)


def external(url: str) -> list[str]:
    """List a request to anything but a file or the page itself."""
    return [] if url.startswith(("file:", "data:")) else [f"request to {url}"]


if __name__ == "__main__":
    sys.exit(main())
