"""Run a server until it is told to stop."""

from __future__ import annotations

import asyncio
import math
import resource
import signal
import threading
from contextlib import AbstractContextManager, nullcontext

import grpc
import pyarrow as pa
import torch
import uvicorn

from tzrec import env
from tzrec.errors import TzrecError, UsageError
from tzrec.log import logger
from tzrec.protos.serve_pb2 import ServeConfig
from tzrec.run.matmul import Processor, use_backend
from tzrec.server.admission import Admission, Tokens
from tzrec.server.http_protocol import limited
from tzrec.server.metrics import Metrics
from tzrec.server.repository import Repository
from tzrec.server.request_lines import RequestLines, TracedApp
from tzrec.server.request_logger import RequestLogger
from tzrec.server.rest import Rest
from tzrec.server.rpc import Rpc
from tzrec.server.service import Service
from tzrec.server.stores.build import build_stores
from tzrec.server.stores.completer import Completer
from tzrec.server.stores.store_metrics import StoreMetrics
from tzrec.server.tls import grpc_credentials, uvicorn_options

_POLL_STOP_S = 0.05
_SPARE_FILES = 512
"""Files that a server opens beside its connections."""


class _HttpServer(uvicorn.Server):
    """HTTP server that leaves the signals to `Server`: uvicorn raises them again, which would skip the shutdown."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()


class Server:
    """A server; threads other than that of `run` may stop it.

    Args:
        config: of the server, with a `model_path`.

    Attributes:
        http_port: on which it listens, once `is_listening` is set.
        grpc_port: the same for gRPC.
        is_listening: set when requests are answered.

    Raises:
        UsageError: there is no package, or a file that the config names cannot be used.
        PackageError: no package can be loaded.
        ConfigError: a feature store is not described completely.
        DataError: the files of a feature store are missing or cannot be read.
        StoreError: a feature store cannot be opened.
    """

    def __init__(self, config: ServeConfig) -> None:
        self._config = config
        tls = uvicorn_options(config.tls) if config.HasField("tls") else {}
        tokens = Tokens(config.token_path) if config.HasField("token_path") else None
        self._admission = Admission(config.request_limits, tokens)
        _respect_machine(config)
        metrics = Metrics(config.feature_statistics)
        self._request_logger = None
        if config.HasField("request_log"):
            self._request_logger = RequestLogger(config.request_log, metrics.registry)
        access_log = config.access_log if config.HasField("access_log") else None
        self._lines = RequestLines(access_log, config.slow_request_ms)
        completer = Completer(build_stores(config.feature_stores), StoreMetrics(metrics.registry))
        repository = Repository(config, metrics, self._request_logger)
        self.service = Service(repository, metrics, completer, config.max_retrieved)
        http = uvicorn.Config(
            TracedApp(Rest(self.service, self._admission).app(), self._lines),
            host=config.host,
            port=config.http_port,
            http=limited(config.request_limits),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_keep_alive=math.ceil(config.request_limits.keep_alive_s),
            timeout_graceful_shutdown=math.ceil(config.shutdown.grace_s),
            **tls,
        )
        self._http = _HttpServer(http)
        self.http_port, self.grpc_port = config.http_port, config.grpc_port
        self.is_listening = threading.Event()

    def run(self) -> None:
        """Answer requests until SIGTERM, SIGINT or `stop`; requests in flight are then answered first.

        Raises:
            UsageError: a port is taken.
        """
        try:
            asyncio.run(self._run())
        finally:
            self.service.repository.close()
            self.service.completer.close()
            self._close_logs()

    def _close_logs(self) -> None:
        self.service.metrics.features.close()
        self._lines.close()
        if self._request_logger is not None:
            self._request_logger.close()

    def stop(self) -> None:
        """Let `run` end: health/ready is 503 from now on, and after `shutdown.drain_s` no request is accepted."""
        self._admission.is_draining = True

    def _on_signal(self) -> None:
        if self._admission.is_draining:
            self._http.force_exit = True
        else:
            logger.info("serve  stopping: answering the requests in flight (press Ctrl-C again to exit now)")
        self.stop()

    async def _run(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        rpc = self._rpc()
        await rpc.start()
        tasks = [asyncio.create_task(job) for job in (self._watch(), self._announce(), self._wait_for_stop(rpc))]
        try:
            await self._http.serve()
        except SystemExit:
            taken = f"port {self._config.http_port} of {self._config.host} is taken"
            raise UsageError(f"{taken}; choose another --http_port") from None
        finally:
            for task in tasks:
                task.cancel()
            await rpc.stop(0 if self._http.force_exit else self._config.shutdown.grace_s)

    async def _wait_for_stop(self, rpc: grpc.aio.Server) -> None:
        """Stop accepting requests once the server drains, and the time for it is over."""
        while not self._admission.is_draining:
            await asyncio.sleep(_POLL_STOP_S)
        until = asyncio.get_running_loop().time() + self._config.shutdown.drain_s
        while asyncio.get_running_loop().time() < until and not self._http.force_exit:
            await asyncio.sleep(_POLL_STOP_S)
        self._http.should_exit = True
        await rpc.stop(self._config.shutdown.grace_s)

    def _rpc(self) -> grpc.aio.Server:
        config = self._config
        limits = [
            ("grpc.max_receive_message_length", config.request_limits.max_body_bytes),
            ("grpc.max_send_message_length", -1),
        ]
        rpc = grpc.aio.server(options=[*limits, ("grpc.so_reuseport", 0)])
        rpc.add_generic_rpc_handlers((Rpc(self.service, self._lines, self._admission).handler(),))
        address = f"{config.host}:{config.grpc_port}"
        try:
            if config.HasField("tls"):
                self.grpc_port = rpc.add_secure_port(address, grpc_credentials(config.tls))
            else:
                self.grpc_port = rpc.add_insecure_port(address)
        except RuntimeError:
            taken = f"port {config.grpc_port} of {config.host} is taken"
            raise UsageError(f"{taken}; choose another --grpc_port") from None
        return rpc

    async def _announce(self) -> None:
        """Log the addresses once the server listens."""
        while not self._http.started:
            await asyncio.sleep(0.01)
        self.http_port = self._http.servers[0].sockets[0].getsockname()[1]
        host, scheme = self._config.host, "https" if self._config.HasField("tls") else "http"
        logger.info("serve  %s://%s:%d and grpc://%s:%d", scheme, host, self.http_port, host, self.grpc_port)
        self.is_listening.set()

    async def _watch(self) -> None:
        """Look for new versions, and for new tokens."""
        while True:
            await asyncio.sleep(self._config.versions.poll_s)
            await asyncio.to_thread(self._refresh)

    def _refresh(self) -> None:
        try:
            self._admission.refresh()
            self.service.repository.refresh()
        except TzrecError as error:  # such as a store that does not answer: the loaded versions go on
            logger.error("serve  no new versions can be looked for: %s", error)
        except Exception:
            logger.exception("serve  no new versions can be looked for")


def _respect_machine(config: ServeConfig) -> None:
    """Use as many threads as the container has cores, and allow as many files as there may be connections."""
    num_threads = min(torch.get_num_threads(), env.available_cpus())
    torch.set_num_threads(num_threads)
    pa.set_cpu_count(num_threads)
    use_backend(Processor.read().backend)  # for matrix products, the library that training uses by default
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = config.request_limits.max_connections + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (needed if hard == resource.RLIM_INFINITY else min(needed, hard), hard)
        )
