"""Certificates of a server, for REST and gRPC."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import grpc

from tzrec.errors import UsageError
from tzrec.protos.serve_pb2 import TlsConfig


def uvicorn_options(config: TlsConfig) -> dict[str, Any]:
    """Options of uvicorn's `Config`.

    Raises:
        UsageError: a file cannot be read, or is none of its kind; names the field.
    """
    _check(config)
    options: dict[str, Any] = {"ssl_certfile": config.cert_path, "ssl_keyfile": config.key_path}
    if config.HasField("client_ca_path"):
        options |= {"ssl_ca_certs": config.client_ca_path, "ssl_cert_reqs": ssl.CERT_REQUIRED}
    return options


def grpc_credentials(config: TlsConfig) -> grpc.ServerCredentials:
    """Credentials of a gRPC server."""
    key, cert = (Path(path).read_bytes() for path in (config.key_path, config.cert_path))
    authorities = Path(config.client_ca_path).read_bytes() if config.HasField("client_ca_path") else None
    return grpc.ssl_server_credentials([(key, cert)], authorities, authorities is not None)


def _check(config: TlsConfig) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name in ("cert_path", "key_path", "client_ca_path"):
        path = getattr(config, name)
        if config.HasField(name) and not Path(path).is_file():
            raise UsageError(f"tls.{name}: {path} does not exist; give a PEM file")
    try:
        context.load_cert_chain(config.cert_path, config.key_path, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        pair = f"tls.cert_path {config.cert_path} and tls.key_path {config.key_path}"
        raise UsageError(
            f"{pair} are no certificate and its private key: {error}; give PEM files of one pair"
        ) from None
    try:
        if config.HasField("client_ca_path"):
            context.load_verify_locations(config.client_ca_path)
    except (ssl.SSLError, OSError) as error:
        raise UsageError(f"tls.client_ca_path {config.client_ca_path} has no certificates in PEM: {error}") from None
