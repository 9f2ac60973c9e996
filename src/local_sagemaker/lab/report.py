"""The lab's report: scores beside the real service's, predictions, times, the learning curve."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from local_sagemaker.errors import LocalError
from local_sagemaker.lab.printed import TrainingLog, parse

ACCURACY, CROSS_ENTROPY, F1 = (
    "binary_classification_accuracy",
    "binary_classification_cross_entropy",
    "binary_f_1.000",
)
TITLES = {ACCURACY: "accuracy", CROSS_ENTROPY: "cross-entropy", F1: "F1"}
SERVICE = {ACCURACY: 0.697, CROSS_ENTROPY: 0.577, F1: 0.744}  # of this lab on AWS

# The SDK prints marks such as "---!" without a line end, which the script's lines then follow.
_NUMBER = r"(\d+(?:\.\d+)?(?:e-?\d+)?)"
_SECONDS = re.compile(r"(fit|deploy|first predict) took (\d+\.\d+) s")
_PREDICTION = re.compile(f"score {_NUMBER} label {_NUMBER} truth {_NUMBER}")


@dataclass(frozen=True)
class Result:
    """The results of a run of the lab."""

    log: TrainingLog
    seconds: dict[str, float]
    predictions: list[dict[str, float]]

    @classmethod
    def of_output(cls, lines: Sequence[str]) -> "Result":
        """Return the results that a run's output holds.

        Raises: LocalError if the output lacks a test score, a time or a prediction.
        """
        seconds = {match[1]: float(match[2]) for match in _matches(_SECONDS, lines)}
        predictions = [
            {
                "score": float(match[1]),
                "predicted_label": float(match[2]),
                "truth": float(match[3]),
            }
            for match in _matches(_PREDICTION, lines)
        ]
        log = parse(lines)
        missing = [f"#test_score of {name}" for name in SERVICE if name not in log.test]
        missing += [f"'{name} took'" for name in ("fit", "deploy", "first predict")
                    if name not in seconds]  # fmt: skip
        missing += [] if predictions else ["predictions"]
        if missing:
            raise LocalError(f"The lab's output lacks {', '.join(missing)}.")
        return cls(log, seconds, predictions)

    def lines(self, comparable: bool) -> list[str]:
        """Return the lines of a summary.

        Args:
            comparable: whether the ratings are MovieLens', so that the real service's scores are
                shown too.
        """
        out = [f"{'on the test ratings':<21}{'here':>9}" + ("   SageMaker" if comparable else "")]
        for name, title in TITLES.items():
            beside = f"{SERVICE[name]:12.3f}" if comparable else ""
            out.append(f"  {title:<19}{self.log.test[name]:9.4f}{beside}")
        if not comparable:
            out.append(
                "  Not comparable with the real service's: these ratings are not MovieLens'."
            )
        out += ["", "ten predictions       score  liked?  truth"]
        words = {0.0: "no", 1.0: "yes"}
        for prediction in self.predictions:
            label, truth = (words[prediction[key]] for key in ("predicted_label", "truth"))
            mark = "" if label == truth else "   wrong"
            out.append(f"{prediction['score']:27.4f}  {label:<6}  {truth:<3}{mark}")
        took = ", ".join(f"{name} {value:.2f} s" for name, value in self.seconds.items())
        return [*out, "", f"took: {took}"]

    def draw(self, path: Path) -> None:
        """Write the learning curve as a PNG: the training metrics by epoch, and the test scores."""
        matplotlib.use("Agg")
        figure = Figure(figsize=(7, 6), layout="constrained")
        for axes, name in zip(
            figure.subplots(2, 1, sharex=True), (CROSS_ENTROPY, ACCURACY), strict=True
        ):
            values = self.log.epochs.get(name, [])
            axes.plot(range(1, len(values) + 1), values, color="tab:blue", label="train")
            score = self.log.test[name]
            axes.axhline(score, color="tab:orange", linestyle="--", label=f"test, {score:.3f}")
            axes.set_ylabel(TITLES[name])
            axes.grid(alpha=0.3)
            axes.legend()
        axes.set_xlabel("epoch")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120)

    def as_json(self, **more: Any) -> str:
        """Return scores, predictions and seconds as a JSON object, with more keys."""
        scores = {"scores": self.log.test, "epochs": self.log.epochs}
        return json.dumps(
            {**more, **scores, "predictions": self.predictions, "seconds": self.seconds}, indent=1
        )


def _matches(pattern: re.Pattern[str], lines: Iterable[str]) -> list[re.Match[str]]:
    return [match for line in lines if (match := pattern.search(line))]
