"""Screenshots of HTML pages: three widths, light and dark, and print, for people who look at what they change.

    python tools/screenshots.py --page out/report.html --output_dir shots
    python tools/screenshots.py --root build/site --page install/index.html --output_dir shots

With `--picture` it writes a part of one page, 900 pixels wide and light, as a small PNG for the documentation.

It needs `pip install playwright pillow`, Chromium of the distribution (`apt-get install chromium`; no browser is
downloaded), and pdftoppm of poppler-utils for the pages of the print.
"""

from __future__ import annotations

import argparse
import functools
import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

WIDTHS = (400, 900, 1600)
SCHEMES = ("light", "dark")
FAULTS = """() => {
  const faults = [];
  const excess = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (excess > 0) faults.push(`${excess} pixels wider than the window`);
  for (const svg of document.querySelectorAll('svg[viewBox]')) {
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()]);
    texts.forEach(([text, box], index) => {
      if (!box.width) return;
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 2
        || box.bottom > frame.bottom + 2) faults.push(`text is cut: ${text}`);
      if (box.height < 9) faults.push(`text is ${box.height.toFixed(1)} pixels high: ${text}`);
      for (const [other, place] of texts.slice(index + 1)) {
        const width = Math.min(box.right, place.right) - Math.max(box.left, place.left);
        const height = Math.min(box.bottom, place.bottom) - Math.max(box.top, place.top);
        if (width > 1 && height > 3) faults.push(`texts overlap: ${text} and ${other}`);
      }
    });
  }
  return faults;
}"""
"""Script that lists what cannot be read: a page that is too wide, texts of charts that are cut, small or overlap."""


def main() -> int:
    """Write `<page>_<width>_<scheme>.png` and `<page>_print_<number>.png` for each page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", type=Path, action="append", required=True, help="HTML file; may be repeated")
    parser.add_argument("--root", type=Path, help="folder of a site: its pages are named from there, and served")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--output_dir", type=Path, help="directory of the images")
    target.add_argument("--picture", type=Path, help="PNG of a part of the page alone")
    parser.add_argument("--from_heading", default="", help="heading at the top of the picture; default: the title")
    parser.add_argument("--height", type=int, default=1060, help="height of the picture in pixels")
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="browser")
    parser.add_argument("--unfold", action="store_true", help="open all folded parts")
    args = parser.parse_args()
    with sync_playwright() as playwright, addresses(args.root, args.page) as address_by_name:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=args.chromium, args=flags)
        if args.picture:
            picture(browser, next(iter(address_by_name.values())), args.picture, args.height, args.from_heading)
            browser.close()
            return 0
        args.output_dir.mkdir(parents=True, exist_ok=True)
        num_problems = sum(
            shoot(browser, name, address, args.output_dir, args.unfold) for name, address in address_by_name.items()
        )
        browser.close()
    return 1 if num_problems else 0


@contextmanager
def addresses(root: Path | None, pages: list[Path]) -> Iterator[dict[str, str]]:
    """Yield the address of each page by a name for its images; those of a site are served while the block runs."""
    if root is None:
        yield {page.stem: page.resolve().as_uri() for page in pages}
        return

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Be silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(root))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        yield {"site_" + site_name(page): f"{base}/{page.as_posix()}" for page in pages}
        server.shutdown()


def site_name(page: Path) -> str:
    """Name a page of a site: `models/mmoe/index.html` is `models_mmoe`."""
    path = page.parent if page.name == "index.html" else page.with_suffix("")
    return "_".join(path.parts) or "index"


def shoot(browser: Browser, name: str, address: str, output_dir: Path, should_unfold: bool) -> int:
    """Write the images of a page; return the number of its problems: errors, requests, and what cannot be read."""
    problems: list[str] = []
    for scheme in SCHEMES:
        for width in WIDTHS:
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
            observe(page, problems)
            open_page(page, address)
            if should_unfold:
                page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
            problems += [f"{width} {scheme}: {fault}" for fault in page.evaluate(FAULTS)]
            page.screenshot(path=output_dir / f"{name}_{width}_{scheme}.png", full_page=True)
            page.close()
    page = browser.new_page()
    open_page(page, address)
    pdf = output_dir / f"{name}.pdf"
    page.pdf(
        path=pdf, format="A4", print_background=False, margin=dict.fromkeys(("top", "bottom", "left", "right"), "12mm")
    )
    page.close()
    subprocess.run(["pdftoppm", "-png", "-r", "60", str(pdf), str(output_dir / f"{name}_print")], check=True)
    for image in output_dir.glob(f"{name}_print-*.png"):
        image.replace(image.with_name(image.name.replace("_print-", "_print_")))
    pdf.unlink()
    for problem in problems:
        print(f"{name}: {problem}", file=sys.stderr)
    return len(problems)


def observe(page: Page, problems: list[str]) -> None:
    """Append the errors and the requests of a page to a list."""
    page.on("pageerror", lambda error: problems.append(f"error: {error}"))
    page.on("request", lambda request: problems.extend(external(request.url)))


def open_page(page: Page, address: str) -> None:
    """Open an address, and wait until nothing is loaded any more."""
    page.goto(address, wait_until="networkidle")


def picture(browser: Browser, address: str, target: Path, height: int, heading: str) -> None:
    """Write a part of a page as a PNG of 64 colors, from a heading on or from the top."""
    page = browser.new_page(viewport={"width": 900, "height": height}, color_scheme="light")
    open_page(page, address)
    if heading:
        page.get_by_role("heading", name=heading, exact=True).evaluate("part => part.scrollIntoView()")
    target.parent.mkdir(parents=True, exist_ok=True)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    image.quantize(64, dither=Image.Dither.NONE).save(target, optimize=True)


def external(url: str) -> list[str]:
    """List a request to anything but a file, this machine or the page itself."""
    return [] if url.startswith(("file:", "data:", "blob:", "http://127.0.0.1:")) else [f"request to {url}"]


if __name__ == "__main__":
    sys.exit(main())
