"""Numba code: the training step and its parts, and MXNet's random numbers.

Imports nothing of this project outside this package. Summation orders are fixed, so the result does
not depend on the number of threads.
"""
