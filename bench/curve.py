"""Test cross-entropy against training seconds on the lab's split, as a table and a picture."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from bench import courses, myfm
from bench.courses import Course
from bench.data import Options, lab, settings, shuffled, write_text
from bench.timing import Contender, Table, threaded

K = 64
# Chosen on rows held out of the training rows, as xLearn's rate and decay are.
ADAGRAD = {
    "_optimizer": "adagrad",
    "epochs": 25,
    "mini_batch_size": 50,
    "factors_lr": 0.02,
    "factors_wd": 0.0003,
    "factors_init_sigma": 0.03,
    "linear_lr": 0.1,
    "linear_wd": 0,
    "bias_wd": 0,
}
ADAM = {"epochs": 150, "mini_batch_size": 1000}  # the lab's, and the built-in's defaults
XLEARN = {"epochs": 25, "rate": 0.2, "decay": 0.007}
MYFM_RANK, MYFM_ITERATIONS = 16, 200


def run(options: Options) -> None:
    train, test = lab(options.data)
    train = shuffled(train)
    text, test_text = write_text(train, "lab-train.txt"), write_text(test, "lab-test.txt")
    trainings: dict[str, tuple[Callable[[], Course], str]] = {}
    for name, given in (("AdaGrad", ADAGRAD), ("Adam, defaults", ADAM)):
        told = settings(train, K, **given)
        for threads in (1, 2):
            trainings[f"numba, {name}, {threaded(threads)}"] = (
                partial(courses.by_numba, train, test, told, threads),
                f"numba, AdaGrad, {threaded(threads)}" if name != "AdaGrad" else "",
            )
    for threads in (1, 2):
        trainings[f"xLearn, AdaGrad, {threaded(threads)}"] = (
            partial(courses.by_xlearn, text, test_text, K, threads=threads, **XLEARN),
            f"numba, AdaGrad, {threaded(threads)}",
        )
    ours = "numba, AdaGrad, 1 thread"
    trainings["libFM, SGD, 1 thread"] = (
        partial(courses.by_libfm, text, test_text, test.y, K),
        ours,
    )
    trainings[f"myFM, Gibbs, 1 thread, k {MYFM_RANK}"] = (
        partial(courses.by_myfm, myfm.write(train, test), MYFM_RANK, MYFM_ITERATIONS),
        ours,
    )

    shown: dict[str, Course] = {}

    def seconds_to_best(name: str, training: Callable[[], Course]) -> float:
        course = shown[name] = training()
        return course.seconds[course.best]

    table = Table("Training seconds to the lowest test cross-entropy, lab split", _seconds)
    # The sampler's passes are slow and all alike: it runs once.
    slow = [name for name in trainings if name.startswith("myFM")]
    contenders = {
        name: Contender(name, partial(seconds_to_best, name, training), beside)
        for name, (training, beside) in trainings.items()
    }
    table.measure([contenders[name] for name in trainings if name not in slow], options.repeats)
    table.measure([contenders[name] for name in slow], 1)
    table.relabel({name: f"{name}: {course.result()}" for name, course in shown.items()})
    table.notes.append(
        "After the names: test cross-entropy and accuracy there, in the last round (myFM: in one)."
    )
    table.notes.append(f"Picture: {options.picture}")
    draw(shown, options.picture)
    table.print()


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f} s"


def draw(shown: Mapping[str, Course], file: Path) -> None:
    """Draw the courses: one colour for each optimiser, a broken line for two threads."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), dpi=100, layout="constrained")
    colours: dict[str, str] = {}
    for name, course in shown.items():
        who = ", ".join(name.split(", ")[:2])
        colour = colours.setdefault(who, f"C{len(colours)}")
        alone = "1 thread" in name
        end = course.best + 1
        axes.plot(
            course.seconds[:end],
            course.losses[:end],
            "." + ("-" if alone else "--"),
            color=colour,
            label=name,
            markersize=4 if end < 40 else 0,
            linewidth=1.2,
        )
    axes.set_xscale("log")
    axes.set_ylim(0.545, 0.70)
    axes.set_xlabel("training seconds")
    axes.set_ylabel("test cross-entropy")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8, frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)
    pyplot.close(figure)
