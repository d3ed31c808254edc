"""The model that both servers answer with: an input of each datatype, and two outputs."""

from __future__ import annotations

MODEL = "typed"
NUMBERS = (
    *("BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"),
    *("FP16", "FP32", "FP64"),
)
DATATYPES = (*NUMBERS, "BYTES")
OUTPUTS = ("logits_ctr", "probs_ctr")
