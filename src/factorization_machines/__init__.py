"""Factorization machines as a Python library: train, score, save and load models.

Knows nothing of /opt/ml, HTTP, AWS or Docker, and reads no environment variable. Importing it
loads none of torch, Numba and SciPy.
"""

__version__ = "0.1.0"
