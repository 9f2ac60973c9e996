"""The classifier and its peers on the lab's rows: seconds and test cross-entropy.

Each one's number of epochs is chosen on ten ratings of each user that are held out of the training
rows. It is trained on all of them then, for that many epochs, and evaluated on the test rows.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import accumulate
from time import perf_counter
from typing import Any

import numpy as np

from bench import courses, lightfm, myfm, xlearn
from bench.choose import split
from bench.courses import Course
from bench.curve import MYFM_ITERATIONS, MYFM_RANK, XLEARN, K, draw, result
from bench.data import Options, lab, shuffled, write_text
from bench.timing import Contender, Table
from factorization_machines import FactorizationMachineClassifier
from factorization_machines.metrics import ACCURACY, CROSS_ENTROPY, metrics_for
from factorization_machines.recordio.decoder import Rows

# The best of 27 settings (no_components, learning_rate, alpha) on held-out rows.
LIGHTFM = {"no_components": 64, "learning_rate": 0.1, "user_alpha": 1e-6, "item_alpha": 1e-6}
LIGHTFM_EPOCHS = 25
DEFAULTS = "FactorizationMachineClassifier()"

Parts = tuple[Rows, Rows]
Training = Callable[[Parts, Parts, int], Course]


def ours(inner: Parts, whole: Parts, number: int, **parameters: Any) -> Course:
    """Return a course in which each point is a `fit` of its own for that many epochs."""
    make = partial(FactorizationMachineClassifier, random_state=number, **parameters)
    (rows, held_out), (train, test) = inner, whole
    fitted = make().fit(rows.x, rows.y, eval_set=(held_out.x, held_out.y))
    chosen = int(np.argmin(fitted.validation_losses_))
    course = Course([], [], [], chosen)
    for epochs in range(1, chosen + 2):
        _add_fit(course, make(epochs=epochs, early_stopping=False), train, test)
    return course


def ours_at_once(inner: Parts, whole: Parts, number: int) -> Course:
    """Return the single point of a `fit` that chooses its number of epochs by itself."""
    course = Course([], [], [])
    _add_fit(course, FactorizationMachineClassifier(random_state=number), *whole)
    return course


def _add_fit(course: Course, estimator: Any, train: Rows, test: Rows) -> None:
    began = perf_counter()
    estimator.fit(train.x, train.y)
    course.seconds.append(perf_counter() - began)
    measured = metrics_for(classifier=True)
    measured.add(estimator.decision_function(test.x), test.y)
    course.losses.append(measured.scores()[CROSS_ENTROPY])
    course.accuracies.append(measured.scores()[ACCURACY])


def by_xlearn(inner: Parts, whole: Parts, number: int) -> Course:
    rate, decay = XLEARN["rate"], XLEARN["decay"]
    files = [write_text(part, f"inner-{i}.txt") for i, part in enumerate(inner)]
    fit = xlearn.fit(files[0], K, XLEARN["epochs"], 1, files[1], rate, decay)
    chosen = int(np.argmin([losses for _, losses, _, _ in fit.epochs]))
    files = [write_text(part, f"whole-{i}.txt") for i, part in enumerate(whole)]
    course = courses.by_xlearn(*files, K, chosen + 1, 1, rate, decay)
    return replace(course, chosen=chosen)


def by_xlearn_whole(inner: Parts, whole: Parts, number: int) -> Course:
    """Return xLearn's course with the seconds of its whole `fit`, which reads a text file."""
    course = by_xlearn(inner, whole, number)
    file = write_text(whole[0], "whole-0.txt")  # removes the file that xLearn keeps beside it
    rate, decay = XLEARN["rate"], XLEARN["decay"]
    seconds = xlearn.fit(file, K, course.best + 1, 1, None, rate, decay).seconds
    last = course.best
    return Course([seconds], [course.losses[last]], [course.accuracies[last]])


def by_lightfm(inner: Parts, whole: Parts, number: int) -> Course:
    lines = lightfm.epochs(myfm.write(*inner), LIGHTFM, LIGHTFM_EPOCHS, 1)
    chosen = int(np.argmin([line["loss"] for line in lines]))
    return _course(lightfm.epochs(myfm.write(*whole), LIGHTFM, chosen + 1, 1), chosen)


def by_myfm(inner: Parts, whole: Parts, number: int) -> Course:
    lines = myfm.iterations(myfm.write(*inner), MYFM_RANK, MYFM_ITERATIONS)
    chosen = int(np.argmin([line["loss"] for line in lines]))
    return _course(myfm.iterations(myfm.write(*whole), MYFM_RANK, chosen + 1), chosen)


def _course(lines: list[dict[str, float]], chosen: int) -> Course:
    seconds, losses, accuracies = (
        [line[name] for line in lines] for name in ("seconds", "loss", "accuracy")
    )
    return Course(list(accumulate(seconds)), losses, accuracies, chosen)


def run(options: Options) -> None:
    trainings: dict[str, Training] = {
        f"{DEFAULTS}, 1 thread": ours,
        f"{DEFAULTS}, which chooses the epochs itself, 1 thread": ours_at_once,
        f"xLearn, AdaGrad, k {K}, 1 thread": by_xlearn,
        f"xLearn, the whole fit with its file, k {K}, 1 thread": by_xlearn_whole,
        f"LightFM, AdaGrad, k {LIGHTFM['no_components']}, 1 thread": by_lightfm,
        f"myFM, Gibbs, k {MYFM_RANK}, 1 thread": by_myfm,
    }
    first = next(iter(trainings))
    train, test = lab(options.data)
    shown: dict[str, list[Course]] = {}

    def seconds(name: str) -> float:
        number = len(shown.get(name, []))
        rows = shuffled(train, number)
        course = trainings[name](split(rows, number), (rows, test), number)
        shown.setdefault(name, []).append(course)
        return course.seconds[course.best]

    table = Table("Training seconds, for as many epochs as held-out rows chose", _milliseconds)
    contenders = [
        Contender(name, partial(seconds, name), first if name != first else "")
        for name in trainings
    ]
    FactorizationMachineClassifier(epochs=1).fit(train.x, train.y)  # loads the kernels
    table.measure(contenders[:-1], options.repeats)
    table.measure(contenders[-1:], 1)  # the sampler is slow
    table.relabel({name: f"{name}: {result(done)}" for name, done in shown.items()})
    table.notes.append(
        "After the names: test cross-entropy and accuracy there, medians; each round has its own "
        "order of the rows, validation rows and seed."
    )
    parameters = FactorizationMachineClassifier().get_params()
    kept = ("num_factors", "mini_batch_size", "optimizer", "factors_lr", "linear_lr")
    table.notes.append(f"Defaults: {json.dumps({name: parameters[name] for name in kept})}")
    picture = options.picture.with_name("estimator.png")
    draw({name: done[0] for name, done in shown.items()}, picture)
    table.notes.append(f"Picture, of the first round: {picture}")
    table.print()


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"
