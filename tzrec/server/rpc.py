"""gRPC interface: version 2 of the Open Inference Protocol."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from tzrec.protos.serving import inference_pb2 as pb
from tzrec.server.errors import NOT_FOUND, TOO_LARGE, TOO_LATE, TOO_MANY, UNAVAILABLE, RequestError
from tzrec.server.infer import InferRequest, refuse_extensions
from tzrec.server.request_lines import RequestLines
from tzrec.server.service import Service
from tzrec.server.tensors import BYTES, NamedTensor, check_shape, from_bytes, from_list, to_bytes
from tzrec.server.trace import RequestTrace, current_trace

_logger = logging.getLogger(__name__)
_CODES = {
    NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    TOO_MANY: grpc.StatusCode.RESOURCE_EXHAUSTED,
    UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    TOO_LATE: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_CAPITAL = re.compile("(?<!^)(?=[A-Z])")
_OK, _FAILED = 200, 500
_FAILURE = "the server failed; its log says why"
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
    """

    def __init__(self, service: Service, lines: RequestLines) -> None:
        self._service, self._lines = service, lines

    def handler(self) -> grpc.GenericRpcHandler:
        """The handler that a gRPC server is given."""
        service = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
        methods = {}
        for method in service.methods:
            answer = getattr(self, _CAPITAL.sub("_", method.name).lower())
            kind = grpc.unary_unary_rpc_method_handler
            if method.server_streaming:
                kind = grpc.stream_stream_rpc_method_handler
            methods[method.name] = kind(
                answer if method.server_streaming else self._answering(answer),
                request_deserializer=GetMessageClass(method.input_type).FromString,
                response_serializer=GetMessageClass(method.output_type).SerializeToString,
            )
        return grpc.method_handlers_generic_handler(service.full_name, methods)

    def _answering(self, method: Callable[[Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
        async def answer(request: Any, context: grpc.aio.ServicerContext) -> Any:
            start, status, num_bytes = time.monotonic(), _OK, 0
            trace = RequestTrace("grpc", context.peer(), method.__name__)
            current_trace.set(trace)
            try:
                response = await method(request)
                num_bytes = response.ByteSize()
                return response
            except RequestError as error:
                status = error.status
                await context.abort(_CODES.get(status, grpc.StatusCode.INVALID_ARGUMENT), str(error))
            except Exception:
                status = _FAILED
                _logger.exception("serve  %s failed", method.__name__)
                await context.abort(grpc.StatusCode.INTERNAL, _FAILURE)
            finally:
                self._service.metrics.observe_request("grpc", status, time.monotonic() - start)
                self._lines.log(trace, status, num_bytes)

        return answer

    async def server_live(self, request: pb.ServerLiveRequest) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    async def server_ready(self, request: pb.ServerReadyRequest) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=self._service.repository.is_ready)

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
        self, requests: AsyncIterator[pb.ModelInferRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.ModelStreamInferResponse]:
        """Answer the requests of a stream in their order; one that is refused does not end it."""
        async for request in requests:
            start, status = time.monotonic(), _OK
            trace = RequestTrace("grpc", context.peer(), "model_stream_infer")
            current_trace.set(trace)
            try:
                answer = pb.ModelStreamInferResponse(infer_response=await self.model_infer(request))
            except RequestError as error:
                status = error.status
                answer = _refused(request, str(error))
            except Exception:
                status = _FAILED
                _logger.exception("serve  model_stream_infer failed")
                answer = _refused(request, _FAILURE)
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


def _refused(request: pb.ModelInferRequest, reason: str) -> pb.ModelStreamInferResponse:
    return pb.ModelStreamInferResponse(error_message=reason, infer_response={"id": request.id})


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
