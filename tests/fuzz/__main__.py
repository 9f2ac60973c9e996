"""Runs libFuzzer on a target: `python -m fuzz TARGET CORPUS-FOLDER [libFuzzer's options]`.

With NUMBA_DISABLE_JIT=1 the decoder runs as Python, whose branches the fuzzer sees: slow, and it
finds inputs of each kind. Without, the compiled decoder is run on what such inputs become, many
times as fast; of it the fuzzer sees the outcomes.
"""

import hashlib
import os
import sys
from pathlib import Path

import atheris

_COMPILED = not os.environ.get("NUMBA_DISABLE_JIT")

if _COMPILED:  # kernels must be compiled from what they are, not from what the fuzzer makes of them
    import factorization_machines.recordio.decoder
with atheris.instrument_imports(include=["factorization_machines", "local_sagemaker.storage"]):
    import factorization_machines.artifact
    import factorization_machines.recordio.decoder  # noqa: F401
    import local_sagemaker.storage.objects
    import local_sagemaker.storage.s3_persistence  # noqa: F401

from fuzz.seeds import SEEDS  # noqa: E402
from fuzz.targets import TARGETS  # noqa: E402

_seen: dict[str, int] = {}


@atheris.instrument_func
def _outcome(number: int) -> None:
    """Have a branch for each outcome, by the bits of its number."""
    for bit in range(6):
        if number >> bit & 1:
            _BITS[bit]()
        else:
            _BITS[bit + 6]()


_BITS = [atheris.instrument_func(eval(f"lambda: {bit}")) for bit in range(12)]


def main() -> None:
    name, corpus = sys.argv[1], Path(sys.argv[2])
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in SEEDS[name]():
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    target = TARGETS[name]

    def one(data: bytes) -> None:
        outcome = target(data)
        if _COMPILED:
            _outcome(_seen.setdefault(outcome, len(_seen)))

    atheris.Setup([sys.argv[0], str(corpus), *sys.argv[3:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
