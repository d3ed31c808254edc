"""Baseline of the serving benchmark: the same network as TorchScript behind a handler of FastAPI.

It is what somebody who knows both writes in an afternoon: a typed body, ids parsed in Python, the user's ids repeated
for the items, a frozen script, one thread for each product, handlers in the threads of the framework.

    uvicorn --app-dir experiments/bench fastapi_app:app --port 8000
"""

from __future__ import annotations

import numpy as np
import torch
from fastapi import FastAPI
from plain import DIM, PlainMMoE
from pydantic import BaseModel
from torch import nn

from tzrec.tools.make_taobao import FEATURES

USER = [feature.name for feature in FEATURES if feature.owner == "user_id"]
ITEM = [feature.name for feature in FEATURES if feature.owner != "user_id"]
ROWS = {feature.name: feature.rows for feature in FEATURES}


class EmbeddedMMoE(nn.Module):
    """MMoE with an embedding of each column."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(ROWS[name], DIM) for name in (*USER, *ITEM))
        self.mmoe = PlainMMoE()

    def forward(self, ids: torch.Tensor) -> list[torch.Tensor]:
        embedded = [embedding(ids[:, i]) for i, embedding in enumerate(self.embeddings)]
        x = torch.cat(embedded, 1)  # (B, F D)
        return [torch.sigmoid(logits) for logits in self.mmoe(x, x)]


class RankBody(BaseModel):
    """Body of a request."""

    user: dict[str, str]
    items: list[dict[str, str]]


torch.set_num_threads(1)
torch.manual_seed(0)
module = EmbeddedMMoE().eval()
model = torch.jit.freeze(torch.jit.trace(module, torch.zeros(2, len(ROWS), dtype=torch.int64)))
app = FastAPI()


def encode(body: RankBody) -> np.ndarray:
    """Parse the ids, `(B, F)`; a missing or unknown one is 0."""
    user = [_parse(body.user, name) for name in USER]
    items = [[_parse(item, name) for name in ITEM] for item in body.items]
    return np.hstack([np.tile(user, (len(items), 1)), np.array(items)])


def _parse(values: dict[str, str], name: str) -> int:
    text = values.get(name, "")
    number = int(text) if text.isdigit() else 0
    return number if number < ROWS[name] else 0


@app.post("/rank")
def rank(body: RankBody) -> dict[str, list[float]]:
    """Score items for one user."""
    with torch.inference_mode():
        ctr, cvr = model(torch.from_numpy(encode(body)))
    return {"probs_ctr": ctr.tolist(), "probs_cvr": cvr.tolist()}
