"""Damaged and hostile bytes: the readers raise their own errors only."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.seeds import SEEDS
from fuzz.targets import TARGETS
from support.examples import examples

PERCENT = {"decoder": 2000, "requests": 500, "model": 300, "address": 500, "state": 100}


@st.composite
def spoilt(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """Return a seed with some bytes removed, doubled, changed or added, or any bytes."""
    data = bytearray(draw(st.one_of(st.sampled_from(seeds), st.binary(max_size=200))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 20)))
        change = draw(st.sampled_from(("cut", "double", "put", "set", "flip")))
        if change == "cut":
            del data[at:end]
        elif change == "double":
            data[at:at] = data[at:end]
        elif change == "put":
            data[at:at] = draw(st.binary(max_size=12))
        elif change == "set":
            data[at:end] = bytes([draw(st.sampled_from((0, 0x7F, 0x80, 0xFF)))]) * (end - at)
        elif at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_hostile_bytes(name: str) -> None:
    seeds: list[bytes] = SEEDS[name]()
    target: Callable[[bytes], str] = TARGETS[name]
    seen = {target(seed) for seed in seeds}
    assert len(seen) > 1  # the seeds are good, but for one

    @examples(PERCENT[name])
    @given(spoilt(seeds))
    def run(data: bytes) -> None:
        target(data)

    run()


def test_a_zip_that_says_its_names_are_long() -> None:
    """Found by the fuzzer: the message was as long as the name, 64 KB."""
    zipped = bytearray(SEEDS["model"]()[0])
    name_length = 1 + 26
    zipped[name_length : name_length + 2] = b"\xff\xff"
    assert TARGETS["model"](bytes(zipped)) == "refused"
