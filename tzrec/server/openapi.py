"""OpenAPI description of the REST interface, which `GET /openapi.json` returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tzrec.server.arrow_body import ARROW
from tzrec.server.tensors import DATATYPES
from tzrec.version import __version__

_JSON = "application/json"
_BINARY = "application/octet-stream"
_TEXT: dict[str, Any] = {"type": "string"}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_K: dict[str, Any] = {"type": "integer", "minimum": 1}
_FILE: dict[str, Any] = {"type": "string", "format": "binary"}
_BY_NAME: dict[str, Any] = {"type": "object", "additionalProperties": {}}


def document(models: Sequence[str]) -> dict[str, Any]:
    """Describe all requests.

    Args:
        models: names of the models of the server.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tzrec serve",
            "version": __version__,
            "description": "Scores of recommendation models. Version 2 of the Open Inference Protocol, and plain JSON.",
        },
        "paths": {path: _with_models(operations, path, models) for path, operations in _paths().items()},
        "components": {"schemas": _schemas()},
    }


def _paths() -> dict[str, dict[str, Any]]:
    """Operations by method, by path."""
    paths = {
        "/openapi.json": {"get": _operation("This description", _BY_NAME)},
        "/metrics": {"get": _operation("Counters in the text format of Prometheus", _TEXT, "text/plain")},
        "/v2": {"get": _operation("Name, version and extensions of the server", _ref("ServerMetadata"))},
        "/v2/health/live": {"get": _operation("200 once the server listens")},
        "/v2/health/ready": {"get": _operation("200 while every model answers, otherwise 503")},
        "/v2/models/stats": {"get": _operation("Counts of all models", _ref("Statistics"))},
        "/v2/repository/index": {"post": _operation("Models and their states", _list(_ref("VersionState")))},
    }
    for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        paths |= {
            path: {"get": _operation("Versions, inputs and outputs", _ref("ModelMetadata"))},
            f"{path}/ready": {"get": _operation("200 if the model answers")},
            f"{path}/config": {"get": _operation("Configuration, as Triton describes it", _ref("ModelConfig"))},
            f"{path}/stats": {"get": _operation("Counts of requests, rows and batches", _ref("Statistics"))},
            f"{path}/infer": {"post": _infer()},
            f"{path}/rank": {"post": _rank()},
            f"{path}/retrieve": {"post": _retrieve()},
        }
    change = "/v2/repository/models/{name}"
    return {
        **paths,
        f"{change}/unload": {"post": _operation("Unload a model until it is loaded again")},
        f"{change}/load": {"post": _operation("Load a model that was unloaded, and new versions")},
    }


def _infer() -> dict[str, Any]:
    operation = _operation("Scores of rows; an input is a raw column", _ref("InferResponse"))
    operation["requestBody"] = _body({_JSON: _ref("InferRequest"), ARROW: _FILE})
    operation["responses"]["200"]["content"] |= {ARROW: {"schema": _FILE}, _BINARY: {"schema": _FILE}}
    return operation


def _rank() -> dict[str, Any]:
    operation = _operation("Scores of items for one user", _ref("RankResponse"))
    operation["requestBody"] = _body({_JSON: _ref("RankRequest")})
    return operation


def _retrieve() -> dict[str, Any]:
    operation = _operation("Items nearest to users, from the index of the model", _ref("RetrieveResponse"))
    operation["parameters"] = [{"name": "k", "in": "query", "schema": _K, "description": "of a body of Arrow"}]
    operation["requestBody"] = _body({_JSON: _ref("RetrieveRequest"), ARROW: _FILE})
    operation["responses"]["200"]["content"] |= {ARROW: {"schema": _FILE}}
    return operation


def _with_models(operations: Mapping[str, Any], path: str, models: Sequence[str]) -> dict[str, Any]:
    """Add the parameters of a path."""
    known = {"name": {**_TEXT, "enum": list(models)}, "version": {**_TEXT, "pattern": "^[0-9]{1,9}$"}}
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in known.items()
        if f"{{{name}}}" in path
    ]
    return {**operations, "parameters": parameters} if parameters else dict(operations)


