"""What the console reads from the logs of jobs."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from local_sagemaker.console import views
from local_sagemaker.console.curves import EpochScores

START = "[11/27/2026 07:28:14 INFO 1] #quality_metric: host=algo-1, "


def write(file: Path, *lines: str, at: int = 1) -> None:
    with file.open("a") as stream:
        stream.writelines(f"{at}\t{line}\n" for line in lines)


def test_scores_are_by_epoch_and_a_resumed_job_goes_on_where_it_was(tmp_path: Path) -> None:
    file = tmp_path / "algo-1-1.log"
    write(
        file, f"{START}epoch=7, batch=0 train rmse <loss>=9", f"{START}epoch=7, train rmse <loss>=2"
    )
    scores = EpochScores()
    scores.update([file])
    write(file, f"{START}epoch=8, train rmse <loss>=1.5", f"{START}train rmse <loss>=1.5")
    scores.update([file])
    chart = {"x": "epoch", "series": {"train": [[7, 8], [2.0, 1.5]]}, "final": None}
    assert scores.curves() == {"rmse": chart}
    assert scores.last() == {"train:rmse": 1.5}
    write(file, f"{START}test rmse <loss>=1.75")
    scores.update([file])
    assert scores.curves()["rmse"]["final"] == 1.75


def test_scores_of_the_test_data_after_each_epoch_are_a_series(tmp_path: Path) -> None:
    file = tmp_path / "algo-1-1.log"
    for epoch in (0, 1):
        write(file, *(f"{START}epoch={epoch}, {c} rmse <loss>={epoch}" for c in ("train", "test")))
    write(file, f"{START}test rmse <loss>=1")
    scores = EpochScores()
    scores.update([file])
    chart = scores.curves()["rmse"]
    assert list(chart["series"]) == ["train", "test"]
    assert chart["final"] is None  # the last epoch has it


@pytest.mark.parametrize("value", ["nan", "inf", "<img>"])
def test_a_score_that_is_no_number_has_no_point(tmp_path: Path, value: str) -> None:
    file = tmp_path / "algo-1-1.log"
    write(file, f"{START}epoch=0, train rmse <loss>={value}")
    scores = EpochScores()
    scores.update([file])
    assert scores.curves() == {}


def test_a_long_series_has_some_points_and_the_last_one(tmp_path: Path) -> None:
    file = tmp_path / "algo-1-1.log"
    write(file, *(f"{START}epoch={epoch}, train rmse <loss>=1" for epoch in range(9_999)))
    scores = EpochScores()
    scores.update([file])
    epochs, values = scores.curves()["rmse"]["series"]["train"]
    assert len(epochs) == len(values) <= 2_001
    assert (epochs[0], epochs[-1]) == (0, 9_998)


def test_lines_of_several_hosts_are_merged_by_time_and_read_once(tmp_path: Path) -> None:
    context = SimpleNamespace(folder=lambda kind, name: tmp_path)
    first, second = tmp_path / "algo-1-5.log", tmp_path / "algo-2-5.log"
    write(first, "a", at=1)
    write(first, "c", at=3)
    write(second, "b", at=2)
    got = views.log(context, "jobs", "j", {})  # type: ignore[arg-type]
    assert got["lines"] == ["algo-1  a", "algo-2  b", "algo-1  c"]
    write(second, "late", at=2)
    assert views.log(context, "jobs", "j", got["offsets"])["lines"] == ["algo-2  late"]  # type: ignore[arg-type]
