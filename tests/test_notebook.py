"""The notebook of examples/ runs from top to bottom."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

PATH = Path(__file__).parents[1] / "examples" / "first_model.ipynb"
CELLS: list[dict[str, Any]] = json.loads(PATH.read_text())["cells"]


def test_notebook_is_committed_without_outputs() -> None:
    code = [cell for cell in CELLS if cell["cell_type"] == "code"]
    assert len(code) == 8
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    for cell in code:
        ast.parse("".join(cell["source"]))


def test_links_of_notebook_resolve() -> None:
    text = "".join(line for cell in CELLS if cell["cell_type"] == "markdown" for line in cell["source"])
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) == 4
    assert [link for link in links if not (PATH.parent / link).exists()] == []


@pytest.mark.slow
def test_notebook_runs(tmp_path: Path) -> None:
    for name in ("nbclient", "ipykernel", "pandas"):
        pytest.importorskip(name, reason=f"needs {name}: pip install 'tzrec[notebook]'")
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(PATH, 4)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert outputs[3][-1]["data"]["text/plain"] == "[]"
    assert [item for cell in outputs for item in cell if item.get("name") == "stderr"] == []
    text = outputs[-1][-1]["data"]["text/plain"]
    areas = [float(number) for number in re.findall(r"\d\.\d+", text)]
    assert len(areas) == 4
    assert all(area > 0.65 for area in areas), text
    assert list(tmp_path.iterdir()) == []
