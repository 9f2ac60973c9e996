"""The log lines, to the letter: against the built-in's own, and by what tools search them with."""

import io
import json
import re

import pytest

from sagemaker_container.contract.log import JobLog, statistics

PREFIX = r"\[\d\d/\d\d/\d{4} \d\d:\d\d:\d\d INFO \d+\] "
CLASSIFIER = {
    "binary_classification_accuracy": 0.62,
    "binary_classification_cross_entropy": 0.6894251251220703,
    "binary_f_1.000": 0.7654320987654321,
}
REGRESSOR = {"rmse": 1.5, "mse": 2.25, "absolute_loss": 1.25}

# What the service searches the log with, as DescribeTrainingJob lists it for its algorithms.
PUBLISHED = {
    "test:binary_classification_accuracy": (
        r"#quality_metric: host=\S+, test binary_classification_accuracy <score>=(\S+)"
    ),
    "test:binary_classification_cross_entropy": (
        r"#quality_metric: host=\S+, test binary_classification_cross_entropy <loss>=(\S+)"
    ),
    "test:binary_f_beta": r"#quality_metric: host=\S+, test binary_f_\S+ <score>=(\S+)",
    "train:binary_classification_accuracy": (
        r"#quality_metric: host=\S+, train binary_classification_accuracy <score>=(\S+)"
    ),
    "train:binary_f_beta": r"#quality_metric: host=\S+, train binary_f_\S+ <score>=(\S+)",
    "train:binary_classification_accuracy:epoch": (
        r"#quality_metric: host=\S+, epoch=\S+, train binary_classification_accuracy <score>=(\S+)"
    ),
    "train:binary_classification_accuracy:batch": (
        r"#quality_metric: host=\S+, epoch=\S+, batch=\S+ train "
        r"binary_classification_accuracy <score>=(\S+)"
    ),
    "test:rmse": r"#quality_metric: host=\S+, test rmse <loss>=(\S+)",
    "test:mse": r"#quality_metric: host=\S+, test mse <loss>=(\S+)",
    "test:absolute_loss": r"#quality_metric: host=\S+, test absolute_loss <loss>=(\S+)",
    "train:progress": r"#progress_metric: host=\S+, completed (\S+) %",
    "train:throughput": r"#throughput_metric: host=\S+, train throughput=(\S+) records/second",
}


class Recorder(JobLog):
    def __init__(self, level: str = "info") -> None:
        self.written = io.StringIO()
        super().__init__("algo-1", level, self.written)

    @property
    def lines(self) -> list[str]:
        return self.written.getvalue().splitlines()

    @property
    def texts(self) -> list[str]:
        """Return the lines without their prefix, which each must have."""
        assert all(re.match(PREFIX, line) for line in self.lines)
        return [re.sub(PREFIX, "", line) for line in self.lines]


def test_quality_of_a_batch_an_epoch_and_the_whole_run() -> None:
    log = Recorder()
    log.quality("train", CLASSIFIER, epoch=0, batch=0)
    log.quality("train", CLASSIFIER, epoch=12)
    log.quality("train", CLASSIFIER)
    names = [
        "binary_classification_accuracy <score>=0.62",
        "binary_classification_cross_entropy <loss>=0.6894251251220703",
        "binary_f_1.000 <score>=0.7654320987654321",
    ]
    wheres = ("host=algo-1, epoch=0, batch=0 ", "host=algo-1, epoch=12, ", "host=algo-1, ")
    expected = [f"#quality_metric: {where}train {name}" for where in wheres for name in names]
    assert log.texts == expected


def test_test_scores() -> None:
    log = Recorder()
    log.test_scores(CLASSIFIER)
    assert log.texts == [
        "#test_score (algo-1) : ('binary_classification_accuracy', 0.62)",
        "#test_score (algo-1) : ('binary_classification_cross_entropy', 0.6894251251220703)",
        "#test_score (algo-1) : ('binary_f_1.000', 0.7654320987654321)",
        "#quality_metric: host=algo-1, test binary_classification_accuracy <score>=0.62",
        "#quality_metric: host=algo-1, test binary_classification_cross_entropy "
        "<loss>=0.6894251251220703",
        "#quality_metric: host=algo-1, test binary_f_1.000 <score>=0.7654320987654321",
    ]


def test_a_regressors_lines() -> None:
    log = Recorder()
    log.test_scores(REGRESSOR)
    log.quality("train", REGRESSOR, epoch=3)
    assert log.texts == [
        "#test_score (algo-1) : ('rmse', 1.5)",
        "#test_score (algo-1) : ('mse', 2.25)",
        "#test_score (algo-1) : ('absolute_loss', 1.25)",
        "#quality_metric: host=algo-1, test rmse <loss>=1.5",
        "#quality_metric: host=algo-1, test mse <loss>=2.25",
        "#quality_metric: host=algo-1, test absolute_loss <loss>=1.25",
        "#quality_metric: host=algo-1, epoch=3, train rmse <loss>=1.5",
        "#quality_metric: host=algo-1, epoch=3, train mse <loss>=2.25",
        "#quality_metric: host=algo-1, epoch=3, train absolute_loss <loss>=1.25",
    ]


