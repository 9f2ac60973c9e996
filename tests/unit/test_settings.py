"""The server's settings from the environment."""

import os

import pytest

from factorization_machines.errors import PlatformError
from sagemaker_container.serving.settings import Settings


def settings(**environ: str) -> Settings:
    return Settings.from_environment(environ)


def test_by_default() -> None:
    plain = settings()
    assert (plain.host, plain.port, plain.timeout) == ("127.0.0.1", 8080, 60)
    assert plain.workers == len(os.sched_getaffinity(0))
    assert plain.max_payload == 6 * 1024 * 1024
    assert not plain.batch
    assert plain.execution_parameters() == {
        "MaxConcurrentTransforms": plain.workers,
        "BatchStrategy": "MultiRecord",
        "MaxPayloadInMB": 6,
    }


def test_from_the_environment() -> None:
    asked = settings(
        FM_BIND_TO_HOST="0.0.0.0",
        SAGEMAKER_BIND_TO_PORT="1234",
        SAGEMAKER_MODEL_SERVER_WORKERS="3",
        SAGEMAKER_MODEL_SERVER_TIMEOUT="7",
    )
    assert (asked.host, asked.port, asked.workers, asked.timeout) == ("0.0.0.0", 1234, 3, 7)


def test_batch_transform() -> None:
    asked = settings(
        SAGEMAKER_BATCH="True",  # as the SDK writes it; the service writes "true"
        SAGEMAKER_BATCH_STRATEGY="MULTI_RECORD",
        SAGEMAKER_MAX_PAYLOAD_IN_MB="20",
        SAGEMAKER_MAX_CONCURRENT_TRANSFORMS="1",
    )
    assert asked.batch
    assert asked.max_payload == 20 << 20
    assert asked.execution_parameters() == {
        "MaxConcurrentTransforms": 1,
        "BatchStrategy": "MultiRecord",
        "MaxPayloadInMB": 20,
    }
    assert not settings(SAGEMAKER_BATCH="false").batch
    assert settings(SAGEMAKER_MAX_PAYLOAD_IN_MB="0").max_payload is None
    assert settings(SAGEMAKER_BATCH_STRATEGY="SingleRecord").strategy == "SingleRecord"


def test_the_sdk_s_local_mode_gets_single_records_which_it_need_not_join() -> None:
    assert settings(SAGEMAKER_BATCH="True").strategy == "SingleRecord"
    assert settings(SAGEMAKER_BATCH="true").strategy == "MultiRecord"


NUMBERS = [
    "SAGEMAKER_BIND_TO_PORT",
    "SAGEMAKER_MODEL_SERVER_WORKERS",
    "SAGEMAKER_MODEL_SERVER_TIMEOUT",
    "SAGEMAKER_MAX_PAYLOAD_IN_MB",
    "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS",
]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("text", ["abc", "-1", "1.5", "1e3", "٣", " 1", "4294967296", "9" * 5000])
def test_settings_that_are_no_number(name: str, text: str) -> None:
    with pytest.raises(PlatformError) as caught:
        settings(**{name: text})
    most = 65535 if "PORT" in name else 2**31 - 1
    assert str(caught.value) == f"{name} must be a whole number from 0 to {most}; got {text!r}"


def test_a_port_that_does_not_exist() -> None:
    assert settings(SAGEMAKER_BIND_TO_PORT="65535").port == 65535
    with pytest.raises(PlatformError, match="SAGEMAKER_BIND_TO_PORT must be .*; got '65536'"):
        settings(SAGEMAKER_BIND_TO_PORT="65536")


def test_a_strategy_that_does_not_exist() -> None:
    with pytest.raises(PlatformError) as caught:
        settings(SAGEMAKER_BATCH_STRATEGY="ALL")
    assert str(caught.value) == (
        "SAGEMAKER_BATCH_STRATEGY must be SINGLE_RECORD or MULTI_RECORD; got 'ALL'"
    )
