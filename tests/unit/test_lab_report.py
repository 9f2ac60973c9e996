"""The scores in a run's output, and the report of them."""

import json
import math

import pytest

from local_sagemaker.errors import LocalError
from local_sagemaker.lab.lab import _last_error
from local_sagemaker.lab.printed import parse
from local_sagemaker.lab.report import Result

STAMP = "[11/24/2026 10:00:00 INFO 139] "
LOG = [
    "Docker entrypoint called with argument(s): train",
    STAMP + "#quality_metric: host=algo-1, epoch=0, batch=0 train"
    " binary_classification_accuracy <score>=0.99",
    STAMP + "#quality_metric: host=algo-1, epoch=0, train"
    " binary_classification_accuracy <score>=0.5513907284768212",
    STAMP + "#quality_metric: host=algo-1, epoch=0, train"
    " binary_classification_cross_entropy <loss>=0.6858",
    # As docker-compose passes it on: a colour, a host with a random tail, a carriage return.
    "\x1b[36mabc-algo-1-z7lsm |\x1b[0m " + STAMP + "#quality_metric: host=algo-1-z7lsm, epoch=1,"
    " train binary_classification_cross_entropy <loss>=6.5e-01\r",
    STAMP + "#quality_metric: host=algo-1, train binary_classification_accuracy <score>=0.1",
    STAMP + "#test_score (algo-1) : ('binary_classification_accuracy', 0.6934662706830717)",
    STAMP + "#test_score (algo-1-z7lsm) : ('binary_classification_cross_entropy', 0.6039)",
    STAMP + "#test_score (algo-1) : ('binary_f_1.000', 0.7624136797106215)",
    STAMP + "#quality_metric: host=algo-1, test binary_f_1.000 <score>=0.1",
]
SCRIPT = [
    "fit took 12.500 s",
    "-!deploy took 1.250 s",
    "first predict took 0.020 s",
    "score 0.25 label 0.0 truth 1.0",
    "score 0.75 label 1.0 truth 1.0",
]


def test_epoch_and_test_metrics_are_found_and_others_are_not():
    log = parse(LOG)
    assert log.epochs == {
        "binary_classification_accuracy": [0.5513907284768212],
        "binary_classification_cross_entropy": [0.6858, 0.65],
    }
    assert log.test == {
        "binary_classification_accuracy": 0.6934662706830717,
        "binary_classification_cross_entropy": 0.6039,
        "binary_f_1.000": 0.7624136797106215,
    }


def test_a_missing_epoch_leaves_a_gap_and_nan_is_a_number():
    line = "#quality_metric: host=algo-1, epoch={}, train rmse <loss>={}"
    values = parse([line.format(0, "nan"), line.format(2, "1.5")]).epochs["rmse"]
    assert math.isnan(values[0]) and math.isnan(values[1]) and values[2] == 1.5


def test_result_has_seconds_and_predictions():
    result = Result.of_output(LOG + SCRIPT)
    assert result.seconds == {"fit": 12.5, "deploy": 1.25, "first predict": 0.02}
    assert result.predictions[0] == {"score": 0.25, "predicted_label": 0.0, "truth": 1.0}
    assert json.loads(result.as_json(backend="process"))["backend"] == "process"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (SCRIPT, "#test_score of binary_classification_accuracy"),
        (LOG + SCRIPT[1:], "'fit took'"),
        (LOG + SCRIPT[:3], "predictions"),
    ],
)
def test_output_without_a_part_is_a_failure(lines, message):
    with pytest.raises(LocalError, match=message):
        Result.of_output(lines)


def test_the_real_service_is_beside_comparable_scores_only():
    result = Result.of_output(LOG + SCRIPT)
    beside, alone = "\n".join(result.lines(True)), "\n".join(result.lines(False))
    assert "0.6935       0.697" in beside and "Not comparable" not in beside
    assert "0.697" not in alone and "Not comparable" in alone
    assert beside.count("wrong") == 1


def test_the_curve_is_a_picture(tmp_path):
    path = tmp_path / "new" / "curve.png"
    Result.of_output(LOG + SCRIPT).draw(path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_last_error_is_one_line():
    output = ["KeyError: 'a'", "RuntimeError: two", "", "lines", ""]
    assert _last_error(output) == "RuntimeError: two lines"
    assert _last_error(["no traceback", "here"]) == "here"
    assert _last_error([]) == "no output"
