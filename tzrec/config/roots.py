"""Messages that are the root of a config file: of a pipeline, of a server, and of a study."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.descriptor import Descriptor

from tzrec.config.schema import descriptor_of
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.protos.serve_pb2 import ServeConfig
from tzrec.protos.tune_pb2 import TuneConfig

ROOTS: Sequence[Descriptor] = tuple(map(descriptor_of, (EasyRecConfig, ServeConfig, TuneConfig)))