def _operation(summary: str, schema: Mapping[str, Any] | None = None, media_type: str = _JSON) -> dict[str, Any]:
    answered: dict[str, Any] = {"description": summary}
    if schema is not None:
        answered["content"] = {media_type: {"schema": schema}}
    refused = {"description": "The reason", "content": {_JSON: {"schema": _ref("Error")}}}
    return {"summary": summary, "responses": {"200": answered, "4XX": refused, "5XX": refused}}


def _body(schemas: Mapping[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {kind: {"schema": schema} for kind, schema in schemas.items()}}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(items: Mapping[str, Any], **limits: int) -> dict[str, Any]:
    return {"type": "array", "items": items, **limits}


def _object(optional: Mapping[str, Any], **required: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {**required, **optional}, "required": list(required)}


def _schemas() -> dict[str, Any]:
    datatype = {"type": "string", "enum": list(DATATYPES)}
    shape = _list({"type": "integer", "minimum": -1})
    described = _list(_object({}, name=_TEXT, datatype=datatype, shape=shape))
    configured = _list(_object({"optional": {"type": "boolean"}}, name=_TEXT, data_type=_TEXT, dims=shape))
    rows = _list({"type": "integer", "minimum": 0}, minItems=1, maxItems=2)
    numbers = _list({"type": ["number", "boolean", "array", "null"]})
    duration = _object({}, count=_COUNT, ns=_COUNT)
    durations = _object({}, success=duration, fail=duration, queue=duration, compute_infer=duration)
    extra = {"parameters": _BY_NAME}
    return {
        "Error": _object({}, error=_TEXT),
        "ServerMetadata": _object({}, name=_TEXT, version=_TEXT, extensions=_list(_TEXT)),
        "ModelMetadata": _object(
            {}, name=_TEXT, versions=_list(_TEXT), platform=_TEXT, inputs=described, outputs=described
        ),
        "ModelConfig": _object(
            {},
            name=_TEXT,
            platform=_TEXT,
            backend=_TEXT,
            max_batch_size=_COUNT,
            input=configured,
            output=configured,
        ),
        "Statistics": _object(
            {},
            model_stats=_list(
                _object(
                    {},
                    name=_TEXT,
                    version=_TEXT,
                    last_inference=_COUNT,
                    inference_count=_COUNT,
                    execution_count=_COUNT,
                    inference_stats=durations,
                )
            ),
        ),
        "VersionState": _object({}, name=_TEXT, version=_TEXT, state=_TEXT, reason=_TEXT),
        "InferRequest": _object(
            {"id": _TEXT, "outputs": _list(_object(extra, name=_TEXT)), **extra},
            inputs=_list(_object({"data": _list({}), **extra}, name=_TEXT, datatype=datatype, shape=rows), minItems=1),
        ),
        "InferResponse": _object(
            {"id": _TEXT},
            model_name=_TEXT,
            model_version=_TEXT,
            outputs=_list(_object({"data": numbers, **extra}, name=_TEXT, datatype=datatype, shape=shape)),
        ),
        "RankRequest": _object({"user": _BY_NAME, "context": _BY_NAME}, items=_list(_BY_NAME, minItems=1)),
        "RetrieveRequest": _object({"user": _BY_NAME, "users": _list(_BY_NAME, minItems=1), "context": _BY_NAME}, k=_K),
        "RetrieveResponse": _object(
            {},
            model_name=_TEXT,
            model_version=_TEXT,
            outputs=_object({}, ids=_list({"type": ["integer", "string", "array"]}), scores=numbers),
        ),
        "RankResponse": _object(
            {},
            model_name=_TEXT,
            model_version=_TEXT,
            outputs={"type": "object", "additionalProperties": numbers},
        ),
    }
