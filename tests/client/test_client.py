from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

import tzrec
from tests.fixtures.servers import serving
from tests.fixtures.small_model import OUTPUTS, exported_package, small_rows
from tzrec.client import Client, ServerError
from tzrec.errors import DataError, UsageError
from tzrec.protos.serve_pb2 import TlsConfig
from tzrec.server.run import Server

FLAT = ["user", "friend", "item", "price", "place"]
"""Columns that gRPC carries: the others are lists of different lengths."""
USER = ["user", "friend", "scores", "place", "clicks__item", "clicks__tags", "clicks__price"]
ITEM = ["item", "price", "tags"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(exported_package()) as server:
        yield server


@pytest.fixture(params=["http", "grpc"])
def client(server: Server, request: pytest.FixtureRequest) -> Iterator[Client]:
    port = server.http_port if request.param == "http" else server.grpc_port
    with Client(f"{request.param}://127.0.0.1:{port}", timeout_s=60) as client:
        yield client


@pytest.fixture
def rest_client(server: Server) -> Iterator[Client]:
    with Client(f"http://127.0.0.1:{server.http_port}", timeout_s=60) as client:
        yield client


def expected(rows: pa.Table) -> pa.Table:
    """Scores of the package; columns that the rows lack are null."""
    predictor = tzrec.load(exported_package())
    for name in predictor.columns:
        if name not in rows.column_names:
            rows = rows.append_column(name, pa.nulls(rows.num_rows))
    return predictor.predict(rows)


def assert_close(scores: pa.Table, wanted: pa.Table) -> None:
    assert scores.schema == wanted.schema and scores.column_names == OUTPUTS
    for name in OUTPUTS:
        received, right = (np.array(table[name].to_pylist()) for table in (scores, wanted))
        np.testing.assert_allclose(received, right, atol=1e-6)


def test_client_predict_equals_the_package(client: Client) -> None:
    rows = small_rows(40).select(FLAT)
    prices = [None if row == 3 else price for row, price in enumerate(rows["price"].to_pylist())]
    rows = rows.set_column(3, "price", pa.array(prices))
    assert rows["user"].null_count and rows["price"].null_count == 1
    assert_close(client.predict(rows), expected(rows))
    assert_close(
        client.predict({"item": [1, 2], "price": [0.5, 2.0]}), expected(pa.table({"item": [1, 2], "price": [0.5, 2.0]}))
    )


def test_client_predict_of_lists_of_any_length_equals_the_package(rest_client: Client) -> None:
    rows = small_rows(40)
    assert_close(rest_client.predict(rows), expected(rows))


def test_client_predict_of_many_rows_sends_several_requests(
    rest_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tzrec.client.client._BATCH_ROWS", 7)
    rows = small_rows(40)
    assert_close(rest_client.predict(rows), expected(rows))


def test_client_rank_equals_rows_that_repeat_the_user(client: Client) -> None:
    user = {"user": "u1", "friend": "u2", "place": [0.25, 0.5]}
    items = [{"item": 3, "price": 0.5}, {"item": 4}, {"item": np.int64(5), "price": 2}]
    repeated = pa.Table.from_pylist([{**user, "price": None, **item, "item": int(item["item"])} for item in items])
    assert_close(client.rank(user, items), expected(repeated))
    context = {"place": user.pop("place")}
    assert_close(client.rank(user, items, context), expected(repeated))
    frame = repeated.select(["item", "price"])
    user_frame = repeated.select(["user", "friend", "place"]).slice(0, 1)
    assert_close(client.rank(user_frame, frame), expected(repeated))
    assert_close(client.rank(user_frame, frame.to_pydict()), expected(repeated))


def test_client_takes_frames_of_pandas(client: Client) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"item": [1, 2], "price": [0.5, 2.0], "friend": ["u1", "u2"]})
    scores = client.predict(frame)
    assert_close(scores, expected(pa.table(frame)))
    assert list(scores.to_pandas()["probs_ctr"]) == scores["probs_ctr"].to_pylist()


def test_client_rank_with_sequences_equals_the_package(rest_client: Client) -> None:
    rows = small_rows(9)
    user = rows.select(USER).slice(3, 1)
    items = rows.select(ITEM)
    assert_close(rest_client.rank(user, items), tzrec.load(exported_package()).rank(user, items))


def test_client_finds_the_model_and_describes_it(client: Client) -> None:
    assert client.model == "export" and client.is_ready()
    metadata = client.metadata()
    assert metadata["versions"] == ["1"] and metadata["platform"] == "tzrec_mmoe"
    assert {"name": "probs_kind", "datatype": "FP32", "shape": [-1, 3]} in metadata["outputs"]


def test_client_refuses_what_is_no_request(client: Client) -> None:
    with pytest.raises(DataError, match="the table has no rows"):
        client.predict(pa.table({"item": pa.array([], pa.int64())}))
    with pytest.raises(DataError, match="the user is 2 rows, not one"):
        client.rank(pa.table({"user": ["a", "b"]}), [{"item": 1}])
    with pytest.raises(DataError, match="there are no items"):
        client.rank({}, [])
    with pytest.raises(DataError, match="int is not a table; give a pyarrow"):
        client.predict(5)


def test_client_raises_the_reason_of_the_server(server: Server, client: Client) -> None:
    with pytest.raises(ServerError, match=r"://127.0.0.1:.*row 0: column \"item\" has '99'") as raised:
        client.predict({"item": [99]})
    assert raised.value.status == 400
    scheme, port = client._url.split("://")[0], client._url.rsplit(":", 1)[1]
    for wrong in (Client(f"{scheme}://127.0.0.1:{port}", "exprot"), Client(client._url, "export", "9")):
        assert not wrong.is_ready()
        with pytest.raises(ServerError) as raised:
            wrong.predict({"item": [1]})
        assert raised.value.status == 404


