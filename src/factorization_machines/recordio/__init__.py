"""RecordIO framing and the `aialgs.data.Record` message: the only package that knows both formats.

One decoder (`parser`, `record`, `protobuf`, `framing`) reads every legal encoding: compiled for
channels, as Python for requests. `batch` decodes common request bodies with NumPy.
"""
