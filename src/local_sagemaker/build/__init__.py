"""Makes what the commands need: environments of SDKs, and the container images.

Uses the standard library only, because `build.sh` runs it before anything is installed.
"""
