"""Run a server until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import AbstractContextManager, nullcontext

import grpc
import uvicorn

from tzrec.errors import UsageError
from tzrec.log import logger
from tzrec.protos.serve_pb2 import ServeConfig
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

_GRACE_S = 30


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
        UsageError: there is no package.
        PackageError: no package can be loaded.
        ConfigError: a feature store is not described completely.
        DataError: the files of a feature store are missing or cannot be read.
        StoreError: a feature store cannot be opened.
    """

    def __init__(self, config: ServeConfig) -> None:
        self._config = config
        metrics = Metrics(config.feature_statistics)
        self._request_logger = None
        if config.HasField("request_log"):
            self._request_logger = RequestLogger(config.request_log, metrics.registry)
        access_log = config.access_log if config.HasField("access_log") else None
        self._lines = RequestLines(access_log, config.slow_request_ms)
        completer = Completer(build_stores(config.feature_stores), StoreMetrics(metrics.registry))
        self.service = Service(Repository(config, metrics, self._request_logger), metrics, completer)
        http = uvicorn.Config(
            TracedApp(Rest(self.service, config.request_limits).app(), self._lines),
            host=config.host,
            port=config.http_port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_GRACE_S,
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
        """Let `run` end."""
        self._http.should_exit = True

    async def _run(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, self.stop)
        rpc = self._rpc()
        await rpc.start()
        tasks = [asyncio.create_task(job) for job in (self._watch(), self._announce())]
        try:
            await self._http.serve()
        except SystemExit:
            taken = f"port {self._config.http_port} of {self._config.host} is taken"
            raise UsageError(f"{taken}; choose another --http_port") from None
        finally:
            for task in tasks:
                task.cancel()
            await rpc.stop(_GRACE_S)

    def _rpc(self) -> grpc.aio.Server:
        config = self._config
        limits = [
            ("grpc.max_receive_message_length", config.request_limits.max_body_bytes),
            ("grpc.max_send_message_length", -1),
        ]
        rpc = grpc.aio.server(options=[*limits, ("grpc.so_reuseport", 0)])
        rpc.add_generic_rpc_handlers((Rpc(self.service, self._lines).handler(),))
        try:
            self.grpc_port = rpc.add_insecure_port(f"{config.host}:{config.grpc_port}")
        except RuntimeError:
            taken = f"port {config.grpc_port} of {config.host} is taken"
            raise UsageError(f"{taken}; choose another --grpc_port") from None
        return rpc

    async def _announce(self) -> None:
        """Log the addresses once the server listens."""
        while not self._http.started:
            await asyncio.sleep(0.01)
        self.http_port = self._http.servers[0].sockets[0].getsockname()[1]
        host = self._config.host
        logger.info("serve  http://%s:%d and grpc://%s:%d", host, self.http_port, host, self.grpc_port)
        self.is_listening.set()

    async def _watch(self) -> None:
        """Look for new versions."""
        while True:
            await asyncio.sleep(self._config.versions.poll_s)
            await asyncio.to_thread(self.service.repository.refresh)
