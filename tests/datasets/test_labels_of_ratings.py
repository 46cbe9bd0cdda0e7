"""Labels in files of ratings are what stands there."""

import pytest

from sklearn_mf.datasets import load_ratings

pytest.importorskip("pandas")


def written(tmp_path, text):
    path = tmp_path / "ratings.txt"
    path.write_text(text)
    return path


@pytest.mark.parametrize("separator", [",", "\t", "::"])
def test_leading_zeros_and_words_for_nothing_are_kept(tmp_path, separator):
    lines = ["user,item,rating", "007,NA,5", "7,null,3", "12,3e5,4"]
    frame = load_ratings(written(tmp_path, "\n".join(lines).replace(",", separator)))
    assert frame["user"].tolist() == ["007", "7", "12"]
    assert frame["item"].tolist() == ["NA", "null", "3e5"]
    assert frame["rating"].tolist() == [5, 3, 4]


def test_whole_numbers_are_numbers_column_by_column(tmp_path):
    frame = load_ratings(written(tmp_path, "1,010,5\n-2,11,3\n0,12,4\n"))
    assert frame["user"].tolist() == [1, -2, 0]
    assert frame["user"].dtype == "int64"
    assert frame["item"].tolist() == ["010", "11", "12"]


def test_a_number_that_no_integer_holds_stays_a_string(tmp_path):
    frame = load_ratings(written(tmp_path, "user,item,rating\n18446744073709551617,1,5\n1,2,3\n"))
    assert frame["user"].tolist() == ["18446744073709551617", "1"]


def test_an_empty_label_is_missing_and_so_are_ratings_in_words(tmp_path):
    frame = load_ratings(written(tmp_path, "user,item,rating\na,,5\nb,x,NA\n"))
    assert frame["item"].isna().tolist() == [True, False]
    assert frame["rating"].isna().tolist() == [False, True]


def test_columns_that_are_named_afterwards_keep_their_labels(tmp_path):
    path = written(tmp_path, "# a line\n1,02,3,4,5\n2,03,3,4,5\n")
    frame = load_ratings(path, skiprows=1, columns=["u", "i", "r", "t", "x"])
    assert frame["i"].tolist() == ["02", "03"]
