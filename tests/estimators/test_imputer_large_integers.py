"""Integers that no float can hold come back as they were where types are restored."""

import numpy as np
import pytest

from sklearn_mf import FactorizationImputer

MAKES = ["Int64", "int64[pyarrow]", "object", "polars"]
N_ROWS, HOLE = 12, 3


def table(make, numbers):
    """Identifiers with a hole, the same without one, and floats."""
    holed = [*numbers[:HOLE], None, *numbers[HOLE + 1 :]]
    floats = [float(i) for i in range(len(numbers))]
    if make == "polars":
        return pytest.importorskip("polars").DataFrame({"a": holed, "b": numbers, "c": floats})
    pandas = pytest.importorskip("pandas")
    if "pyarrow" in make:
        pytest.importorskip("pyarrow")
    column = pandas.Series(holed, dtype=make)
    frame = pandas.DataFrame({"a": column, "b": numbers, "c": floats})
    return frame.set_axis([0] * 6 + list(range(len(frame) - 6)), axis=0)  # labels may repeat


def imputer(make):
    fitted = FactorizationImputer(round_features="from_dtype", random_state=0)
    return fitted.set_output(transform="polars" if make == "polars" else "pandas")


def check(filled, numbers):
    found = list(filled["a"])
    assert found[:HOLE] + found[HOLE + 1 :] == numbers[:HOLE] + numbers[HOLE + 1 :]
    assert list(filled["b"]) == numbers
    assert -(2**63) <= found[HOLE] < 2**63


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("first", [2**53 + 1, -(2**53) - 27, 2**63 - 12, -(2**63)])
def test_observed_ones_are_kept(make, first):
    numbers = list(range(first, first + N_ROWS))
    X = table(make, numbers)
    filled = imputer(make).fit_transform(X)
    check(filled, numbers)
    assert str(filled["b"].dtype).lower() == "int64"


@pytest.mark.parametrize("make", MAKES)
def test_those_of_other_rows_too(make):
    fitted = imputer(make).fit(table(make, list(range(2**53, 2**53 + 20))))
    numbers = list(range(2**60 + 1, 2**60 + 1 + N_ROWS))
    check(fitted.transform(table(make, numbers)), numbers)


def test_a_mark_is_no_entry():
    numbers = list(range(2**53 + 1, 2**53 + 1 + N_ROWS))
    X = table("Int64", numbers).fillna(-1)
    fitted = imputer("Int64").set_params(missing_values=-1)
    filled = fitted.fit_transform(X)
    check(filled, numbers)
    assert (filled["a"] > 0).all()


def test_rows_without_types_are_taken_as_they_are():
    numbers = list(range(N_ROWS))
    fitted = imputer("Int64").fit(table("Int64", numbers))
    with pytest.warns(UserWarning, match="valid feature names"):
        filled = fitted.transform(np.column_stack([numbers] * 3).astype(float))
    assert [str(dtype) for dtype in filled.dtypes] == ["Int64", "int64", "float64"]
    assert list(filled["a"]) == numbers
