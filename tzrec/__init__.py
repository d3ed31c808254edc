"""tzrec: recommendation models from a protobuf text config, built on PyTorch and TorchRec."""

__version__ = "0.1.0"
