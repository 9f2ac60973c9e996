"""The net around a job: what becomes of an error of any kind, in this process."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from factorization_machines.errors import DataError
from sagemaker_container import cli
from sagemaker_container.stop_signal import Stopped, StopSignal
from sagemaker_container.training import job as training_job
from support.job import Job


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    handlers = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, handlers, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (DataError("no"), 2, "DataError: no"),
        (OSError("read failed"), 1, "AlgorithmError: OSError: read failed"),
        (OSError(28, "No space left on device", "/x"), 3,
         "PlatformError: /x: No space left on device"),
        (FileNotFoundError(2, "No such file or directory"), 3,
         "PlatformError: No such file or directory"),
        (MemoryError(), 3, "PlatformError: not enough memory; use a smaller feature_dim, "
         "num_factors or mini_batch_size, or a larger instance (no details)"),
        (RuntimeError("can't start new thread"), 3,
         "PlatformError: no thread can be started: the limit of processes is too low"),
        (ZeroDivisionError("by"), 1, "AlgorithmError: ZeroDivisionError: by"),
        (SystemExit(0), 1, "AlgorithmError: SystemExit: 0"),
        (KeyboardInterrupt(), 1, "AlgorithmError: KeyboardInterrupt: "),
    ],
)  # fmt: skip
def test_no_error_of_any_kind_passes_for_success(
    job: Job,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    text: str,
) -> None:
    def fail(*_: object) -> bool:
        raise error

    monkeypatch.setattr(training_job, "train", fail)
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(job.base))
    with pytest.raises(SystemExit) as caught:
        cli.train()
    assert caught.value.code == code
    assert job.failure == text
    shown = capsys.readouterr().err
    assert text.rstrip() in shown
    # A bug's trace is for the log; of what the caller can fix there is none.
    assert ("Traceback" in shown) == (code == 1)


def test_a_failure_file_that_cannot_be_written_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "output").write_bytes(b"in the way")
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    with pytest.raises(SystemExit) as caught:
        cli.train()
    assert caught.value.code == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("ConfigurationError: ")
    assert second == f"{tmp_path}/output/failure could not be written: File exists"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_raises_before_the_first_poll_and_sets_a_flag_after_it(
    number: signal.Signals,
) -> None:
    signal.signal(number, signal.SIG_DFL)  # SIGHUP is ignored under nohup, and then stays so
    stop = StopSignal()
    with pytest.raises(Stopped) as caught:
        signal.raise_signal(number)
    assert caught.value.code == 143
    stop = StopSignal()
    assert stop() is False
    signal.raise_signal(number)
    assert stop() is True


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = StopSignal()
    signal.raise_signal(signal.SIGHUP)
    assert stop() is False


def test_train_of_the_image_handles_signals_before_it_imports_anything() -> None:
    """Process 1 of a container has no default action for a signal."""
    program = Path(__file__).parents[2] / "container" / "train"
    script = (
        "import builtins, runpy, signal\n"
        "real = builtins.__import__\n"
        "def imported(name, *rest):\n"
        "    if name == 'sagemaker_container.cli':\n"
        "        signal.raise_signal(signal.SIGTERM)\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = imported\n"
        f"runpy.run_path({str(program)!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (143, b"")
