"""Prints the figures of this machine, each beside its peer's in the same run."""

import argparse
import sys
from pathlib import Path
from time import perf_counter

from bench import (
    curve,
    decoding,
    estimator,
    evidence,
    held_out,
    job,
    kernel,
    machine,
    scaling,
    serving,
    soak,
    wide,
)
from bench.data import WORK, Options
from local_sagemaker.errors import LocalError

PARTS = {
    "evidence": evidence.run,
    "kernel": kernel.run,
    "scaling": scaling.run,
    "wide": wide.run,
    "decoding": decoding.run,
    "job": job.run,
    "curve": curve.run,
    "held-out": held_out.run,
    "estimator": estimator.run,
    "serving": serving.run,
    "soak": soak.run,
}
ON_DEMAND = {"soak"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="./build.sh bench", description=__doc__)
    parser.add_argument("--data", type=Path, metavar="DIR", help="a MovieLens-100k folder")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="NAME",
                        default=[name for name in PARTS if name not in ON_DEMAND],
                        help=f"parts: {', '.join(PARTS)}; without this all but "
                        + ", ".join(ON_DEMAND))  # fmt: skip
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="rounds (5)")
    parser.add_argument("--picture", type=Path, default=WORK / "accuracy-seconds.png",
                        metavar="FILE", help="where the part 'curve' draws; 'estimator' draws "
                        "estimator.png in the same folder")  # fmt: skip
    parser.add_argument("--soak-seconds", type=int, default=600, metavar="N",
                        help="how long the part 'soak' lasts (600)")  # fmt: skip
    arguments = parser.parse_args()
    if arguments.repeats < 1:
        parser.error(f"--repeats must be at least 1; got {arguments.repeats}")
    options = Options(arguments.data, arguments.repeats, arguments.picture, arguments.soak_seconds)
    WORK.mkdir(parents=True, exist_ok=True)

    print(machine.describe())
    given = arguments.data or "none given: generated ratings of MovieLens-100k's shape"
    print(f"Data: {given}. Rounds: {arguments.repeats}.")
    began = perf_counter()
    try:
        for name in PARTS:
            if name in arguments.only:
                PARTS[name](options)
    except LocalError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(f"\n{perf_counter() - began:.0f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
