"""The choice of the backend."""

import sys
from pathlib import Path

from local_sagemaker.backends.base import Runner
from local_sagemaker.backends.docker import DockerRunner, engine_problem
from local_sagemaker.backends.process import ProcessRunner
from local_sagemaker.errors import LocalError


def choose(
    wanted: str,
    state: Path,
    image: str | None = None,
    sklearn_python: Path = Path(sys.executable),
) -> tuple[Runner, str]:
    """Return the runner of a backend, and a line that tells the user which it is and why.

    Args:
        wanted: docker, process or auto; auto is docker if it can be used, else process.
        state: the service's state folder, by which the runner finds what an earlier service
            left running.
        image: an image that docker must have to be usable; None if any images will do.
        sklearn_python: the Python that stands in for AWS's scikit-learn images without docker.

    Raises: LocalError if docker is wanted and cannot be used.
    """
    if wanted == "process":
        return ProcessRunner(state, sklearn_python), "Backend: process, as asked"
    runner = DockerRunner(state)
    problem = engine_problem()
    if problem is None and image is not None:
        problem = runner.problem(image)
    if problem is None:
        reason = "as asked" if wanted == "docker" else "since an engine answers"
        return runner, f"Backend: docker, {reason}"
    if wanted == "docker":
        raise LocalError(f"--backend docker cannot be used: {problem}.")
    return ProcessRunner(state, sklearn_python), f"Backend: process, since {problem}"
