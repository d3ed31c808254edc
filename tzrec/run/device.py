"""Device on which a config runs. Importing this module does not import torch."""

from __future__ import annotations


def available_device() -> str:
    """Return the device type that training and evaluation use on this machine: "cuda" or "cpu"."""
    import torch  # takes seconds, and reads the environment

    return "cuda" if torch.cuda.is_available() else "cpu"
