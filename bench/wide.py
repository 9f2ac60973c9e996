"""An epoch on wide rows: 1 M x 30 non-zeros, 30 fields of 33,333 by Zipf's law, k 16."""

from functools import partial

from bench import libfm, xlearn
from bench.data import WORK, Options, config, wide, write_text
from bench.engines import c_epoch, numba_epoch
from bench.timing import Contender, Table, repeated, threaded

K, BATCH = 16, 1000


def run(options: Options) -> None:
    rows = wide()
    text = WORK / "wide.txt"
    if not text.exists():  # 300 MB, independent of the run
        write_text(rows, text.name)
    few = write_text(wide(1000), "wide-test.txt")
    adam = config(rows, K, mini_batch_size=BATCH)
    adagrad = config(rows, K, mini_batch_size=BATCH, _optimizer="adagrad")

    def xlearn_epoch(threads: int) -> float:
        # From its log, in hundredths of a second, without the reading of 300 MB.
        return xlearn.fit(text, K, 1, threads).epochs[0][-1]

    def libfm_epoch() -> float:
        return libfm.epochs(text, few, K, 1)[0]

    contenders = [
        Contender("Adam, numba, 1 thread", repeated(partial(numba_epoch, rows, adam, 1))),
        Contender(
            "Adam, C, 1 thread", repeated(partial(c_epoch, rows, adam)), "Adam, numba, 1 thread"
        ),
        Contender(
            "Adam, numba, 2 threads",
            repeated(partial(numba_epoch, rows, adam, 2)),
            "Adam, numba, 1 thread",
        ),
        *(
            contender
            for threads in (1, 2)
            for contender in (
                Contender(
                    f"AdaGrad, numba, {threaded(threads)}",
                    repeated(partial(numba_epoch, rows, adagrad, threads)),
                ),
                Contender(
                    f"AdaGrad, xLearn, {threaded(threads)}",
                    partial(xlearn_epoch, threads),
                    f"AdaGrad, numba, {threaded(threads)}",
                ),
            )
        ),
        Contender("SGD, libFM, 1 thread", libfm_epoch, "AdaGrad, numba, 1 thread"),
    ]
    table = Table(f"Epoch, wide shape: {len(rows):,} rows x 30, k {K}, batch {BATCH}")
    table.measure(contenders, options.repeats)
    table.print()
