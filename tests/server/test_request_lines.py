from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from tzrec.protos.observation_pb2 import LOG_JSON, LOG_TEXT, AccessLog
from tzrec.server.request_lines import RequestLines, TracedApp
from tzrec.server.trace import RequestTrace, current_trace


def trace(**values: object) -> RequestTrace:
    about = {"protocol": "rest", "client": "10.0.0.1", "call": "POST /v2/models/m/infer"}
    return RequestTrace(**{**about, **values})  # type: ignore[arg-type]


def written(path: Path, form: int, *traces: RequestTrace) -> list[str]:
    lines = RequestLines(AccessLog(format=form, path=str(path)), 0)  # type: ignore[arg-type]
    for one in traces:
        lines.log(one, 200, 1534)
    lines.close()
    return path.read_text().splitlines()


def test_json_line_has_the_fields_of_a_request(tmp_path: Path) -> None:
    request = trace(model="m/3", num_rows=200, id="a b")
    (line,) = written(tmp_path / "access.log", LOG_JSON, request)
    entry = json.loads(line)
    assert 0 <= entry.pop("ms") < 60_000 and entry.pop("time").startswith("20")
    assert entry == {
        **{"protocol": "rest", "client": "10.0.0.1", "call": "POST /v2/models/m/infer", "status": 200},
        **{"bytes": 1534, "model": "m/3", "rows": 200, "id": "a b"},
    }


def test_text_line_has_the_fields_of_a_request(tmp_path: Path) -> None:
    request = trace(id='x" y\n')
    (line,) = written(tmp_path / "access.log", LOG_TEXT, request)
    words = line.split()
    assert words[1:6] == ["rest", "10.0.0.1", '"POST', '/v2/models/m/infer"', "200"]
    assert words[6:8] == ["1534", "B"] and words[9:13] == ["ms", "-", "0", "rows"]
    assert line.endswith('"x\\" y\\n"')


@pytest.mark.parametrize("form", [LOG_TEXT, LOG_JSON])
def test_line_is_one_whatever_a_client_sends(tmp_path: Path, form: int) -> None:
    lines = written(tmp_path / "access.log", form, trace(call="GET /a\nb\r\x1b\u2028 é", id="\n\x00"), trace())
    assert len(lines) == 2 and "\x1b" not in lines[0]


def test_log_file_that_was_moved_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    lines = RequestLines(AccessLog(path=str(path)), 0)
    for name in ("one", "two"):
        lines.log(trace(), 200, 1)
        deadline = time.monotonic() + 30
        while not (path.exists() and path.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.01)
        path.rename(tmp_path / name)
    lines.close()
    assert [len((tmp_path / name).read_text().splitlines()) for name in ("one", "two")] == [1, 1]


def test_slow_request_is_logged_with_its_stages(caplog: pytest.LogCaptureFixture) -> None:
    lines = RequestLines(None, 100)
    slow = trace(model="m/3", num_rows=7, id="a", start=time.perf_counter() - 0.25)
    slow.stages |= {"parse": 0.0021, "queue and score": 0.24}
    lines.log(slow, 200, 10)
    lines.log(trace(), 200, 10)
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith('slow   POST /v2/models/m/infer id "a" 200 after 25')
    assert message.endswith("(7 rows of m/3; parse 2.1, queue and score 240.0)")


def test_many_slow_requests_are_logged_ten_times_a_second(caplog: pytest.LogCaptureFixture) -> None:
    lines = RequestLines(None, 1)
    start = time.monotonic()
    for _ in range(500):
        lines.log(trace(start=time.perf_counter() - 1), 200, 10)
    seconds = int(time.monotonic()) - int(start) + 1
    assert len(caplog.records) == 10 * seconds


def test_traced_app_logs_the_status_and_the_bytes_but_no_query(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    lines = RequestLines(AccessLog(format=LOG_JSON, path=str(path)), 0)

    async def app(scope: object, receive: object, send: object) -> None:
        request = current_trace.get()
        assert request is not None
        request.model = "m/1"
        await send({"type": "http.response.start", "status": 404})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": b"12345", "more_body": True})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": b"67"})  # type: ignore[operator]

    async def send(message: object) -> None:
        pass

    scope = {"type": "http", "method": "GET", "path": "/v2/x", "query_string": b"token=secret", "client": ("::1", 7)}
    scope["headers"] = [(b"authorization", b"Bearer secret")]
    asyncio.run(TracedApp(app, lines)(scope, None, send))  # type: ignore[arg-type]
    lines.close()
    text = path.read_text()
    entry = json.loads(text)
    assert (entry["status"], entry["bytes"], entry["model"], entry["client"]) == (404, 7, "m/1", "::1")
    assert entry["call"] == "GET /v2/x" and "secret" not in text