def test_progress_and_throughput() -> None:
    log = Recorder()
    log.progress(0, 30)
    log.progress(29, 30)
    log.throughput(90600, 2.0)
    log.throughput(5, 0.0)
    assert log.texts[:3] == [
        "#progress_metric: host=algo-1, completed 3.3333333333333335 % of epochs",
        "#progress_metric: host=algo-1, completed 100.0 % of epochs",
        "#throughput_metric: host=algo-1, train throughput=45300.0 records/second",
    ]
    assert re.fullmatch(
        r"#throughput_metric: host=algo-1, train throughput=[\d.]+ records/second", log.texts[3]
    )


def test_what_the_service_publishes_is_found() -> None:
    log = Recorder()
    for scores in (CLASSIFIER, REGRESSOR):
        log.quality("train", scores, epoch=0, batch=0)
        log.quality("train", {name: value + 1 for name, value in scores.items()}, epoch=0)
        log.quality("train", {name: value + 2 for name, value in scores.items()})
        log.test_scores(scores)
    log.progress(0, 4)
    log.throughput(10, 2.0)
    text = log.written.getvalue()
    assert {name: re.findall(regex, text) for name, regex in PUBLISHED.items()} == {
        "test:binary_classification_accuracy": ["0.62"],
        "test:binary_classification_cross_entropy": ["0.6894251251220703"],
        "test:binary_f_beta": ["0.7654320987654321"],
        "train:binary_classification_accuracy": ["2.62"],
        "train:binary_f_beta": ["2.765432098765432"],
        "train:binary_classification_accuracy:epoch": ["1.62"],
        "train:binary_classification_accuracy:batch": ["0.62"],
        "test:rmse": ["1.5"],
        "test:mse": ["2.25"],
        "test:absolute_loss": ["1.25"],
        "train:progress": ["25.0"],
        "train:throughput": ["5.0"],
    }


def test_metrics_lines_are_json_without_a_prefix() -> None:
    log = Recorder()
    log.metrics({"epochs": statistics(30)}, 1.5, 2.5)
    log.metrics({"Total Records Seen": statistics(7)}, 1, 2, epoch=0, Meta="training_data_iter")
    assert log.lines[0] == (
        '#metrics {"StartTime": 1.5, "EndTime": 2.5, "Dimensions": {"Algorithm": '
        '"factorization-machines", "Host": "algo-1", "Operation": "training"}, "Metrics": '
        '{"epochs": {"sum": 30.0, "count": 1, "min": 30, "max": 30}}}'
    )
    dimensions = json.loads(log.lines[1].removeprefix("#metrics "))["Dimensions"]
    assert dimensions == {
        "Algorithm": "factorization-machines",
        "Host": "algo-1",
        "Operation": "training",
        "epoch": 0,
        "Meta": "training_data_iter",
    }


def test_statistics() -> None:
    assert statistics(1.5, 0.5, 4.0) == {"sum": 6.0, "count": 3, "min": 0.5, "max": 4.0}
    assert statistics() == {"sum": 0.0, "count": 0, "min": 0, "max": 0}


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_level_decides_about_messages_and_not_about_metrics(
    level: str, shown: list[str]
) -> None:
    log = Recorder(level)
    for name in ("debug", "info", "warning", "error"):
        log.message(name, name)
    log.metrics({}, 0, 0)
    *messages, metrics = log.lines
    assert [line.split("] ")[1] for line in messages] == shown
    assert [line.split()[2] for line in messages] == [name.upper() for name in shown]
    assert metrics.startswith("#metrics ")


def test_each_line_is_out_at_once() -> None:
    class Buffered(io.StringIO):
        flushed = ""

        def flush(self) -> None:
            self.flushed = self.getvalue()

    stream = Buffered()
    JobLog("algo-1", stream=stream).plain("a")
    assert stream.flushed == "a\n"


def test_training_goes_on_where_nobody_reads(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    closed = io.StringIO()
    closed.close()
    for stream in (Broken(), closed):
        log = JobLog("algo-1", stream=stream)
        log.message("a")
        log.message("b")
    assert capsys.readouterr().out == ""


def test_a_process_without_a_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    JobLog("algo-1").message("a")


def test_a_stream_that_cannot_hold_every_letter() -> None:
    raw = io.BytesIO()
    log = JobLog("algo-1", stream=io.TextIOWrapper(raw, encoding="ascii"))
    log.plain("né")
    assert raw.getvalue().startswith(b"n")


def test_a_name_from_outside_does_not_forge_a_line() -> None:
    stream = io.StringIO()
    JobLog("algo-1", stream=stream).message("channel \x1b[2J\n#quality_metric: forged")
    assert re.fullmatch(
        PREFIX + r"channel \\x1b\[2J\\n#quality_metric: forged\n", stream.getvalue()
    )
