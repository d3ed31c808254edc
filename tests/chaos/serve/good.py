"""Requests whose scores are known for each variant of the package of `small_model`, in all forms of the protocol."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa

from tests.chaos.serve.malformed import INFER, RANK, HttpRequest
from tests.fixtures.small_model import small_rows
from tzrec.protos.serving import inference_pb2 as pb
from tzrec.server.arrow_body import ARROW, write_arrow
from tzrec.serving.predictor import load

TOLERANCE = 1e-5
Scores = Mapping[str, np.ndarray]
_DATATYPES = {"string": "BYTES", "int64": "INT64", "double": "FP64"}


@dataclass(frozen=True)
class Good:
    """A request that has to be answered.

    Attributes:
        form: of the protocol: "json", "arrow", "rank" or "grpc".
        request: over HTTP; for "grpc" its body is the message.
        expected: scores of each variant.
    """

    form: str
    request: HttpRequest
    expected: Sequence[Scores]

    def is_right(self, version: int | None, scores: Scores) -> bool:
        """True if scores are those of a version, or of any one if the answer does not say which."""
        variants = self.expected if version is None else [self.expected[version % len(self.expected)]]
        return any(_is_close(scores, expected) for expected in variants)


def _is_close(scores: Scores, expected: Scores) -> bool:
    return scores.keys() == expected.keys() and all(
        scores[name].shape == values.shape and np.allclose(scores[name], values, rtol=0, atol=TOLERANCE)
        for name, values in expected.items()
    )


def good_requests(variants: Sequence[Path], number: int, seed: int) -> list[Good]:
    """Make requests of random sizes and forms."""
    rng, predictors = Random(seed), [load(path) for path in variants]

    def expected(rows: pa.Table) -> list[Scores]:
        answers = [predictor.predict(rows) for predictor in predictors]
        return [{name: _array(answer[name]) for name in answer.column_names} for answer in answers]

    forms = list(_FORMS)
    requests = []
    for index in range(number):
        form = forms[index % len(forms)]
        rows, request = _FORMS[form](small_rows(rng.choice([1, 2, 7, 30, 200])))
        requests.append(Good(form, request, expected(rows)))
    return requests


def read_answer(form: str, content: Any) -> tuple[int | None, Scores]:
    """Read the version and the scores of an answer."""
    if form == "arrow":
        table = pa.ipc.open_stream(content).read_all()
        return None, {name: _array(table[name]) for name in table.column_names}
    if form == "grpc":
        answer = pb.ModelInferResponse.FromString(content)
        pairs = zip(answer.outputs, answer.raw_output_contents, strict=True)
        scores = {output.name: np.frombuffer(raw, "<f4").reshape(tuple(output.shape)) for output, raw in pairs}
        return int(answer.model_version), scores
    value = json.loads(content)
    if form == "rank":
        return int(value["model_version"]), {name: np.array(data) for name, data in value["outputs"].items()}
    outputs = value["outputs"]
    scores = {output["name"]: np.array(output["data"]).reshape(output["shape"]) for output in outputs}
    return int(value["model_version"]), scores


def _array(column: pa.ChunkedArray) -> np.ndarray:
    return np.array(column.to_pylist(), np.float32)


def _flat(rows: pa.Table) -> pa.Table:
    """Columns of single values; the others are missing in the request."""
    names = [name for name in rows.column_names if str(rows.schema.field(name).type) in _DATATYPES and name != "row"]
    return rows.select(names)


def _completed(flat: pa.Table, rows: pa.Table) -> pa.Table:
    columns = [
        flat[name] if name in flat.column_names else pa.nulls(len(rows), rows[name].type) for name in rows.column_names
    ]
    return pa.table(columns, rows.column_names)


def _json(rows: pa.Table) -> tuple[pa.Table, HttpRequest]:
    flat = _flat(rows)
    inputs = [
        {
            "name": name,
            "shape": [len(rows)],
            "datatype": _DATATYPES[str(flat.schema.field(name).type)],
            "data": flat[name].to_pylist(),
        }
        for name in flat.column_names
    ]
    return _completed(flat, rows), HttpRequest(json.dumps({"inputs": inputs}).encode(), INFER)


def _arrow(rows: pa.Table) -> tuple[pa.Table, HttpRequest]:
    return rows, HttpRequest(write_arrow(rows), INFER, {"Content-Type": ARROW})


def _rank(rows: pa.Table) -> tuple[pa.Table, HttpRequest]:
    user = rows.select(["user", "friend", "clicks__item", "clicks__tags", "clicks__price"]).slice(0, 1).to_pylist()[0]
    items = rows.select(["item", "price", "tags"]).to_pylist()
    completed = pa.Table.from_pylist([{**user, **item} for item in items], rows.schema)
    return completed, HttpRequest(json.dumps({"user": user, "items": items}).encode(), RANK)


def _grpc(rows: pa.Table) -> tuple[pa.Table, HttpRequest]:
    flat = _flat(rows).select(["item", "price", "friend"])
    message = pb.ModelInferRequest(model_name="small")
    for name in flat.column_names:
        values = flat[name].to_pylist()
        datatype = _DATATYPES[str(flat.schema.field(name).type)]
        message.inputs.add(name=name, datatype=datatype, shape=[len(values)])
        if datatype == "BYTES":
            raw = b"".join(len(text).to_bytes(4, "little") + text.encode() for text in values)
        else:
            raw = np.array(values, {"INT64": "<i8", "FP64": "<f8"}[datatype]).tobytes()
        message.raw_input_contents.append(raw)
    return _completed(flat, rows), HttpRequest(message.SerializeToString())


_FORMS: Mapping[str, Callable[[pa.Table], tuple[pa.Table, HttpRequest]]] = {
    "json": _json,
    "arrow": _arrow,
    "rank": _rank,
    "grpc": _grpc,
}
