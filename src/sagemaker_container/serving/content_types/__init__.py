"""The formats of requests and answers: one table from content type to reader, one to writer.

Plain numpy and orjson, without numba or scipy: a server loads this, and has a second to start.
"""
