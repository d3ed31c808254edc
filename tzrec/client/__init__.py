"""Client of `tzrec serve`: frames in, scores out, over REST or gRPC; it imports no torch."""

from tzrec.client.client import Client
from tzrec.client.errors import ServerError

__all__ = ["Client", "ServerError"]
