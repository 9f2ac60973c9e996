"""Reading a MovieLens-100k folder, and the generated stand-in for it."""

import numpy as np
import pytest

from local_sagemaker.errors import LocalError
from local_sagemaker.lab.generated import generate
from local_sagemaker.lab.ratings import Ratings, read_folder, write_folder

GOOD = "1\t1\t5\t874965758\n943\t1682\t1\t876893171\n"


@pytest.fixture(scope="module")
def generated() -> Ratings:
    return generate()


def folder_with(tmp_path, base, test=GOOD):
    (tmp_path / "ua.base").write_text(base)
    (tmp_path / "ua.test").write_text(test)
    return tmp_path


def test_reads_rows_in_the_order_of_the_file(tmp_path):
    ratings = read_folder(folder_with(tmp_path, GOOD))
    assert ratings.train.tolist() == [[1, 1, 5, 874965758], [943, 1682, 1, 876893171]]
    assert not ratings.is_movielens()


def test_windows_line_ends_are_read(tmp_path):
    folder = folder_with(tmp_path, "")
    (folder / "ua.base").write_bytes(GOOD.replace("\n", "\r\n").encode())
    assert len(read_folder(folder).train) == 2


def test_no_folder(tmp_path):
    with pytest.raises(LocalError, match="nowhere is not a folder"):
        read_folder(tmp_path / "nowhere")


def test_a_folder_without_the_files_is_told_what_it_holds(tmp_path):
    (tmp_path / "u.data").touch()
    with pytest.raises(LocalError, match=r"no ua\.base and no ua\.test.*holds: u\.data"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1\t2\t3", "line 2: not user, movie"),
        ("1,2,3,4", "line 2: not user, movie"),
        ("1\t2\t3.5\t4", "line 2: not user, movie"),
        ("0\t1\t5\t1", "line 2: user must be 1 to 943; got 0"),
        ("944\t1\t5\t1", "line 2: user must be 1 to 943; got 944"),
        ("1\t1683\t5\t1", "line 2: movie must be 1 to 1682; got 1683"),
        ("1\t1\t6\t1", "line 2: rating must be 1 to 5; got 6"),
    ],
)
def test_a_bad_row_is_named(tmp_path, line, message):
    with pytest.raises(LocalError, match=message):
        read_folder(folder_with(tmp_path, f"1\t1\t5\t1\n{line}\n"))


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(LocalError, match=r"ua\.test holds no rating"):
        read_folder(folder_with(tmp_path, GOOD, test=""))


def test_generated_ratings_have_the_shape_of_movielens(generated):
    train, test = generated.train, generated.test
    assert (len(train), len(test)) == (90_570, 9_430)
    for rows in (train, test):
        key = rows[:, 0] * 10_000 + rows[:, 1]
        assert np.all(np.diff(key) > 0)  # sorted by user and movie, no pair twice
        assert set(np.unique(rows[:, 0])) == set(range(1, 944))
        assert rows[:, 1].min() >= 1 and rows[:, 1].max() <= 1682
        assert set(np.unique(rows[:, 2])) == {1, 2, 3, 4, 5}
    assert np.all(np.bincount(test[:, 0])[1:] == 10)
    both = np.concatenate([train, test])
    assert len(np.unique(both[:, 0] * 10_000 + both[:, 1])) == 100_000
    assert np.mean(both[:, 2] >= 4) == pytest.approx(0.553, abs=0.005)


def test_generated_popularity_is_skewed(generated):
    counts = np.sort(np.bincount(generated.train[:, 1], minlength=1683)[1:])[::-1]
    assert counts[:168].sum() > 0.4 * counts.sum()  # a tenth of the movies


def test_generation_is_repeatable_and_seeded(generated):
    again = generate()
    assert np.array_equal(again.train, generated.train)
    assert np.array_equal(again.test, generated.test)
    assert not np.array_equal(generate(seed=1).train, generated.train)


def test_generated_ratings_say_they_are_not_movielens_and_survive_a_file(generated, tmp_path):
    write_folder(generated, tmp_path)
    read = read_folder(tmp_path)
    assert np.array_equal(read.train, generated.train)
    assert not read.is_movielens()
