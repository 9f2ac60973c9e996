"""The example of a retail recommender: pipelines by the SDKs v2 and v3, from CSV to a score."""

import csv
import re
import subprocess
import sys

import numpy as np
import pytest

from support import sdk
from support.job import PATIENCE
from support.service import ROOT, run_sdk

EXAMPLE = ROOT / "examples" / "retail"
STOCKS, CUSTOMERS, COUNTRIES, WORDS = 30, 60, 3, 40
FEATURES = STOCKS + CUSTOMERS + COUNTRIES + WORDS + 1
STEPS = ("Prepare", "Train", "Score", "Evaluate", "Check")


def write_arrays(file, seed, count):
    """Write rows as those of the data set; a product's quantity depends on its words and price."""
    rng = np.random.default_rng(seed)
    stocks = rng.integers(STOCKS, size=count)
    first = STOCKS + CUSTOMERS + COUNTRIES
    columns = np.column_stack(
        [
            stocks,
            STOCKS + rng.integers(CUSTOMERS, size=count),
            STOCKS + CUSTOMERS + rng.integers(COUNTRIES, size=count),
            first + stocks % WORDS,
            first + (stocks + 7) % WORDS,
            np.full(count, FEATURES - 1),
        ]
    )
    columns[:, 3:5].sort()
    prices = 1 + rng.integers(900, size=count) / 100
    values = np.column_stack([np.ones((count, 5)), prices])
    quantity = 5 + stocks % 10 + (10 - prices)
    np.savez(
        file,
        indptr=np.arange(count + 1) * 6,
        indices=columns.ravel().astype(np.int16),
        data=values.ravel().astype(np.float32),
        shape=np.array([count, FEATURES]),
        y=np.round(quantity).astype(np.float32),
    )


@pytest.fixture(scope="module")
def transactions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("retail")
    write_arrays(folder / "train.npz", 1, 1600)
    write_arrays(folder / "test.npz", 2, 400)
    command = [sys.executable, EXAMPLE / "raw_data.py", folder, folder / "transactions.csv"]
    subprocess.run(command, check=True, timeout=PATIENCE)
    return folder / "transactions.csv"


def run(service, version, *arguments):
    if reason := sdk.missing(version, containers=False):
        pytest.skip(reason)
    script = EXAMPLE / f"pipeline_v{version}.py"
    return run_sdk(service, version, script, *arguments, "--epochs", "2")


def test_the_raw_data_has_the_codes_of_the_columns(transactions):
    with transactions.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2000
    row = rows[0]
    stock, customer = int(row["StockCode"][1:]), int(row["CustomerID"][1:])
    country = int(row["Country"].removeprefix("Country "))
    assert 0 <= stock < STOCKS <= customer < STOCKS + CUSTOMERS <= country
    words = [int(word.removeprefix("word")) for word in row["Description"].split()]
    first = STOCKS + CUSTOMERS + COUNTRIES
    assert words == sorted([first + stock % WORDS, first + (stock + 7) % WORDS])
    expected = 5 + stock % 10 + (10 - float(row["UnitPrice"]))
    assert float(row["Quantity"]) == pytest.approx(expected, abs=0.51)


@pytest.mark.sdk
@pytest.mark.parametrize("version", [2, 3])
def test_the_pipeline_registers_a_model_as_good_as_a_plain_job(service, transactions, version):
    output = run(service, version, transactions)
    for step in STEPS:
        assert re.search(rf"^step {step}: Succeeded after [\d.]+ seconds$", output, re.MULTILINE)
    assert re.search(r"^step Register\S*: Succeeded", output, re.MULTILINE)
    metrics = {
        title: re.search(rf"^{title}: (.*rmse=.*), \d+ seconds", output, re.MULTILINE)[1]
        for title in ("the pipeline's job", "a plain job")
    }
    assert len(set(metrics.values())) == 1
    test_rmse = float(re.search(r"test:rmse=([\d.]+)", metrics["a plain job"])[1])
    evaluated = float(re.search(r"'rmse': {'value': ([\d.]+)}", output)[1])
    assert evaluated == pytest.approx(test_rmse, abs=1e-3)
    predictions = re.findall(r"^quantity [\d.]+, predicted [\d.-]+$", output, re.MULTILINE)
    assert len(predictions) == 5


@pytest.mark.sdk
def test_a_model_with_a_high_error_is_not_registered(service, sm, transactions):
    before = packages(sm)
    with pytest.raises(AssertionError, match=r"TooHigh: The rmse [\d.]+ is above 0.001"):
        run(service, 2, transactions, "--max-rmse", "0.001")
    assert packages(sm) == before


def packages(sm):
    found = sm.list_model_packages(ModelPackageType="Both", MaxResults=100)
    names = [each["ModelPackageArn"] for each in found["ModelPackageSummaryList"]]
    return [name for name in names if "retail-recommender" in name]
