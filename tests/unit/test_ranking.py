"""top_k: equal to scoring each pair, and the errors of invalid options."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorization_machines import top_k
from factorization_machines.errors import DataError
from factorization_machines.parameters import Parameters
from sagemaker_container.serving.app import create_app
from sagemaker_container.serving.content_types import top_k_options
from sagemaker_container.serving.settings import Settings
from support import fm
from support.rows import instances
from support.scoring import predictor
from support.serving import error, invoke

DIM, K = 12, 3
PARAMETERS = fm.parameters(7, DIM, K, scale=0.4)


def pairs(row: np.ndarray, first: int, last: int, exclude: list[int], kind: str) -> list[Any]:
    """Return the scores of the instance with each candidate, the best first."""
    model = predictor(PARAMETERS, kind)
    found = []
    for key in range(first, last + 1):
        if key in exclude:
            continue
        more = row.copy()
        more[key] += 1
        z = float(model.score(instances(more[None]))[0])
        scores, labels = model.predict(instances(more[None]))
        found.append((z, key, float(scores[0]), None if labels is None else float(labels[0])))
    return sorted(found, key=lambda one: (-one[0], one[1]))


@given(
    st.lists(
        st.lists(st.sampled_from([0, 0, 0, 1, -1.5, 2]), min_size=DIM, max_size=DIM),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, DIM - 1),
    st.integers(0, DIM - 1),
    st.integers(1, DIM + 3),
    st.lists(st.integers(0, DIM - 1), max_size=5),
    st.sampled_from(["binary_classifier", "regressor"]),
)
def test_equal_to_scoring_each_pair(
    rows: list[list[float]], one: int, other: int, k: int, exclude: list[int], kind: str
) -> None:
    first, last = min(one, other), max(one, other)
    top = top_k_options.parse({"from": [first, last], "k": k, "exclude": exclude}, DIM)
    answers = top_k.rank(predictor(PARAMETERS, kind), instances(np.array(rows, np.float32)), top)
    assert len(answers) == len(rows)
    for row, answer in zip(rows, answers, strict=True):
        want = pairs(np.array(row, np.float32), first, last, exclude, kind)
        found = answer["top_k"]
        assert len(found) == min(k, len(want))
        by_key = {key: (score, label) for _, key, score, label in want}
        scores = [item["score"] for item in found]
        # Where two scores are closer than their rounding, either may be first.
        assert scores == pytest.approx([score for _, _, score, _ in want[: len(found)]], abs=1e-5)
        assert scores == sorted(scores, reverse=True)
        assert len({item["key"] for item in found}) == len(found)
        for item in found:
            score, label = by_key[item["key"]]
            assert item["score"] == pytest.approx(score, abs=1e-5)
            assert ("predicted_label" in item) == (kind == "binary_classifier")
            if label is not None and abs(score - 0.5) > 1e-5:
                assert item["predicted_label"] == label


@pytest.mark.parametrize("k", [1, 2, 9, 24, 25, 26, 390, 400])
@pytest.mark.parametrize("excluded", [[], [405, 17, 17, 3], list(range(10, 400))])
@pytest.mark.parametrize("kind", ["ties", "random", "ascending"])
def test_the_best_of_many(kind: str, excluded: list[int], k: int) -> None:
    """With w alone, so that the scores are known to the bit; 401 of them, ties or not."""
    random = np.random.default_rng(k)
    w = np.arange(410) if kind == "ascending" else random.standard_normal(410)
    w = (w.round() if kind == "ties" else w).astype(np.float32)
    w[405], w[2] = np.nan, np.inf  # excluded in one case, outside of the block in all
    block = [5, 404] if 405 not in excluded else [5, 405]
    model = predictor(
        Parameters(np.zeros(1, np.float32), w, np.zeros((410, 2), np.float32)), "regressor"
    )
    top = top_k_options.parse({"from": block, "k": k, "exclude": excluded}, 410)
    (answer,) = top_k.rank(model, instances(np.zeros((1, 410), np.float32)), top)
    left = [key for key in range(block[0], block[1] + 1) if key not in excluded]
    want = sorted(left, key=lambda key: (-w[key], key))[:k]
    assert [item["key"] for item in answer["top_k"]] == want
    assert [item["score"] for item in answer["top_k"]] == w[want].tolist()


def test_among_equals_the_smaller_keys_win() -> None:
    flat = fm.parameters(0, 9, 2, scale=0)
    top = top_k_options.parse({"from": [1, 8], "k": 3, "exclude": [2]}, 9)
    (answer,) = top_k.rank(predictor(flat), instances(np.zeros((1, 9), np.float32)), top)
    assert [item["key"] for item in answer["top_k"]] == [1, 3, 4]


def test_many_rows_are_scored_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = instances(fm.rows(1, 30, DIM)[0])
    top = top_k_options.parse({"from": [0, 11], "k": 4}, DIM)
    whole = top_k.rank(predictor(PARAMETERS), rows, top)
    monkeypatch.setattr(top_k, "_CHUNK", 50)
    parts = top_k.rank(predictor(PARAMETERS), rows, top)
    for one, other in zip(whole, parts, strict=True):
        assert [item["key"] for item in one["top_k"]] == [item["key"] for item in other["top_k"]]


def ask(top_k: object, instance: object = None, accept: str | None = None) -> Any:
    body = {"instances": [instance or {"features": {"keys": [1], "values": [1]}}], "top_k": top_k}
    app = create_app(predictor(PARAMETERS), Settings.from_environment({}))
    return invoke(app, body, accept=accept)


def test_through_the_endpoint() -> None:
    top = {"from": [4, 11], "k": 2, "exclude": [5]}
    answer = ask(top)
    assert answer.status_code == 200
    row = np.zeros(DIM, np.float32)
    row[1] = 1
    want = pairs(row, 4, 11, [5], "binary_classifier")[:2]
    (prediction,) = answer.get_json()["predictions"]
    assert [item["key"] for item in prediction["top_k"]] == [key for _, key, _, _ in want]
    assert list(prediction["top_k"][0]) == ["key", "score", "predicted_label"]
    assert type(prediction["top_k"][0]["key"]) is int
    lines = ask(top, accept="application/jsonlines")
    assert json.loads(lines.data) == prediction
    assert ask(top, accept="text/csv").status_code == 406
    # Of a feature with this name nothing is meant.
    plain = invoke(
        create_app(predictor(PARAMETERS), Settings.from_environment({})),
        {"instances": [{"features": {"keys": [], "values": []}, "note": '"top_k"'}], "x": "top_k"},
    )
    assert list(plain.get_json()["predictions"][0]) == ["score", "predicted_label"]


RANGE = '"from" must be [first, last] with 0 <= first <= last < 12; got '


@pytest.mark.parametrize(
    ("top_k", "message"),
    [
        (5, "it must be an object; got 5"),
        ({"from": [0, 1], "k": 1, "form": 2}, 'it has "from", "k" and "exclude"; got "form"'),
        ({"k": 1}, '"from" must be [first, last], two keys; got null'),
        ({"from": [1], "k": 1}, '"from" must be [first, last], two keys; got [1]'),
        ({"from": [0, 1.5], "k": 1}, '"from" must be [first, last], two keys; got [0,1.5]'),
        ({"from": [0, True], "k": 1}, '"from" must be [first, last], two keys; got [0,true]'),
        ({"from": [3, 2], "k": 1}, RANGE + "[3,2]"),
        ({"from": [-1, 2], "k": 1}, RANGE + "[-1,2]"),
        ({"from": [0, 12], "k": 1}, RANGE + "[0,12]"),
        ({"from": [0, 1]}, '"k" must be a whole number >= 1; got null'),
        ({"from": [0, 1], "k": 0}, '"k" must be a whole number >= 1; got 0'),
        ({"from": [0, 1], "k": 1.5}, '"k" must be a whole number >= 1; got 1.5'),
        ({"from": [0, 1], "k": 1, "exclude": 3}, '"exclude" must be a list of whole numbers; '
                                                 "got 3"),
        ({"from": [0, 1], "k": 1, "exclude": [12]}, "key 12 must be from 0 to 11"),
    ],
)  # fmt: skip
def test_invalid_options(top_k: object, message: str) -> None:
    answer = ask(top_k)
    assert answer.status_code == 400
    assert error(answer) == ("DataError", f"top_k: {message}")


def test_an_invalid_instance_is_named() -> None:
    answer = ask({"from": [0, 1], "k": 1}, {"features": [1]})
    assert answer.status_code == 400
    assert (
        error(answer)[1] == "instance 0 (the first is 0): 1 features; the model's feature_dim is 12"
    )


def test_too_many_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_k, "MAX_SCORES", 20)
    rows = instances(np.zeros((3, DIM), np.float32))
    top = top_k_options.parse({"from": [0, 9], "k": 1}, DIM)
    with pytest.raises(DataError) as caught:
        top_k.rank(predictor(PARAMETERS), rows, top)
    assert str(caught.value) == (
        "top_k: 3 instances and 10 features are 30 scores; at most 20 in a request"
    )


def test_too_many_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_k, "MAX_RESULTS", 20)
    rows = instances(np.zeros((3, DIM), np.float32))
    model = predictor(PARAMETERS)
    ranked = top_k.rank(model, rows, top_k_options.parse({"from": [0, 5], "k": 99}, DIM))
    assert [len(row["top_k"]) for row in ranked] == [6, 6, 6]
    with pytest.raises(DataError) as caught:
        top_k.rank(model, rows, top_k_options.parse({"from": [0, 9], "k": 7}, DIM))
    assert str(caught.value) == (
        "top_k: 3 instances with 7 features each are 21 results; at most 20 in a response"
    )


def test_a_short_request_for_a_long_response() -> None:
    app = create_app(predictor(fm.parameters(0, 200_000, 1)), Settings.from_environment({}))
    instances = [{"features": {"keys": [], "values": []}}] * 40
    answer = invoke(app, {"instances": instances, "top_k": {"from": [0, 199_999], "k": 200_000}})
    assert answer.status_code == 400
    assert error(answer)[1] == (
        "top_k: 40 instances with 200000 features each are 8000000 results; at most 100000 in a "
        "response"
    )


def test_scores_beyond_float32() -> None:
    rows = instances(np.array([[0] * DIM, [3e38] * DIM], np.float32))
    with pytest.raises(DataError, match=r"instance 1 \(the first is 0\): one of its scores"):
        top_k.rank(predictor(PARAMETERS), rows, top_k_options.parse({"from": [0, 9], "k": 1}, DIM))


def test_scores_whose_squares_are_beyond_float32() -> None:
    w = np.array([1e30, 3e30, -2e30], np.float32)
    model = predictor(
        Parameters(np.zeros(1, np.float32), w, np.zeros((3, 2), np.float32)), "regressor"
    )
    top = top_k_options.parse({"from": [0, 2], "k": 2}, 3)
    (answer,) = top_k.rank(model, instances(np.zeros((1, 3), np.float32)), top)
    want = [{"key": key, "score": float(w[key])} for key in (1, 0)]
    assert answer == {"top_k": want}


def test_every_feature_is_excluded() -> None:
    top = top_k_options.parse({"from": [2, 3], "k": 1, "exclude": [2, 3]}, DIM)
    rows = instances(np.zeros((2, DIM), np.float32))
    assert top_k.rank(predictor(PARAMETERS), rows, top) == [{"top_k": []}] * 2
