"""Service: the operations of the server, which REST and gRPC offer alike."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tzrec.server.infer import InferRequest, select_outputs, to_rows
from tzrec.server.metrics import Metrics
from tzrec.server.model import ServedModel
from tzrec.server.repository import Repository
from tzrec.server.tensors import NamedTensor
from tzrec.version import __version__

SERVER = "tzrec"
EXTENSIONS = ("binary_tensor_data", "model_repository")


@dataclass(frozen=True)
class Service:
    """Operations on the models of a repository.

    Attributes:
        repository: the models.
        metrics: of the server.
    """

    repository: Repository
    metrics: Metrics

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

    async def infer(self, name: str, version: str, request: InferRequest) -> tuple[ServedModel, list[NamedTensor]]:
        """Score the rows of a request; returns the version that did, and the outputs.

        Raises:
            RequestError: the request cannot be answered.
        """
        model = self.repository.get(name, version)
        scores = await asyncio.wrap_future(model.submit(to_rows(request.inputs, model.predictor.columns)))
        return model, select_outputs(request, scores)

    async def predict(self, name: str, version: str, rows: pa.Table) -> pa.Table:
        """Score a table of raw columns.

        Raises:
            RequestError: the request cannot be answered.
        """
        model = self.repository.get(name, version)
        return await asyncio.wrap_future(model.submit(rows))

    async def rank(self, name: str, version: str, user: pa.Table, items: pa.Table) -> tuple[ServedModel, pa.Table]:
        """Score items for one user.

        Raises:
            RequestError: the request cannot be answered.
        """
        model = self.repository.get(name, version)
        return model, await asyncio.wrap_future(model.submit_rank(user, items))

    async def change(self, action: str, name: str) -> None:
        """Load or unload a model.

        Raises:
            RequestError: there is none, or it cannot be loaded.
        """
        actions: Mapping[str, Any] = {"load": self.repository.load, "unload": self.repository.unload}
        await asyncio.to_thread(actions[action], name)
