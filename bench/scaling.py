"""The speedup by a second thread, by batch size and factors, and whether the bytes are equal."""

from functools import partial

from bench import machine
from bench.data import Options, config, lab, shuffled
from bench.engines import numba_epoch, trained
from bench.timing import Contender, Table, milliseconds, repeated
from factorization_machines.kernels import step

FACTORS = (16, 64, 128)
BATCHES = (100, 300, 1000, 3000, 10_000)


def run(options: Options) -> None:
    rows = shuffled(lab(options.data)[0])
    table = Table("Epoch of Adam with one thread and two, lab shape, shuffled", milliseconds)
    contenders, unlike = [], []
    for k in FACTORS:
        for batch in BATCHES:
            job_config = config(rows, k, mini_batch_size=batch)
            one = f"k {k}, batch {batch}, 1 thread"
            contenders += [
                Contender(one, repeated(partial(numba_epoch, rows, job_config, 1), 2)),
                Contender(
                    f"k {k}, batch {batch}, 2 threads",
                    repeated(partial(numba_epoch, rows, job_config, 2), 2),
                    one,
                ),
            ]
            if step.pieces(k).size > 2:
                # The least work of each of two threads: everything except the other's factors.
                half = config(rows, k // 2, mini_batch_size=batch)
                contenders.append(
                    Contender(
                        f"k {k}, batch {batch}, half of the factors alone",
                        repeated(partial(numba_epoch, rows, half, 1), 2),
                        one,
                    )
                )
            alone, shared = trained(rows, job_config, 1), trained(rows, job_config, 2)
            if any(
                getattr(alone, name).tobytes() != getattr(shared, name).tobytes()
                for name in ("w0", "w", "v")
            ):
                unlike.append(f"k {k}, batch {batch}")
    same = f"not the same for {'; '.join(unlike)}" if unlike else "the same in every row"
    table.notes.append(f"The parameters' bytes after an epoch, one thread and two: {same}.")
    table.notes.append(
        "From 32 factors on threads share the factors: half of them alone is what each of two "
        "would need if none waited for the other."
    )
    if machine.cores() < 2:
        table.notes.append("There is one core: two threads share it.")
    table.measure(contenders, options.repeats)
    table.print()
