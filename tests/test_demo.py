"""The lines of the demo; the parsers of the commands check its command lines."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.house.test_commands import parse
from tzrec import demo
from tzrec.errors import TrainingError, UsageError

ROOT = Path(__file__).parents[1]


def test_step_result_holds_the_last_matches(tmp_path: Path) -> None:
    step = demo.DemoStep("try", 'python -c \'print("1 rows"); print("20 rows")\'', "out", (r"\d+ rows", "nothing"))
    text, seconds = demo.run(step, tmp_path)
    assert text == "out  20 rows"
    assert seconds > 0
    assert (tmp_path / demo.LOG).read_text().startswith("\n$ python -c ")


def test_failed_step_shows_the_end_of_its_output(tmp_path: Path) -> None:
    step = demo.DemoStep("try", "python -c 'import sys; print(\"why\"); sys.exit(3)'", "out")
    with pytest.raises(TrainingError, match=re.compile("^why\n.*failed with status 3: python -c", re.DOTALL)):
        demo.run(step, tmp_path)


def test_failed_step_omits_the_report_of_torchrun(tmp_path: Path) -> None:
    noise = "E1123 08:37:54 torch/distributed/elastic/multiprocessing/api.py:1002] failed (exitcode: 1)"
    step = demo.DemoStep("try", f'python -c \'import sys; print("why"); print("{noise}"); sys.exit(1)\'', "out")
    with pytest.raises(TrainingError) as caught:
        demo.run(step, tmp_path)
    assert str(caught.value).startswith("why\n\nstep try failed")


def test_argv_uses_the_current_interpreter() -> None:
    assert demo.argv("python -m a 'b c'") == [sys.executable, "-m", "a", "b c"]
    assert demo.argv("torchrun -m a") == [sys.executable, "-m", "torch.distributed.run", "-m", "a"]


@pytest.mark.parametrize("step", demo.steps(ranks=2), ids=lambda step: step.name)
def test_command_line_of_step_is_accepted_by_parser(step: demo.DemoStep, monkeypatch: pytest.MonkeyPatch) -> None:
    parse(step.command, monkeypatch)


def test_table_lists_reached_and_attainable_auc() -> None:
    reached, attainable = {"auc_ctr": 0.7, "auc_cvr": 0.6512, "other": 1.0}, {"ctr": 0.735, "cvr": 0.74}
    rows = [row.split()[:3] for row in demo.table(reached, attainable)]
    assert rows == [["AUC", "reached", "attainable"], ["ctr", "0.7000", "0.7350"], ["cvr", "0.6512", "0.7400"]]


def test_prepare_keeps_edited_configs_and_removes_model(tmp_path: Path) -> None:
    demo.prepare(tmp_path)
    names = sorted(path.name for path in (tmp_path / "examples/configs").iterdir())
    assert names == sorted(path.name for path in (ROOT / "examples/configs").glob("*.config"))
    (tmp_path / demo.CONFIG).write_text("# edited\n")
    (tmp_path / demo.MODEL).mkdir(parents=True)
    demo.prepare(tmp_path)
    assert (tmp_path / demo.CONFIG).read_text() == "# edited\n"
    assert not (tmp_path / demo.MODEL).exists()


def test_prepare_in_folder_with_other_files_refuses(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match=r"no demo wrote; choose an empty or new folder with --output_dir"):
        demo.prepare(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
