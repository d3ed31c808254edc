"""Script that a page becomes for a newcomer."""

from __future__ import annotations

from pathlib import Path

from newcomer import script

PAGE = """Text.

```sh
pip install 'tzrec[cpu,serve]' --extra-index-url https://example.org/whl/cpu
```

```python
print(1)
```

```
not run
```
"""


def test_script_has_blocks_in_order_with_the_wheel() -> None:
    lines = script(PAGE, Path("/w/tzrec.whl")).splitlines()
    assert lines[2].startswith("pip install '/w/tzrec.whl[cpu,serve]' torch==2.")
    assert lines[3:] == ["python - <<'END'", "print(1)", "END"]


def test_script_of_readme_installs_the_wheel_once() -> None:
    readme = Path(__file__).parents[2] / "README.md"
    assert script(readme.read_text(), Path("/w/tzrec.whl")).count("/w/tzrec.whl[") == 1
