"""Entries of sparse integers that come more than once, against sums of floats."""

import numpy as np
import pytest
from scipy import sparse

from sklearn_mf import MatrixFactorization
from sklearn_mf.model_selection import hide_entries, observed_entries
from sklearn_mf.utils._sparse import sound_csr

LARGE = {
    np.uint8: 200,
    np.int8: -100,
    np.uint16: 60_000,
    np.int16: 30_000,
    np.uint32: 4_000_000_000,
    np.int32: -2_000_000_000,
    bool: True,
}


def repeated(dtype, kind, make):
    """A matrix of 3 x 4 of which two places come twice."""
    value = LARGE[dtype]
    data = np.array([1, value, value, 1, value, 1, value], dtype=dtype)
    rows, columns = [0, 0, 0, 1, 2, 2, 2], [3, 1, 1, 0, 2, 0, 2]
    if kind == "coo":
        return getattr(sparse, f"coo_{make}")((data, (rows, columns)), shape=(3, 4))
    if kind == "csr":
        arrays = data, columns, [0, 3, 4, 7]
        return getattr(sparse, f"csr_{make}")(arrays, shape=(3, 4))
    if kind == "csc":
        arrays = data[[3, 5, 1, 2, 4, 6, 0]], [1, 2, 0, 0, 2, 2, 0], [0, 2, 4, 6, 7]
        return getattr(sparse, f"csc_{make}")(arrays, shape=(3, 4))
    blocks = data[[1, 2, 4]].reshape(3, 1, 1)  # BSR
    arrays = blocks, [1, 1, 2], [0, 2, 2, 3]
    return getattr(sparse, f"bsr_{make}")(arrays, shape=(3, 4))


def summed(X):
    """What X has, each entry being a float before it is added up."""
    coo = sparse.coo_array(X.tocoo())
    total = np.zeros(X.shape)
    np.add.at(total, (coo.row, coo.col), coo.data.astype(float))
    return total


@pytest.mark.parametrize("make", ["array", "matrix"])
@pytest.mark.parametrize("kind", ["coo", "csr", "csc", "bsr"])
@pytest.mark.parametrize("dtype", LARGE)
def test_sums_have_room(dtype, kind, make):
    X = repeated(dtype, kind, make)
    expected, before = summed(repeated(dtype, kind, make)), X.data.copy()
    found = sound_csr(X, "X")
    assert found.format == "csr"
    assert isinstance(found, sparse.spmatrix) == (make == "matrix")
    np.testing.assert_array_equal(found.toarray(), expected)
    rows, columns, values = observed_entries(X)
    np.testing.assert_array_equal(values, expected[rows, columns])
    assert len(values) == np.count_nonzero(expected)
    np.testing.assert_array_equal(hide_entries(X, []).toarray(), expected)
    np.testing.assert_array_equal(X.data, before)
    assert X.dtype == dtype


@pytest.mark.parametrize("kind", ["coo", "csr"])
def test_sums_of_the_largest_integers(kind):
    """Exact where 64 bits suffice, else the nearest float."""
    for value, expected in [(2**60 + 1, 2**61 + 2), (2**62, 2.0**63), (2**63 - 1, 2.0**64)]:
        arrays = ([0, 0], [1, 1]) if kind == "coo" else ([1, 1], [0, 2])
        data = np.array([value, value])
        make = sparse.coo_array if kind == "coo" else sparse.csr_array
        X = make((data, arrays) if kind == "coo" else (data, *arrays), shape=(1, 3))
        assert sound_csr(X, "X").toarray()[0, 1] == expected


def test_without_repetitions_the_dtype_stays():
    for make in (sparse.coo_array, sparse.csr_array, sparse.csc_array):
        assert sound_csr(make(np.eye(3, dtype=np.uint8)), "X").dtype == np.uint8


def test_a_fit_sees_the_sums():
    X = repeated(np.uint8, "coo", "array")
    model = MatrixFactorization(1, alpha_W=0.1, random_state=0)
    found = model.fit_transform(X)
    np.testing.assert_array_equal(found, model.fit_transform(summed(X)))
