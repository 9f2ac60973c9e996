"""Backends: a container's command runs in Docker, or as a process of this machine.

`base` states what a backend offers; each backend is one file; `selection` alone chooses.
"""