def test_client_refuses_over_grpc_what_a_tensor_lacks(server: Server) -> None:
    with Client(f"grpc://127.0.0.1:{server.grpc_port}") as client:
        with pytest.raises(DataError, match=r'column "tags" has lists of different lengths.*use the http:// address'):
            client.predict({"tags": [[1], [1, 2]]})
        with pytest.raises(DataError, match='column "tags" is map<string, int64>, which a tensor lacks'):
            client.predict(pa.table({"tags": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))}))


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host", "http://", "localhost"])
def test_client_with_another_address_raises(url: str) -> None:
    with pytest.raises(UsageError, match="is no address of a server; give http://host:8000"):
        Client(url)


class FakeServer:
    """HTTP server that answers with the given statuses, one after the other, and keeps the requests."""

    def __init__(self, statuses: list[int], pause_s: float = 0.0) -> None:
        requests: list[Any] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                requests.append((self.path, self.headers, body))
                status = statuses[min(len(requests), len(statuses)) - 1]
                time.sleep(pause_s)
                answer = orjson.dumps({"error": "busy"} if status != 200 else {"outputs": {"probs": [0.5]}})
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self.requests = requests
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> FakeServer:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize("busy", [429, 502, 503])
def test_client_asks_again_while_the_server_is_busy(busy: int) -> None:
    with FakeServer([busy, busy, 200]) as fake, Client(fake.url, "m", num_retries=2, timeout_s=60) as client:
        assert client.rank({"user": 1}, [{"item": 1}]).to_pydict() == {"probs": [0.5]}
    assert len(fake.requests) == 3 and len({body for _, _, body in fake.requests}) == 1


def test_client_ends_after_its_retries() -> None:
    with (
        FakeServer([503]) as fake,
        Client(fake.url, "m", num_retries=1, timeout_s=60) as client,
        pytest.raises(ServerError, match=r"/v2/models/m/rank: 503: busy") as raised,
    ):
        client.rank({}, [{"item": 1}])
    assert raised.value.status == 503 and len(fake.requests) == 2


def test_client_does_not_repeat_a_request_that_is_refused() -> None:
    with (
        FakeServer([400, 200]) as fake,
        Client(fake.url, "m", timeout_s=60) as client,
        pytest.raises(ServerError, match="400: busy"),
    ):
        client.rank({}, [{"item": 1}])
    assert len(fake.requests) == 1


def test_client_ends_with_its_timeout() -> None:
    with FakeServer([200], pause_s=3) as fake, Client(fake.url, "m", timeout_s=0.3) as client:
        start = time.monotonic()
        with pytest.raises(ServerError, match="did not answer within") as raised:
            client.rank({}, [{"item": 1}])
        assert raised.value.status == 0 and time.monotonic() - start < 2.5


def test_client_without_a_server_names_the_address() -> None:
    with FakeServer([200]) as fake:
        url = fake.url
    with Client(url, "m", timeout_s=0.5) as client, pytest.raises(ServerError, match=r"/v2/models/m cannot be reached"):
        client.metadata()


def test_client_sends_its_token_and_what_json_lacks_as_text() -> None:
    with FakeServer([200]) as fake, Client(fake.url, "a/b", "7", token="secret", timeout_s=60) as client:
        maps = pa.array([[("a", 1.5)]], pa.map_(pa.string(), pa.float64()))
        client.rank(pa.table({"user": [b"u1"], "price": [float("nan")], "weights": maps}), [{"item": 1}])
        with pytest.raises(DataError, match=r"a value has no form in JSON: .*object"):
            client.rank({"user": object()}, [{"item": 1}])
    ((path, headers, body),) = fake.requests
    assert path == "/v2/models/a%2Fb/versions/7/rank" and headers["Authorization"] == "Bearer secret"
    assert orjson.loads(body) == {"user": {"user": "u1", "price": None, "weights": {"a": 1.5}}, "items": [{"item": 1}]}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_client_reaches_a_server_with_tls_and_tokens(tmp_path: Path) -> None:
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost -addext"
    )
    subprocess.run([*command.split(), "subjectAltName=DNS:localhost"], cwd=tmp_path, check=True, capture_output=True)
    cert, key, tokens = (str(tmp_path / name) for name in ("cert.pem", "key.pem", "tokens"))
    Path(tokens).write_text("secret\n")
    tls = TlsConfig(cert_path=cert, key_path=key, client_ca_path=cert)
    with serving(exported_package(), tls=tls, token_path=tokens) as server:
        for url in (f"https://localhost:{server.http_port}", f"grpcs://localhost:{server.grpc_port}"):
            options: dict[str, Any] = {"ca_file": cert, "timeout_s": 30, "num_retries": 0}
            with Client(url, "export", token="secret", cert_files=(cert, key), **options) as client:
                assert client.predict({"item": [1]}).num_rows == 1
            with Client(url, "export", token="other", cert_files=(cert, key), **options) as client:
                with pytest.raises(ServerError) as raised:
                    client.predict({"item": [1]})
                assert raised.value.status == 401
            with Client(url, "export", token="secret", **options) as client:
                with pytest.raises(ServerError) as raised:
                    client.predict({"item": [1]})
                assert raised.value.status in (0, 503)


def test_client_imports_no_torch() -> None:
    code = "import sys, tzrec.client as c; c.Client('http://a'); c.Client('grpc://a'); print('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
