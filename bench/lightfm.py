"""LightFM's logistic loss: a factorization machine of a user and an item."""

import json
from collections.abc import Mapping
from pathlib import Path

from bench import peers


def epochs(
    file: Path, parameters: Mapping[str, object], count: int, threads: int
) -> list[dict[str, float]]:
    """Return seconds, loss and accuracy on the test rows of each epoch. Raises: Missing.

    `file` is that of `myfm.write`.
    """
    python = peers.environment("lightfm")
    arguments = (str(file), json.dumps(parameters), str(count), str(threads))
    said = peers.script(python, "lightfm_fit.py", *arguments, threads=threads)
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]
