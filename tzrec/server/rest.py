"""REST interface: version 2 of the Open Inference Protocol, with tensors in binary form, Arrow, and plain JSON.

GET  /v2/health/live, /v2/health/ready, /v2, /metrics, /openapi.json
GET  /v2/models/M[/versions/V], and /ready, /config and /stats below it; /v2/models/stats
POST /v2/models/M[/versions/V]/infer
POST /v2/models/M[/versions/V]/rank       {"user": {...}, "items": [{...}], "context": {...}}
POST /v2/models/M[/versions/V]/retrieve   {"user": {...}, "context": {...}, "k": 100}
POST /v2/repository/index, /v2/repository/models/M/load, .../unload
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
import pyarrow as pa
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tzrec.errors import shorten_middle
from tzrec.server.admission import Admission, Ticket
from tzrec.server.arrow_body import ARROW, read_arrow, write_arrow
from tzrec.server.compression import MIN_BYTES, BodyReader, accepted_encoding, pack
from tzrec.server.errors import DISCONNECTED, UNAUTHORIZED, RequestError
from tzrec.server.infer import to_numpy
from tzrec.server.infer_json import HEADER_LENGTH, read_json, read_request, rows_from_json, write_response
from tzrec.server.openapi import document
from tzrec.server.retrieve import ensure_count, read_users
from tzrec.server.service import Service

_JSON = "application/json"
_logger = logging.getLogger(__name__)
Handler = Callable[[Request], Awaitable[Response]]


class Rest:
    """Handlers of the REST interface.

    Args:
        service: answers.
        admission: decides which requests are answered.
    """

    def __init__(self, service: Service, admission: Admission) -> None:
        self._service, self._admission = service, admission

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [
            self._route("GET", "/openapi.json", self.openapi),
            self._route("GET", "/metrics", self.metrics),
            self._route("GET", "/v2", self.server_metadata),
            self._route("GET", "/v2/health/live", self.live, is_open=True),
            self._route("GET", "/v2/health/ready", self.ready, is_open=True),
            self._route("GET", "/v2/models/stats", self.statistics),
            self._route("POST", "/v2/repository/index", self.index),
            self._route("POST", "/v2/repository/models/{name}/{action:str}", self.change),
        ]
        for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
            routes += [
                self._route("GET", path, self.model_metadata),
                self._route("GET", f"{path}/ready", self.model_ready),
                self._route("GET", f"{path}/config", self.model_config),
                self._route("GET", f"{path}/stats", self.statistics),
                self._route("POST", f"{path}/infer", self.infer),
                self._route("POST", f"{path}/rank", self.rank),
                self._route("POST", f"{path}/retrieve", self.retrieve),
            ]
        return Starlette(routes=routes, exception_handlers={HTTPException: _no_route})

    def _route(self, method: str, path: str, handler: Handler, is_open: bool = False) -> Route:
        """Route of a handler; an open one needs no admission."""

        async def admitted(request: Request) -> Response:
            authorization = request.headers.get("authorization", "")
            with self._admission.admit(authorization, request.client.host if request.client else "") as ticket:
                request.state.ticket = ticket
                return await handler(request)

        async def answer(request: Request) -> Response:
            start = time.monotonic()
            response = await _packed(request, await _answered(handler if is_open else admitted, request))
            self._service.metrics.observe_request("rest", response.status_code, time.monotonic() - start)
            return response

        return Route(path, answer, methods=[method])

    async def openapi(self, request: Request) -> Response:
        models = dict.fromkeys(state.name for state in self._service.repository.index())
        return _json(document(list(models)))

    async def metrics(self, request: Request) -> Response:
        return Response(self._service.metrics.exposition(), media_type="text/plain; version=0.0.4")

    async def live(self, request: Request) -> Response:
        return Response()

    async def ready(self, request: Request) -> Response:
        is_ready = self._service.repository.is_ready and not self._admission.is_draining
        return Response(status_code=200 if is_ready else 503)

    async def server_metadata(self, request: Request) -> Response:
        return _json(self._service.server_metadata())

    async def model_metadata(self, request: Request) -> Response:
        return _json(self._service.model_metadata(*_model(request)))

    async def model_ready(self, request: Request) -> Response:
        self._service.repository.get(*_model(request))
        return Response()

    async def model_config(self, request: Request) -> Response:
        return _json(self._service.model_config(*_model(request)))

    async def statistics(self, request: Request) -> Response:
        parameters = request.path_params
        return _json(self._service.model_statistics(parameters.get("name", ""), parameters.get("version", "")))

    async def index(self, request: Request) -> Response:
        return _json([vars(state) for state in self._service.repository.index()])

    async def change(self, request: Request) -> Response:
        action = request.path_params["action"]
        if action not in ("load", "unload"):
            return _json({"error": f'"{action}" is neither load nor unload'}, 404)
        await self._service.change(action, request.path_params["name"])
        return Response()

    async def infer(self, request: Request) -> Response:
        body = await self._body(request)
        stage = self._service.metrics.stage
        if request.headers.get("content-type", "").partition(";")[0] == ARROW:
            with stage("parse"):
                rows = read_arrow(body, self._admission.limits.max_body_bytes)
            scores = await self._service.predict(*_model(request), rows)
            with stage("write"):
                return Response(write_arrow(scores), media_type=ARROW)
        with stage("parse"):
            read = read_request(body, request.headers.get(HEADER_LENGTH))
        model, outputs = await self._service.infer(*_model(request), read)
        with stage("write"):
            content, headers = write_response(read, model.name, model.version, outputs)
            return Response(content, headers=headers)

    async def rank(self, request: Request) -> Response:
        body = await self._body(request)
        with self._service.metrics.stage("parse"):
            user, items = _read_rank(body)
        model, scores = await self._service.rank(*_model(request), user, items)
        with self._service.metrics.stage("write"):
            outputs = {name: to_numpy(scores.column(name)) for name in scores.column_names}
            return _json({"model_name": model.name, "model_version": model.version, "outputs": outputs})

    async def retrieve(self, request: Request) -> Response:
        body = await self._body(request)
        if request.headers.get("content-type", "").partition(";")[0] == ARROW:
            k = request.query_params.get("k", "")
            k_items = ensure_count(int(k) if k.isascii() and k.isdigit() and len(k) < 10 else k)
            users = read_arrow(body, self._admission.limits.max_body_bytes)
            _, found_items = await self._service.retrieve(*_model(request), users, k_items)
            return Response(write_arrow(found_items), media_type=ARROW)
        users, k_items, is_single = read_users(read_json(body))
        model, found_items = await self._service.retrieve(*_model(request), users, k_items)
        outputs = {name: found_items.column(name).to_pylist() for name in found_items.column_names}
        if is_single:
            outputs = {name: lists[0] for name, lists in outputs.items()}
        return _json({"model_name": model.name, "model_version": model.version, "outputs": outputs})

    async def _body(self, request: Request) -> bytes:
        """Receive the body; one that is refused is read to its end, since clients listen to no answer before it."""
        ticket: Ticket = request.state.ticket
        refusal: RequestError | None = None
        reader = BodyReader(request.headers.get("content-encoding", ""), self._admission.limits.max_body_bytes)
        async for chunk in request.stream():
            if refusal is None:
                try:
                    ticket.add_bytes(reader.add(chunk))
                except RequestError as error:
                    refusal = error
        if refusal is not None:
            raise refusal
        return reader.body()


async def _answered(handler: Handler, request: Request) -> Response:
    try:
        return await handler(request)
    except RequestError as error:
        response = _json({"error": str(error)}, error.status)
        if error.status == UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response
    except ClientDisconnect:
        return Response(status_code=DISCONNECTED)
    except Exception:
        _logger.exception("serve  %s %s failed", request.method, request.url.path)
        return _json({"error": "the server failed; its log says why"}, 500)


async def _packed(request: Request, response: Response) -> Response:
    """Compress a long response if the client accepts that."""
    encoding = accepted_encoding(request.headers.get("accept-encoding", ""))
    if encoding and len(response.body) >= MIN_BYTES:
        response.body = await asyncio.to_thread(pack, bytes(response.body), encoding)
        response.headers.update({"Content-Encoding": encoding, "Content-Length": str(len(response.body))})
    response.headers["Vary"] = "Accept-Encoding"
    return response


async def _no_route(request: Request, error: Exception) -> Response:
    """Answer a request for a path that does not exist, or with a method that it does not have."""
    assert isinstance(error, HTTPException)
    reason = f"{request.method} {shorten_middle(request.url.path)} is not one of the requests of this server"
    return _json({"error": f"{reason}; docs/serving.md lists them"}, error.status_code, error.headers)


def _read_rank(body: bytes) -> tuple[pa.Table, pa.Table]:
    """Read the user, one row with the context, and the items."""
    value = read_json(body)
    if not isinstance(value, dict) or "items" not in value:
        raise RequestError('the body has no list "items": give {"user": {...}, "items": [{...}, ...]}')
    unknown = sorted(value.keys() - {"user", "items", "context"})
    if unknown:
        raise RequestError(f'"{unknown[0]}" is not one of user, items, context')
    for name in ("user", "context"):
        if not isinstance(value.get(name, {}), dict):
            raise RequestError(f'"{name}" is not an object such as {{"user_id": 7}}')
    user = rows_from_json([{**value.get("user", {}), **value.get("context", {})}], "user")
    return user, rows_from_json(value["items"], "items")


def _model(request: Request) -> tuple[str, str]:
    return request.path_params["name"], request.path_params.get("version", "")


def _json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY), status, headers, media_type=_JSON)
