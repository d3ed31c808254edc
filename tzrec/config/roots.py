"""Messages that are the root of a config file: of a pipeline, and of a server."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.descriptor import Descriptor

from tzrec.config.schema import descriptor_of
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.protos.serve_pb2 import ServeConfig

ROOTS: Sequence[Descriptor] = (descriptor_of(EasyRecConfig), descriptor_of(ServeConfig))
