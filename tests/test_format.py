from __future__ import annotations

import io
from pathlib import Path

import pytest

from tzrec.format import main


def test_format_writes_files_in_place_and_names_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, clean = tmp_path / "a.config", tmp_path / "b.config"
    path.write_text("# mine\nmodel_dir:'m'\n")
    clean.write_text('model_dir: "m"\n')
    assert main(["--check", str(path), str(clean)]) == 1
    assert path.read_text() == "# mine\nmodel_dir:'m'\n"
    assert capsys.readouterr().out == f"would change   {path}\n1 file is in the canonical layout\n"
    assert main([str(path), str(clean)]) == 0
    assert path.read_text() == '# mine\nmodel_dir: "m"\n'
    assert main(["--check", str(path), str(clean)]) == 0


def test_format_of_json_indents_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"model_dir": "é", "train_config": {"num_steps": 3}}')
    assert main([str(path)]) == 0
    assert path.read_text() == '{\n  "model_dir": "é",\n  "train_config": {\n    "num_steps": 3\n  }\n}\n'


def test_format_of_standard_input_goes_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a{b:1}"))
    assert main(["-"]) == 0
    assert capsys.readouterr().out == "a { b: 1 }\n"


def test_format_with_a_syntax_error_changes_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, broken = tmp_path / "a.config", tmp_path / "b.config"
    good.write_text("a:1")
    broken.write_text("a {\n b: 1\n")
    assert main([str(good), str(broken)]) == 2
    assert f'{broken}:1:3 this "{{" is never closed by "}}"' in " ".join(capsys.readouterr().err.split())
    assert good.read_text() == "a:1"
