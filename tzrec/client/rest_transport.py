"""RestTransport: requests over HTTP, tables as Arrow and requests of `rank` as JSON."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pyarrow as pa

from tzrec.client.errors import ServerError
from tzrec.client.transport import NO_ANSWER, Target, TlsFiles, Values
from tzrec.errors import DataError, first_line

_ARROW = {"Content-Type": "application/vnd.apache.arrow.stream"}
_JSON = {"Content-Type": "application/json"}
_MAX_CONNECTIONS = 100


class RestTransport:
    """Requests over HTTP. Connections are kept and shared by threads; proxies of the environment are not used.

    Args:
        url: `http://host:port` or `https://host:port`.
        token: of a server that asks for a bearer token; empty for none.
        files: for TLS.
    """

    def __init__(self, url: str, token: str, files: TlsFiles) -> None:
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {token}"} if token else {})
        context = ssl.create_default_context(cafile=files.ca_file)
        if files.cert_files:
            context.load_cert_chain(*files.cert_files)
        self._http = httpx.Client(
            base_url=url,
            headers=headers,
            verify=context,
            limits=httpx.Limits(max_connections=_MAX_CONNECTIONS, max_keepalive_connections=_MAX_CONNECTIONS),
            trust_env=False,
        )

    def models(self, timeout_s: float) -> list[str]:
        index = orjson.loads(self._send("POST", "/v2/repository/index", timeout_s, b"{}", _JSON))
        return list(dict.fromkeys(entry["name"] for entry in index if entry["state"] == "READY"))

    def metadata(self, target: Target, timeout_s: float) -> dict[str, Any]:
        return dict(orjson.loads(self._send("GET", _path(target), timeout_s)))

    def predict(self, target: Target, rows: pa.Table, timeout_s: float) -> pa.Table:
        return self._answer(f"{_path(target)}/infer", rows, timeout_s)

    def rank(self, target: Target, user: Values, items: Sequence[Values], timeout_s: float) -> pa.Table:
        try:
            body = orjson.dumps({"user": user, "items": items}, _plain, orjson.OPT_SERIALIZE_NUMPY)
        except TypeError as error:
            raise DataError(
                f"a value has no form in JSON: {first_line(error)}; convert it to text or numbers"
            ) from None
        outputs = orjson.loads(self._send("POST", f"{_path(target)}/rank", timeout_s, body, _JSON))["outputs"]
        return pa.table({name: _scores(outputs[name]) for name in sorted(outputs)})

    def retrieve(self, target: Target, users: pa.Table, k: int, timeout_s: float) -> pa.Table:
        return self._answer(f"{_path(target)}/retrieve?k={k}", users, timeout_s)

    def close(self) -> None:
        self._http.close()

    def _answer(self, path: str, rows: pa.Table, timeout_s: float) -> pa.Table:
        """Send a table and read the one of the answer."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_table(rows)
        content = self._send("POST", path, timeout_s, sink.getvalue().to_pybytes(), _ARROW)
        return pa.ipc.open_stream(content).read_all()

    def _send(
        self, method: str, path: str, timeout_s: float, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> bytes:
        address = f"{self._http.base_url}".rstrip("/") + path
        try:
            response = self._http.request(method, path, content=body, headers=headers, timeout=timeout_s)
        except httpx.TimeoutException:
            raise ServerError(f"{address} did not answer within {timeout_s:.3g} s", NO_ANSWER) from None
        except httpx.HTTPError as error:
            raise ServerError(f"{address} cannot be reached: {first_line(error)}", NO_ANSWER) from None
        if not response.is_success:
            raise ServerError(f"{address}: {response.status_code}: {_reason(response)}", response.status_code)
        return response.content


def _path(target: Target) -> str:
    version = f"/versions/{quote(target.version, safe='')}" if target.version else ""
    return f"/v2/models/{quote(target.model, safe='')}{version}"


def _reason(response: httpx.Response) -> str:
    try:
        return str(orjson.loads(response.content)["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):  # of a proxy
        return response.text.strip() or response.reason_phrase


def _plain(value: Any) -> Any:
    """Convert what JSON lacks."""
    if isinstance(value, bytes):
        return value.decode()
    raise TypeError(f"{value!r} is {type(value).__name__}")


def _scores(values: list[Any]) -> pa.Array:
    """Convert an output, numbers with a fraction as float32."""
    column = pa.array(values)
    kind, depth = column.type, 0
    while pa.types.is_list(kind):
        kind, depth = kind.value_type, depth + 1
    if not pa.types.is_floating(kind):
        return column
    kind = pa.float32()
    for _ in range(depth):
        kind = pa.list_(kind)
    return column.cast(kind)
