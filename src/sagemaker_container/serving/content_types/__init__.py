"""The formats of requests and responses: the tables DECODERS and ENCODERS, by content type.

Uses NumPy and orjson, but neither Numba nor SciPy, which take long to import.
"""
