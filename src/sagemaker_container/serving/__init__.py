"""An endpoint over a model artifact: /ping, /invocations, /execution-parameters.

Loads neither torch nor numba nor scipy: a server has a second to start, and each worker its memory.
"""
