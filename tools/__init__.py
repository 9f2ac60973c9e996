"""The commands of build.sh. They make .venv, so they need only Python 3.10 and its library."""
