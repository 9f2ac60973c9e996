"""Numba code: the training step and its parts, and MXNet's random numbers.

Imports nothing of this project outside this package. Each function has fixed summation orders, so
that the result does not depend on the number of threads.
"""
