"""Follow README.md as a newcomer does: its `sh` and `python` blocks in order, in an empty folder, with a wheel.

python tools/newcomer.py            `make newcomer`; ends within ten minutes or fails

The wheel is built from this checkout, and torch is the release of the environment that runs this script: the index of
PyTorch, which the README names for the smaller build, need not be reachable.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIMIT_S = 600
INSTALLED = re.compile(r"'tzrec\[(?P<extras>[a-z,]+)\]' --extra-index-url \S+")


def script(text: str, wheel: Path) -> str:
    """Join the blocks of a page to one script of bash.

    Args:
        text: Markdown with fenced blocks of `sh` and `python`.
        wheel: installed in place of the package on PyPI.

    Returns:
        a script that stops at the first command that fails, and prints each.
    """
    lines = ["set -euxo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    for language, block in re.findall(r"^```(sh|python)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        lines.append(f"python - <<'END'\n{block}END" if language == "python" else block.rstrip())
    return INSTALLED.sub(rf"'{wheel}[\g<extras>]' torch=={version('torch').partition('+')[0]}", "\n".join(lines)) + "\n"


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout."""
    flags = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *flags, str(ROOT)], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def main() -> int:
    """Run the script of the README; return its exit status."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = build_wheel(Path(folder))
        home = Path(folder) / "home"
        home.mkdir()
        start = time.monotonic()
        lines = script((ROOT / "README.md").read_text(), wheel)
        status = subprocess.run(["bash", "-c", lines], cwd=home, stdin=subprocess.DEVNULL, timeout=LIMIT_S).returncode
        print(f"README.md from top to bottom: {time.monotonic() - start:.0f} s, exit status {status}")
        return status


if __name__ == "__main__":
    sys.exit(main())
