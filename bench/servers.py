"""`serve` and the naive server as processes: started, measured, stopped."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep

import numpy as np

from bench.data import WORK
from factorization_machines import artifact
from factorization_machines.parameters import Parameters
from local_sagemaker.lab.ratings import MOVIES, USERS
from sagemaker_container.serving import gunicorn_config

SERVE = [sys.executable, "-c", "from sagemaker_container.cli import serve; serve()"]  # as bin/serve
FEATURES, FACTORS = USERS + MOVIES, 64
PATIENCE = 30.0


@dataclass(frozen=True)
class Running:
    """A server that has responded."""

    process: "subprocess.Popen[bytes]"
    port: int
    seconds: float  # from its start to its first 200

    def workers(self) -> list[int]:
        """Return the worker processes, which are the parent's children."""
        pid = self.process.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def all_workers(self, count: int) -> list[int]:
        """Return the worker processes once all of them are started and listen."""
        while len(workers := self.workers()) < count:
            sleep(0.01)
        sleep(0.3)
        return workers


def model() -> Path:
    """Return an /opt/ml with a model of the lab's shape, and a file of its parameters beside it."""
    base = WORK / "served"
    random = np.random.default_rng(0)
    w0, w, v = (random.normal(0, 0.1, s).astype(np.float32)
                for s in ((1,), (FEATURES,), (FEATURES, FACTORS)))  # fmt: skip
    (base / "model").mkdir(parents=True, exist_ok=True)
    kind = {"predictor_type": "binary_classifier"}
    artifact.write(base / "model", artifact.Model(Parameters(w0, w, v), kind))
    np.savez(base / "parameters.npz", w0=w0, w=w, v=v)
    return base


@contextlib.contextmanager
def ours(workers: int, **environment: str) -> Iterator[Running]:
    """Run `serve`."""
    port = _free_port()
    settings = {
        "SAGEMAKER_BASE_DIR": str(model()),
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "SAGEMAKER_MODEL_SERVER_WORKERS": str(workers),
        **environment,
    }
    with _running(SERVE, port, settings) as running:
        yield running


@contextlib.contextmanager
def naive(workers: int) -> Iterator[Running]:
    """Run bench/peer/flask_app.py under gunicorn, with the same worker as `serve`."""
    port = _free_port()
    command = [
        *(sys.executable, "-m", "gunicorn", "--preload", "--log-level", "error"),
        *("--no-control-socket", "-k", gunicorn_config.worker_class),
        *("--threads", str(gunicorn_config.threads)),
        *("-b", f"127.0.0.1:{port}", "-w", str(workers), "flask_app:app"),
    ]
    environment = {
        "PYTHONPATH": str(Path(__file__).parent / "peer"),
        "BENCH_PARAMETERS": str(model() / "parameters.npz"),
    }
    with _running(command, port, environment) as running:
        yield running


@contextlib.contextmanager
def _running(command: list[str], port: int, environment: Mapping[str, str]) -> Iterator[Running]:
    # There is a worker for each core, so numpy may use one thread in each.
    env = {**os.environ, **{f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "MKL")}}
    log = WORK / "server.log"
    with open(log, "wb") as stream:
        began = perf_counter()
        process = subprocess.Popen(
            command, env={**env, **environment}, stdout=stream, stderr=stream
        )
    try:
        while (status := ping(port)) != 200:
            if process.poll() is not None or perf_counter() - began > PATIENCE:
                raise RuntimeError(f"{command[1:4]}: {status}: {log.read_text()[-500:]}")
            sleep(0.002)
        yield Running(process, port, perf_counter() - began)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def ping(port: int) -> int:
    """Return the status of /ping, 0 without an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def memory(pid: int) -> dict[str, float]:
    """Return Rss and Pss of a process in MB: its memory, and with shared pages divided."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    values = dict(line.split(":")[:2] for line in lines if line.startswith(("Rss", "Pss:")))
    return {name: int(value.split()[0]) * 1024 / 1e6 for name, value in values.items()}
