"""output/failure: cut to what the service shows, and never the cause of another error."""

from pathlib import Path

import pytest

from factorization_machines.errors import (
    AlgorithmError,
    ArtifactError,
    DataError,
    DivergedError,
    FactorizationMachinesError,
    PlatformError,
    UserError,
    printable,
)
from sagemaker_container.contract import errors, failure
from sagemaker_container.contract.errors import (
    ChannelError,
    ConfigurationError,
    HyperparameterError,
)
from sagemaker_container.serving.errors import UnsupportedMediaType, http_status


def test_the_text_is_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "output" / "failure"
    assert failure.write(path, "DataError: é") is None
    assert path.read_bytes() == "DataError: é".encode()


@pytest.mark.parametrize("letter", ["x", "é", "漢", "𝄞"])
def test_it_has_at_most_1024_characters(tmp_path: Path, letter: str) -> None:
    path = tmp_path / "failure"
    failure.write(path, letter * 1024)
    assert path.read_text("utf-8") == letter * 1024
    failure.write(path, letter * 1025)
    assert path.read_text("utf-8") == letter * 1021 + "..."


def test_what_utf8_cannot_hold_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "failure"
    assert failure.write(path, "a\udcffb") is None
    assert path.read_bytes() == b"a?b"


def test_it_says_why_it_could_not_be_written_and_does_not_raise(tmp_path: Path) -> None:
    assert failure.write(tmp_path, "x") == f"{tmp_path} could not be written: Is a directory"
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / "file" / "output" / "failure"
    assert failure.write(path, "x") == f"{path} could not be written: Not a directory"
    assert failure.write(Path("/dev/full"), "x") == (
        "/dev/full could not be written: No space left on device"
    )


@pytest.mark.parametrize(
    ("kind", "base", "exit_code", "status"),
    [
        (UserError, FactorizationMachinesError, 2, 400),
        (HyperparameterError, UserError, 2, 400),
        (ConfigurationError, UserError, 2, 400),
        (ChannelError, UserError, 2, 400),
        (DataError, UserError, 2, 400),
        (UnsupportedMediaType, UserError, 2, 415),
        (PlatformError, FactorizationMachinesError, 3, 503),
        (ArtifactError, PlatformError, 3, 503),
        (AlgorithmError, FactorizationMachinesError, 1, 500),
        (DivergedError, AlgorithmError, 1, 500),
    ],
)
def test_each_error_has_its_codes(
    kind: type[FactorizationMachinesError], base: type, exit_code: int, status: int
) -> None:
    assert issubclass(kind, base)
    assert errors.exit_code(kind("what")) == exit_code
    assert http_status(kind("what")) == status
    assert kind("what").failure_text() == f"{kind.__name__}: what"


def test_a_message_has_no_control_characters_but_line_ends() -> None:
    error = UserError("'\x1b[31m' \u202e \ud800\nnext \r line")
    shown = "UserError: '\\x1b[31m' \\u202e \\ud800\nnext \\r line"
    assert error.failure_text() == shown


def test_printable() -> None:
    assert printable("é 漢 \\ 'x'") == "é 漢 \\ 'x'"
    assert printable("a\x1b[0m\n\t\x7f\x9b") == r"a\x1b[0m\n\t\x7f\x9b"
    assert printable("a\nb\r", keep="\n") == "a\nb\\r"
