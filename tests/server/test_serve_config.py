"""Config of a server: all its problems at once with their lines, and flags that are used before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tzrec import serve
from tzrec.config.check import load_checked_message
from tzrec.errors import ConfigError
from tzrec.protos.serve_pb2 import ServeConfig

WRONG = """host: ""
http_prot: 80
grpc_port: 70000
queue {
  max_rows: 0
  deadline_s: nan
  max_batch_rows: "many"
}
colour: RED
"""


def test_serve_config_with_mistakes_is_refused_with_all_lines(tmp_path: Path) -> None:
    path = tmp_path / "server.config"
    path.write_text(WRONG)
    with pytest.raises(ConfigError) as raised:
        load_checked_message(str(path), ServeConfig())
    problems = [str(problem).removeprefix(f"{path}:") for problem in raised.value.problems]
    assert [problem.partition("; known: ")[0] for problem in problems] == [
        "1:1 host: is empty; use 0.0.0.0 for all addresses",
        '2:1 http_prot: no such field; did you mean "http_port"?',
        "3:1 grpc_port: 70000 is not in [0, 65535]",
        "5:3 queue.max_rows: 0 is below 1",
        "6:3 queue.deadline_s: nan is not above 0",
        '7:19 queue.max_batch_rows: expected an integer of 32 bits from 0 up, received "many"',
        "9:1 colour: no such field",
    ]


def test_serve_config_is_read_from_text_and_json(tmp_path: Path) -> None:
    text, json = tmp_path / "server.config", tmp_path / "server.json"
    text.write_text("model_path: 'models' # a comment\nqueue { max_rows: 7 }")
    json.write_text('{"model_path": "models", "queue": {"max_rows": 7}}')
    configs = [load_checked_message(str(path), ServeConfig()) for path in (text, json)]
    assert configs[0] == configs[1] == ServeConfig(model_path="models", queue={"max_rows": 7})
    assert configs[0].queue.deadline_s == 5 and configs[0].http_port == 8000


def test_serve_command_with_wrong_config_or_flags_exits_with_the_cure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "server.config"
    path.write_text(WRONG)
    assert serve.main(["--serve_config", str(path)]) == 2
    assert f"{path}:3:1 grpc_port: 70000 is not in [0, 65535]" in capsys.readouterr().err
    path.write_text("http_port: 0")
    for argv, message in [
        (["--serve_config", str(path)], f"set model_path in {path}, or give --model_path DIR"),
        ([], "there is no package to serve; give --model_path DIR"),
        (["--http_port", "70000"], "--http_port: '70000' is not a whole number from 0 to 65535"),
        (
            ["--model_path", str(tmp_path / "none")],
            f"--model_path {tmp_path / 'none'} does not exist; give the --export",
        ),
        (
            ["--model_path", str(tmp_path)],
            f"--model_path {tmp_path} has no package; give the --export_dir of an export",
        ),
        (["--serve_config", str(tmp_path / "none")], f"{tmp_path / 'none'} cannot read the config: No such file"),
    ]:
        assert serve.main(argv) == 2
        assert message in capsys.readouterr().err


def test_serve_config_of_the_page_is_valid(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
    path = tmp_path / "server.config"
    path.write_text(page.partition("## Limits")[2].split("```")[1])
    config = load_checked_message(str(path), ServeConfig())
    assert config.request_limits.max_requests_per_s == 200 and config.shutdown.drain_s == 5
