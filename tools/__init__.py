"""The commands of build.sh, which need nothing but Python and its standard library."""

import sys
from pathlib import Path

# Some of them are commands of the package as well; build.sh runs them before it is installed.
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
