from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starlette.routing import Route

from tests.fixtures.servers import send, serving
from tests.fixtures.small_model import exported_package, small_rows
from tzrec.server.openapi import document
from tzrec.server.rest import Rest

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def problems(value: Any, schema: dict[str, Any], schemas: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield where a value differs from its schema, for the words of JSON Schema that the description uses."""
    schema = schemas[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
    if not schema:  # anything
        return
    kinds = schema.get("type", list(_TYPES))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not isinstance(value, tuple(kind for name in kinds for kind in _TYPES[name])):
        yield f"{path}: {value!r} is not {kinds}"
    elif isinstance(value, dict):
        yield from (f"{path}: no {name}" for name in schema.get("required", ()) if name not in value)
        known, rest = schema.get("properties", {}), schema.get("additionalProperties")
        for name, entry in value.items():
            if name in known:
                yield from problems(entry, known[name], schemas, f"{path}.{name}")
            elif rest is None:
                yield f"{path}.{name}: is not described"
            else:
                yield from problems(entry, rest, schemas, f"{path}.{name}")
    elif isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{path}: {len(value)} items"
        for index, entry in enumerate(value):
            yield from problems(entry, schema.get("items", {}), schemas, f"{path}[{index}]")
    elif value not in schema.get("enum", [value]):
        yield f"{path}: {value!r} is not one of {schema['enum']}"


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else [])
        value = list(value.values())
    if isinstance(value, list):
        for entry in value:
            yield from references(entry)


def test_description_has_every_route_and_no_other() -> None:
    routes = {
        (route.path.replace(":str", ""), method.lower())
        for route in Rest.app(Rest.__new__(Rest)).routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    described = {(path, method) for path, entry in document([])["paths"].items() for method in entry}
    changes = {"/v2/repository/models/{name}/load", "/v2/repository/models/{name}/unload"}
    described = {
        ("/v2/repository/models/{name}/{action}" if path in changes else path, method)
        for path, method in described
        if method != "parameters"
    }
    assert described == routes


def test_description_is_complete() -> None:
    description = document(["small"])
    assert description["openapi"].startswith("3.1")
    schemas = {f"#/components/schemas/{name}" for name in description["components"]["schemas"]}
    assert set(references(description)) == schemas
    for path, entry in description["paths"].items():
        named = [parameter["name"] for parameter in entry.get("parameters", ())]
        assert named == [name for name in ("name", "version") if f"{{{name}}}" in path], path
        for method in entry.keys() - {"parameters"}:
            assert entry[method]["responses"].keys() == {"200", "4XX", "5XX"} and entry[method]["summary"]


def test_problems_finds_what_is_wrong() -> None:
    schemas = {"Row": {"type": "object", "properties": {"a": {"type": "string", "enum": ["x"]}}, "required": ["a"]}}
    row = {"$ref": "#/components/schemas/Row"}
    found = list(problems([{"a": "y"}, {"b": 1}, 5], {"type": "array", "items": row, "maxItems": 2}, schemas))
    assert found == [
        ": 3 items",
        "[0].a: 'y' is not one of ['x']",
        "[1]: no a",
        "[1].b: is not described",
        "[2]: 5 is not ['object']",
    ]


def test_answers_are_as_described() -> None:
    item = {"name": "item", "shape": [2], "datatype": "INT64", "data": [1, None], "parameters": {}}
    items = small_rows(3).select(["item", "price"]).to_pylist()
    bodies = {
        "infer": {"id": "a", "inputs": [item], "outputs": [{"name": "probs_kind"}, {"name": "probs_ctr"}]},
        "rank": {"user": {"user": "u1"}, "items": items, "context": {"place": [0.5, 1.0]}},
        "retrieve": {"user": {"user": "u1"}, "context": {"place": [0.5, 1.0]}, "k": 3},
    }
    with serving(exported_package()) as server:
        description = send(server, "GET", "/openapi.json")[1]
        schemas = description["components"]["schemas"]
        num_checked = 0
        for path, entry in description["paths"].items():
            for method in entry.keys() - {"parameters"}:
                body = bodies.get(path.rsplit("/", 1)[1])
                if body is not None:
                    wanted = entry[method]["requestBody"]["content"]["application/json"]["schema"]
                    assert list(problems(body, wanted, schemas)) == []
                answered = "4XX" if path.endswith("/retrieve") else "200"  # the package has no index
                for name, status in (("export", answered), ("nobody", "4XX")):
                    if name == "nobody" and "{name}" not in path:
                        continue
                    real = path.replace("{name}", name).replace("{version}", "1")
                    received, answer, _ = send(server, method.upper(), real, body)
                    assert received == 200 if status == "200" else 400 <= received < 500, (real, answer)
                    content = entry[method]["responses"][status].get("content", {})
                    if "application/json" in content:
                        schema = content["application/json"]["schema"]
                        assert list(problems(answer, schema, schemas, real)) == []
                        num_checked += 1
        assert send(server, "POST", "/v2/models/export/infer", {"inputs": []})[1].keys() == {"error"}
    assert description["paths"]["/v2/models/{name}"]["parameters"][0]["schema"]["enum"] == ["export"]
    assert num_checked > 20
