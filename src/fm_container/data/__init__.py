"""Bytes to sparse rows and back: RecordIO-protobuf, and the formats of requests.

Reads no environment variable and no file that it was not given. Imports only `errors` and `jit`.
"""
