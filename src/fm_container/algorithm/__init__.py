"""The factorization machine itself: scores, losses, updates, metrics.

Reads no environment variable and no file. Imports only `errors` and `jit`; numpy arrays come in,
numpy arrays go out, and torch stays inside `model`, `optimizer` and `torch_engine`.
"""
