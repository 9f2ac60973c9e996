"""`train` in a fork of a process that has imported it: imports take seconds, most jobs less.

The child runs all of the command `train`: signal handlers, exit code, streams and failure file.
"""

import multiprocessing
import os
import subprocess
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "torch",
        "sagemaker_container.cli",
        "sagemaker_container.training.job",
        "factorization_machines.module",
        "factorization_machines.engines.autograd",
        "factorization_machines.engines.fused",
    ]
)


def train(environment: dict[str, str], folder: Path, timeout: float) -> tuple[int, str, str]:
    """Run `train` to its end; return its exit code and what it wrote to its two streams.

    Raises: subprocess.TimeoutExpired.
    """
    streams = folder / "stdout", folder / "stderr"
    child = _CONTEXT.Process(target=_child, args=(environment, *streams))
    child.start()
    child.join(timeout)
    if child.exitcode is None:
        child.kill()
        child.join()
        raise subprocess.TimeoutExpired("train", timeout)
    code = child.exitcode
    child.close()
    return (code, *(stream.read_text() for stream in streams))


def _child(environment: dict[str, str], stdout: Path, stderr: Path) -> None:
    from sagemaker_container.cli import train

    os.environ.clear()
    os.environ.update(environment)
    for number, path in ((0, Path(os.devnull)), (1, stdout), (2, stderr)):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    train()
