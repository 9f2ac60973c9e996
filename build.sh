#!/usr/bin/env bash
# Run one of the project's commands, from any folder; `./build.sh` alone lists them. The commands are in tools/, which
# needs nothing but Python and its standard library.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

for python in python3 python3.13 python3.12 python3.11 python3.10 ${PYTHON:+"$PYTHON"}; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
        exec "$python" -m tools "$@"
    fi
done
printf 'build.sh: no Python 3.10 or newer on PATH; set PYTHON to the path of one\n' >&2
exit 1
