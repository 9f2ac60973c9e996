"""Processing job: compares the scores of a transform job with the labels of the test rows.

It runs in SageMaker's scikit-learn image, and writes evaluation/evaluation.json.
"""

import argparse
import json
import pathlib

import numpy as np


def main():
    """Read the scores, in JSON lines, and the labels; write the errors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scores", type=pathlib.Path, required=True)
    parser.add_argument("--report", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    (file,) = arguments.scores.rglob("*.out")
    scores = np.array([json.loads(line)["score"] for line in file.read_text().splitlines()])
    labels = np.loadtxt(arguments.report / "labels.csv", ndmin=1)
    if len(scores) != len(labels):
        raise SystemExit(f"{len(labels)} test rows, but {len(scores)} scores")
    errors = scores - labels
    metrics = {
        "rmse": {"value": float(np.sqrt(np.mean(errors**2)))},
        "mae": {"value": float(np.mean(np.abs(errors)))},
    }
    folder = arguments.output / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.json").write_text(json.dumps({"regression_metrics": metrics}))
    print(metrics)


if __name__ == "__main__":
    main()
