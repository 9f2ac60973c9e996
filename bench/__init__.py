"""What is measured, and against whom: `python -m bench` prints it, `./build.sh bench` runs that.

Each part is a module with `run(bench)`; a peer that cannot be had is skipped with a word.
"""
