"""A Flask application over a model artifact: /ping, /invocations, /execution-parameters.

Imports neither torch nor Numba nor SciPy, so that an endpoint starts in less than a second and a
worker needs little memory.
"""
