"""gRPC interface: version 2 of the Open Inference Protocol."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from tzrec.protos.serving import inference_pb2 as pb
from tzrec.server.admission import Admission, Ticket
from tzrec.server.errors import NOT_FOUND, TOO_LARGE, TOO_LATE, TOO_MANY, UNAUTHORIZED, UNAVAILABLE, RequestError
from tzrec.server.infer import InferRequest, refuse_extensions
from tzrec.server.request_lines import RequestLines
from tzrec.server.service import Service
from tzrec.server.tensors import BYTES, NamedTensor, check_shape, from_bytes, from_list, to_bytes
from tzrec.server.trace import RequestTrace, current_trace

_logger = logging.getLogger(__name__)
_CODES = {
    UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    TOO_MANY: grpc.StatusCode.RESOURCE_EXHAUSTED,
    UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    TOO_LATE: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_CAPITAL = re.compile("(?<!^)(?=[A-Z])")
_OK, _FAILED = 200, 500
_FAILURE = "the server failed; its log says why"
_OPEN = ("ServerLive", "ServerReady")
"""Methods that need no admission."""
_CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}
"""Field of the elements by datatype; FP16 exists in binary form only."""


class Rpc:
    """Methods of the gRPC service, named as in the proto but in lower case.

    Args:
        service: answers.
        lines: logs the requests.
        admission: decides which requests are answered.
    """

    def __init__(self, service: Service, lines: RequestLines, admission: Admission) -> None:
        self._service, self._lines, self._admission = service, lines, admission

    def handler(self) -> grpc.GenericRpcHandler:
        """The handler that a gRPC server is given."""
        service = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
        methods: dict[str, Any] = {}
        for method in service.methods:
            answer, message_class = (
                getattr(self, _CAPITAL.sub("_", method.name).lower()),
                GetMessageClass(method.input_type),
            )
            kind = grpc.unary_unary_rpc_method_handler
            if method.server_streaming:
                kind = grpc.stream_stream_rpc_method_handler
            methods[method.name] = kind(
                answer if method.server_streaming else self._answering(method.name, answer, message_class),
                response_serializer=GetMessageClass(method.output_type).SerializeToString,
            )
        return grpc.method_handlers_generic_handler(service.full_name, methods)

    def _admit(self, context: grpc.aio.ServicerContext) -> AbstractContextManager[Ticket]:
        return self._admission.admit(_authorization(context), context.peer().rpartition(":")[0])

    def _answering(
        self, name: str, method: Callable[[Any], Awaitable[Any]], message_class: Any
    ) -> Callable[[Any, Any], Awaitable[Any]]:
        """Make the handler of a method, which receives bytes: those that are no message are the fault of the client."""

        async def answer(data: bytes, context: grpc.aio.ServicerContext) -> Any:
            start, status, num_bytes = time.monotonic(), _OK, 0
            trace = RequestTrace("grpc", context.peer(), method.__name__)
            current_trace.set(trace)
            try:
                with nullcontext() if name in _OPEN else self._admit(context):
                    response = await method(_parse(message_class, data))
                num_bytes = response.ByteSize()
                return response
            except RequestError as error:
                status = error.status
                await context.abort(_CODES.get(status, grpc.StatusCode.INVALID_ARGUMENT), str(error))
            except Exception:
                status = _FAILED
                _logger.exception("serve  %s failed", name)
                await context.abort(grpc.StatusCode.INTERNAL, _FAILURE)
            finally:
                self._service.metrics.observe_request("grpc", status, time.monotonic() - start)
                self._lines.log(trace, status, num_bytes)

        return answer

    async def server_live(self, request: pb.ServerLiveRequest) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    async def server_ready(self, request: pb.ServerReadyRequest) -> pb.ServerReadyResponse:
        is_ready = self._service.repository.is_ready and not self._admission.is_draining
        return pb.ServerReadyResponse(ready=is_ready)

    async def model_ready(self, request: pb.ModelReadyRequest) -> pb.ModelReadyResponse:
        try:
            self._service.repository.get(request.name, request.version)
        except RequestError:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    async def server_metadata(self, request: pb.ServerMetadataRequest) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(**self._service.server_metadata())

    async def model_metadata(self, request: pb.ModelMetadataRequest) -> pb.ModelMetadataResponse:
        return pb.ModelMetadataResponse(**self._service.model_metadata(request.name, request.version))

    async def model_infer(self, request: pb.ModelInferRequest) -> pb.ModelInferResponse:
        for output in request.outputs:
            refuse_extensions("output", output.name, output.parameters)
        with self._service.metrics.stage("parse"):
            read = InferRequest(_inputs(request), {output.name: True for output in request.outputs}, id=request.id)
        model, outputs = await self._service.infer(request.model_name, request.model_version, read)
        with self._service.metrics.stage("write"):
            kind = pb.ModelInferResponse.InferOutputTensor
            tensors = [kind(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape) for tensor in outputs]
            return pb.ModelInferResponse(
                model_name=model.name,
                model_version=model.version,
                id=request.id,
                outputs=tensors,
                raw_output_contents=[to_bytes(tensor) for tensor in outputs],
            )

    async def model_stream_infer(
        self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.ModelStreamInferResponse]:
        """Answer the requests of a stream in their order; one that is refused does not end it."""
        async for data in requests:
            start, status, request = time.monotonic(), _OK, pb.ModelInferRequest()
            trace = RequestTrace("grpc", context.peer(), "model_stream_infer")
            current_trace.set(trace)
            try:
                with self._admit(context):
                    request = _parse(pb.ModelInferRequest, data)
                    answer = pb.ModelStreamInferResponse(infer_response=await self.model_infer(request))
            except RequestError as error:
                status = error.status
                answer = _refused(request.id, str(error))
            except Exception:
                status = _FAILED
                _logger.exception("serve  model_stream_infer failed")
                answer = _refused(request.id, _FAILURE)
            self._service.metrics.observe_request("grpc", status, time.monotonic() - start)
            self._lines.log(trace, status, answer.ByteSize())
            yield answer

    async def model_config(self, request: pb.ModelConfigRequest) -> pb.ModelConfigResponse:
        return pb.ModelConfigResponse(config=self._service.model_config(request.name, request.version))

    async def model_statistics(self, request: pb.ModelStatisticsRequest) -> pb.ModelStatisticsResponse:
        return pb.ModelStatisticsResponse(**self._service.model_statistics(request.name, request.version))

    async def repository_index(self, request: pb.RepositoryIndexRequest) -> pb.RepositoryIndexResponse:
        states = self._service.repository.index()
        kind = pb.RepositoryIndexResponse.ModelIndex
        return pb.RepositoryIndexResponse(
            models=[kind(**vars(state)) for state in states if state.state == "READY" or not request.ready]
        )

    async def repository_model_load(self, request: pb.RepositoryModelLoadRequest) -> pb.RepositoryModelLoadResponse:
        await self._service.change("load", request.model_name)
        return pb.RepositoryModelLoadResponse()

    async def repository_model_unload(
        self, request: pb.RepositoryModelUnloadRequest
    ) -> pb.RepositoryModelUnloadResponse:
        await self._service.change("unload", request.model_name)
        return pb.RepositoryModelUnloadResponse()


def _refused(request_id: str, reason: str) -> pb.ModelStreamInferResponse:
    return pb.ModelStreamInferResponse(error_message=reason, infer_response={"id": request_id})


def _parse(message_class: Any, data: bytes) -> Any:
    try:
        return message_class.FromString(data)
    except DecodeError:
        name = message_class.DESCRIPTOR.name
        raise RequestError(f"the request is no {name}: its bytes are no protobuf message of that type") from None


def _authorization(context: grpc.aio.ServicerContext) -> str:
    values = [value for name, value in context.invocation_metadata() or () if name == "authorization"]
    return str(values[0]) if values else ""


def _inputs(request: pb.ModelInferRequest) -> list[NamedTensor]:
    for entry in request.inputs:
        refuse_extensions("input", entry.name, entry.parameters)
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise RequestError(f"{len(raw)} raw_input_contents for {len(request.inputs)} inputs")
    tensors: list[NamedTensor] = []
    for index, entry in enumerate(request.inputs):
        datatype, shape = check_shape(entry.name, entry.datatype, list(entry.shape))
        if raw:
            tensors.append(from_bytes(entry.name, datatype, shape, raw[index]))
        elif datatype not in _CONTENTS:
            raise RequestError(f'input "{entry.name}": send {datatype} as raw_input_contents')
        else:
            values = list(getattr(entry.contents, _CONTENTS[datatype]))
            tensors.append(from_list(entry.name, datatype, shape, values))
    return tensors
