"""Client: scores of a model that a server answers with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from tzrec.client.errors import ServerError
from tzrec.client.transport import Answer, Attempts, Target, TlsFiles, Transport, Values
from tzrec.errors import DataError, SetupError, UsageError
from tzrec.serving.frames import as_table

_BATCH_ROWS = 8192
_MAX_RETRIEVED = 100_000
"""Items that a request may ask for by default, see `max_retrieved` of the config of a server."""


class Client:
    """Client of one model of a server: the methods of `tzrec.load(package)`, answered elsewhere. Threads may share it.

    A column that a frame lacks is missing, as an empty cell of the training data; columns that the model does not read
    are ignored.

    Args:
        url: address of the server: `http://host:8000`, `https://`, `grpc://host:8001` or `grpcs://` for gRPC with TLS.
        model: its name; empty for the only one of the server.
        version: of the model; empty for the one that the server answers with.
        timeout_s: time for a call, all attempts together; for each 8,192 rows of `predict`.
        num_retries: attempts after the first, where the server could not be reached, was not ready or had too much to
            do; other refusals are raised at once.
        token: of a server that asks for a bearer token.
        ca_file: certificates (PEM) that may sign that of the server; those of the system by default.
        cert_files: certificate of the client and its key (PEM), for a server that asks for one.

    Raises:
        UsageError: the address has another form.
        SetupError: httpx is missing, or grpcio for gRPC.

    Example:
        >>> client = Client("http://127.0.0.1:8000")
        >>> scores = client.rank({"user_id": 17}, [{"item_id": 5}, {"item_id": 8}]).to_pandas()
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        model: str = "",
        version: str = "",
        *,
        timeout_s: float = 5.0,
        num_retries: int = 2,
        token: str = "",
        ca_file: str | PathLike[str] | None = None,
        cert_files: tuple[str, str] | None = None,
    ) -> None:
        self._transport = _transport(url, token, TlsFiles(ca_file, cert_files))
        self._attempts = Attempts(timeout_s, num_retries)
        self._url, self._name, self._version = url, model, version

    @property
    def model(self) -> str:
        """Name of the model.

        Raises:
            UsageError: none was given, and the server has not exactly one.
            ServerError: the server does not answer.
        """
        if not self._name:
            names = self._attempts.run(self._transport.models)
            if len(names) != 1:
                raise UsageError(f"{self._url} has {len(names)} models ({', '.join(names)}); give the name of one")
            self._name = names[0]
        return self._name

    def is_ready(self) -> bool:
        """Return True if the server answers requests of the model."""
        try:
            self.metadata()
        except ServerError:
            return False
        return True

    def metadata(self) -> dict[str, Any]:
        """Name, versions, platform, inputs and outputs of the model, as the Open Inference Protocol describes them.

        Raises:
            ServerError: the server refuses, or does not answer.
        """
        return self._call(self._transport.metadata)

    def predict(self, frame: Any) -> pa.Table:
        """Score rows.

        Args:
            frame: a pyarrow Table or RecordBatch, a pandas or polars frame, any object with an Arrow C stream, or a
                dict of columns.

        Returns:
            one row for each row of the input, in its order; outputs in alphabetical order, float32 numbers or lists.

        Raises:
            DataError: it is not a frame, or has no rows.
            ServerError: the server refuses, or does not answer.
        """
        table = as_table(frame)
        if table.num_rows == 0:
            raise DataError("the table has no rows")
        return pa.concat_tables([self._call(self._transport.predict, rows) for rows in _slices(table, _BATCH_ROWS)])

    def rank(self, user: Any, items: Any, context: Mapping[str, Any] | None = None) -> pa.Table:
        """Score items for one user; the server encodes the features of the user once.

        Args:
            user: a dict of values, or a frame with one row.
            items: a list of dicts of values, or a frame with a row for each item.
            context: values that belong to the request and not to the person.

        Returns:
            one row for each item, in their order; see `predict`.

        Raises:
            DataError: the user is not one row, or there are no items.
            ServerError: the server refuses, or does not answer.
        """
        users = [user] if isinstance(user, Mapping) else _values(as_table(user))
        if len(users) != 1:
            raise DataError(f"the user is {len(users)} rows, not one")
        rows = items if isinstance(items, list) else _values(as_table(items))
        if not rows:
            raise DataError("there are no items")
        return self._call(self._transport.rank, {**users[0], **(context or {})}, rows)

    def retrieve(self, users: Any, k: int) -> pa.Table:
        """Find the items nearest to users, with the index of the package; over REST only.

        Args:
            users: a dict of values of one user, or a frame with a row for each.
            k: how many items to find for each.

        Returns:
            one row for each user, in their order, with the lists `ids` and `scores`, the best item first.

        Raises:
            DataError: it is not a frame, or has no rows.
            ServerError: the server refuses, or does not answer.
            UsageError: `k` is no whole number from 1 up, or the address is one of gRPC.
        """
        if type(k) is not int or k < 1:
            raise UsageError(f"retrieve: k must be a whole number from 1 up; received {k!r}")
        table = pa.Table.from_pylist([dict(users)]) if isinstance(users, Mapping) else as_table(users)
        if table.num_rows == 0:
            raise DataError("the table has no rows")
        num_users = max(1, min(_BATCH_ROWS, _MAX_RETRIEVED // k))
        return pa.concat_tables([self._call(self._transport.retrieve, rows, k) for rows in _slices(table, num_users)])

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, method: Callable[..., Answer], *arguments: Any) -> Answer:
        target = Target(self.model, self._version)
        return self._attempts.run(lambda left_s: method(target, *arguments, left_s))


def _transport(url: str, token: str, files: TlsFiles) -> Transport:
    scheme, host = urlsplit(url).scheme, urlsplit(url).netloc
    if scheme not in ("http", "https", "grpc", "grpcs") or not host:
        raise UsageError(f"{url!r} is no address of a server; give http://host:8000, https://, grpc:// or grpcs://")
    try:
        if scheme.startswith("http"):
            from tzrec.client.rest_transport import RestTransport

            return RestTransport(url, token, files)
        from tzrec.client.grpc_transport import GrpcTransport

        return GrpcTransport(host, scheme == "grpcs", token, files)
    except ModuleNotFoundError as error:
        raise SetupError(f"{error.name} is missing; run: pip install 'tzrec[client]'") from error


def _slices(table: pa.Table, num_rows: int) -> list[pa.Table]:
    return [table.slice(first, num_rows) for first in range(0, table.num_rows, num_rows)]


def _values(table: pa.Table) -> list[Values]:
    """Values of each row; maps are dicts."""
    rows: list[Values] = table.to_pylist()
    maps = [field.name for field in table.schema if pa.types.is_map(field.type)]
    return [{**row, **{name: dict(row[name]) for name in maps if row[name] is not None}} for row in rows]
