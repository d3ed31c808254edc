"""Server: requests with raw columns in, scores of an exported package out, over REST and gRPC."""
