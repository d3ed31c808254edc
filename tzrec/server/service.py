"""Service: the operations of the server, which REST and gRPC offer alike."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tzrec.server.errors import RequestError
from tzrec.server.infer import InferRequest, ensure_known, select_columns, select_outputs, to_rows
from tzrec.server.metrics import Metrics
from tzrec.server.model import ServedModel
from tzrec.server.repository import READY, Repository
from tzrec.server.retrieve import first_items
from tzrec.server.stores.completer import Completer
from tzrec.server.tensors import BYTES, NamedTensor
from tzrec.server.trace import current_trace
from tzrec.version import __version__

SERVER = "tzrec"
EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")


@dataclass(frozen=True)
class Service:
    """Operations on the models of a repository.

    Attributes:
        repository: the models.
        metrics: of the server.
        completer: adds the columns of feature stores to requests.
        max_retrieved: items that a request may retrieve, users times k.
    """

    repository: Repository
    metrics: Metrics
    completer: Completer
    max_retrieved: int

    def server_metadata(self) -> dict[str, Any]:
        """Name, version and extensions of the server."""
        return {"name": SERVER, "version": __version__, "extensions": list(EXTENSIONS)}

    def model_metadata(self, name: str, version: str = "") -> dict[str, Any]:
        """Versions, inputs and outputs of a model.

        Raises:
            RequestError: there is no such model or version.
        """
        model = self.repository.get(name, version)
        return {
            "name": name,
            "versions": self.repository.versions(name),
            "platform": f"{SERVER}_{model.manifest.model}",
            "inputs": model.inputs,
            "outputs": model.outputs,
        }

    def model_config(self, name: str, version: str = "") -> dict[str, Any]:
        """Configuration of a model in the words of Triton: what `model_metadata` has, as other clients read it.

        Raises:
            RequestError: there is no such model or version.
        """
        metadata = self.model_metadata(name, version)
        return {
            "name": name,
            "platform": metadata["platform"],
            "backend": SERVER,
            "max_batch_size": 0,  # the shapes contain the rows
            "input": [{**_configured(entry), "optional": True} for entry in metadata["inputs"]],
            "output": [_configured(entry) for entry in metadata["outputs"]],
        }

    def model_statistics(self, name: str = "", version: str = "") -> dict[str, Any]:
        """Counts of each loaded version.

        Args:
            name: of a model; empty for all.
            version: of the model; empty for all.

        Raises:
            RequestError: there is no such model or version.
        """
        if name:
            self.repository.get(name, version)
        states = [state for state in self.repository.index() if state.state == READY]
        selected = [state for state in states if name in ("", state.name) and version in ("", state.version)]
        models = [self.repository.get(state.name, state.version) for state in selected]
        return {
            "model_stats": [
                {"name": model.name, "version": model.version, **model.statistics.snapshot()} for model in models
            ]
        }

    async def infer(self, name: str, version: str, request: InferRequest) -> tuple[ServedModel, list[NamedTensor]]:
        """Score the rows of a request; returns the version that did, and the outputs.

        Raises:
            RequestError: the request cannot be answered.
        """
        trace = current_trace.get()
        if trace is not None:
            trace.id = request.id
        with self.repository.using(name, version) as model:
            columns = model.predictor.columns
            rows = to_rows(request.inputs, (*columns, *self.completer.keys))
            scores = await asyncio.wrap_future(model.submit(await self._completed(rows, columns)))
            return model, select_outputs(request, scores)

    async def predict(self, name: str, version: str, rows: pa.Table) -> pa.Table:
        """Score a table of raw columns.

        Raises:
            RequestError: the request cannot be answered.
        """
        with self.repository.using(name, version) as model:
            return await asyncio.wrap_future(model.submit(await self._completed(rows, model.predictor.columns)))

    async def rank(self, name: str, version: str, user: pa.Table, items: pa.Table) -> tuple[ServedModel, pa.Table]:
        """Score items for one user.

        Raises:
            RequestError: the request cannot be answered.
        """
        with self.repository.using(name, version) as model:
            columns = model.predictor.columns
            if items.num_rows:
                ensure_known("the items have", items.column_names, columns, self.completer.keys)
            user, items = await self.completer.complete([user, items], columns)
            return model, await asyncio.wrap_future(model.submit_rank(user, items))

    async def retrieve(self, name: str, version: str, users: pa.Table, k: int) -> tuple[ServedModel, pa.Table]:
        """Find the k items nearest to each user; returns the version that did, and `ids` and `scores`.

        Raises:
            RequestError: the request cannot be answered.
        """
        if users.num_rows * k > self.max_retrieved:
            text = f"{users.num_rows} users and k = {k} are more than {self.max_retrieved} items"
            raise RequestError(f"{text}; ask for fewer, or raise max_retrieved in the config of the server")
        with self.repository.using(name, version) as model:
            users = await self._completed(users, model.predictor.columns)
            found_items = await asyncio.wrap_future(model.submit_retrieval(users, k))
            return model, first_items(found_items, k)

    async def _completed(self, rows: pa.Table, columns: Sequence[str]) -> pa.Table:
        """Rows with the columns that a model reads, of the request or of the feature stores."""
        rows = select_columns(rows, columns, self.completer.keys)
        (rows,) = await self.completer.complete([rows], columns)
        return rows

    async def change(self, action: str, name: str) -> None:
        """Load or unload a model.

        Raises:
            RequestError: there is none, or it cannot be loaded.
        """
        actions: Mapping[str, Any] = {"load": self.repository.load, "unload": self.repository.unload}
        await asyncio.to_thread(actions[action], name)


def _configured(tensor: Mapping[str, Any]) -> dict[str, Any]:
    """Description of a tensor in the words of Triton's configuration."""
    datatype = "STRING" if tensor["datatype"] == BYTES else tensor["datatype"]
    return {"name": tensor["name"], "data_type": f"TYPE_{datatype}", "dims": tensor["shape"]}
