"""An epoch on the lab's rows: 90,570 x 2 non-zeros, k 64, batches of 1000."""

from functools import partial

from bench import libfm, myfm, xlearn
from bench.data import Options, config, lab, shuffled, write_text
from bench.engines import c_epoch, difference_to_c, numba_epoch, torch_epoch
from bench.timing import Contender, Missing, Table, milliseconds, repeated
from factorization_machines.recordio.decoder import Rows

K, BATCH = 64, 1000
EPOCHS = 10  # of one measurement
ONE, TWO = "numba, 1 thread", "numba, 2 threads"


def run(options: Options) -> None:
    train, test = lab(options.data)
    for order, rows in (("sorted by user", train), ("shuffled", shuffled(train))):
        table = Table(f"Epoch of Adam, lab shape, {order}: k {K}, batch {BATCH}", milliseconds)
        job_config = config(rows, K, mini_batch_size=BATCH)
        adagrad = config(rows, K, mini_batch_size=BATCH, _optimizer="adagrad")
        contenders = [
            Contender(ONE, repeated(partial(numba_epoch, rows, job_config, 1), EPOCHS)),
            Contender(TWO, repeated(partial(numba_epoch, rows, job_config, 2), EPOCHS), ONE),
            Contender("C, 1 thread", repeated(partial(c_epoch, rows, job_config), EPOCHS), ONE),
            Contender(
                "numba, AdaGrad, 1 thread",
                repeated(partial(numba_epoch, rows, adagrad, 1), EPOCHS),
                ONE,
            ),
            Contender(
                "torch engine, 1 thread", repeated(partial(torch_epoch, rows, job_config)), ONE
            ),
        ]
        if order == "shuffled":  # libFM asks for it, and xLearn shuffles itself
            contenders += peers(rows, test)
        try:
            table.notes.append(difference_to_c(rows, job_config))
        except Missing:
            pass  # the table has a note
        table.measure(contenders, options.repeats)
        table.print()


def peers(train: Rows, test: Rows) -> list[Contender]:
    """Return other packages, each with its own optimizer."""
    text, test_text = write_text(train, "lab-train.txt"), write_text(test, "lab-test.txt")
    arrays = myfm.write(train, test)

    def xlearn_epoch(threads: int) -> float:
        return xlearn.epoch_seconds(text, K, threads, few=10, many=40)

    return [
        Contender("xLearn, AdaGrad, 1 thread", partial(xlearn_epoch, 1), ONE),
        Contender("xLearn, AdaGrad, 2 threads", partial(xlearn_epoch, 2), TWO),
        Contender("libFM, SGD, 1 thread", partial(libfm.epoch_seconds, text, test_text, K), ONE),
        Contender("myFM, Gibbs, 1 thread", partial(myfm.iteration_seconds, arrays, K), ONE),
    ]
