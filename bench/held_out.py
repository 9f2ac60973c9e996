"""AdaGrad and xLearn on many test sets, made of rows that were not used to choose settings.

One test set of 9,430 ratings leaves an accuracy uncertain by 0.005, more than the two trainings are
apart; the mean difference over many sets is known to a tenth of that.
"""

import numpy as np

from bench import courses, xlearn
from bench.choose import split
from bench.curve import ADAGRAD, ADAGRAD_K, PATIENCE, XLEARN, K
from bench.data import Options, config, lab, write_text
from bench.timing import Missing, progress

FIRST, SETS = 10, 20  # the sets before the first were used to choose the hyperparameters


def run(options: Options) -> None:
    rows = lab(options.data)[0]
    found = []
    title = f"The same trainings on {SETS} other test sets, held out of the training rows"
    print(f"\n### {title}\n")
    for seed in range(FIRST, FIRST + SETS):
        progress(f"{title}: {seed - FIRST + 1} of {SETS}")
        train, held_out = split(rows, seed)
        job_config = config(train, ADAGRAD_K, **ADAGRAD)
        ours = courses.by_numba(train, held_out, job_config, 1, PATIENCE)
        text, test = (
            write_text(part, f"held-out-{i}.txt") for i, part in enumerate((train, held_out))
        )
        try:
            epochs = xlearn.fit(
                text, K, XLEARN["epochs"], 1, test, XLEARN["rate"], XLEARN["decay"]
            ).epochs
        except Missing as missing:
            progress("")
            print(f"Left out: xLearn: {missing}")
            return
        loss, accuracy = min((losses, right) for _, losses, right, _ in epochs)
        found.append((ours.losses[ours.best], ours.accuracies[ours.best], loss, accuracy))
    progress("")
    columns = np.array(found)
    means = columns.mean(axis=0)
    print("| mean | test cross-entropy | accuracy |")
    print("|------|--------------------|----------|")
    print(f"| numba, AdaGrad, k {ADAGRAD_K} | {means[0]:.4f} | {means[1]:.4f} |")
    print(f"| xLearn, AdaGrad, k {K} | {means[2]:.4f} | {means[3]:.4f} |")
    apart = columns[:, :2] - columns[:, 2:]
    error = apart.std(axis=0, ddof=1) / np.sqrt(SETS)
    cells = (
        f"{mean:+.4f} ± {one:.4f}" for mean, one in zip(apart.mean(axis=0), error, strict=True)
    )
    print(f"| difference, and its standard error | {' | '.join(cells)} |")
