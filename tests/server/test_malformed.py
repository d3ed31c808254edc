"""Malformed requests of all kinds are refused as such, and the server goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from random import Random

import grpc
import pytest

from tests.chaos.serve.malformed import GRPC, HTTP, INFER, ITEM, MODEL, Malformed
from tests.fixtures.servers import send, serving
from tests.fixtures.small_model import exported_package
from tzrec.server.run import Server

SEEDS = range(4)
GOOD = {"inputs": [ITEM]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("models") / MODEL
    shutil.copytree(exported_package(), root)
    with serving(root) as server:
        yield server


@pytest.fixture(scope="module")
def scores(server: Server) -> object:
    return send(server, "POST", INFER, GOOD)[1]


@pytest.mark.parametrize("kind", HTTP, ids=lambda kind: kind.name)
def test_malformed_request_is_refused_with_a_reason(server: Server, scores: object, kind: Malformed) -> None:
    for seed in SEEDS:
        request = kind.make(Random(seed))
        headers = {
            name.replace("-", "_"): value.encode("latin-1").decode("latin-1") for name, value in request.headers.items()
        }
        status, answer, _ = send(server, request.method, request.path, request.body, **headers)
        assert status in kind.statuses, (seed, answer)
        assert status == 200 or answer["error"]
    assert send(server, "POST", INFER, GOOD)[:2] == (200, scores)


@pytest.mark.parametrize("make", GRPC, ids=lambda make: make.__name__)
def test_malformed_message_is_refused_with_a_reason(server: Server, make: Callable[[Random], bytes]) -> None:
    codes = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        for seed in SEEDS:
            with pytest.raises(grpc.RpcError) as raised:
                channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(make(Random(seed)), timeout=60)
            assert raised.value.code() in codes and raised.value.details()
