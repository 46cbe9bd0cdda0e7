"""Dense data anywhere in memory: fields of records, backwards, repeated, not aligned."""

import numpy as np
import pytest
from conftest import low_rank, punch_holes
from grids import pairwise

from sklearn_mf import NMF, MatrixFactorization, kernels

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
DTYPES = [np.float32, np.float64]


def field_of_records(X):
    packed = np.zeros(X.shape, dtype=[("other", "u1"), ("value", X.dtype), ("rest", "S2")])
    packed["value"] = X
    return packed["value"]


def at_an_odd_address(X):
    memory = np.zeros(X.nbytes + 1, dtype=np.uint8)[1:]
    out = np.frombuffer(memory, dtype=X.dtype).reshape(X.shape)
    out[:] = X
    return out


LAYOUTS = {
    "field of records": field_of_records,
    "field of records, transposed": lambda X: field_of_records(X.T).T,
    "odd address": at_an_odd_address,
    "backwards": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "half": lambda X: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
    "Fortran": np.asfortranarray,
    "read-only": lambda X: np.broadcast_to(X, (1, *X.shape))[0],
}


@pytest.fixture(params=DTYPES)
def X(request):
    return np.abs(low_rank(40, 15, 2)).astype(request.param)


def assert_same(found, expected):
    tol = 1e-2 if expected.dtype == np.float32 else 1e-7
    np.testing.assert_allclose(found, expected, rtol=tol, atol=tol)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("solver", ["cd", "mu"])
def test_nmf_reads_any_layout(X, layout, solver):
    there = LAYOUTS[layout](X)
    np.testing.assert_array_equal(there, X)
    model = NMF(2, solver=solver, random_state=0, max_iter=30, tol=0)
    expected = model.fit_transform(X)
    codes = model.transform(X)
    assert_same(model.transform(there), codes)
    assert_same(model.fit_transform(there), expected)


@pytest.mark.parametrize(
    ("layout", "holes", "loss", "weighted"),
    pairwise([*LAYOUTS], [0, 0.03, 0.5], ["squared", "huber"], [False, True]),
)
def test_factorizations_read_any_layout(X, layout, holes, loss, weighted):
    if holes:
        X = punch_holes(X, holes)
    weights = np.random.default_rng(0).uniform(0.5, 2, X.shape).astype(X.dtype)
    there, weights_there = LAYOUTS[layout](X), LAYOUTS[layout](weights)
    model = MatrixFactorization(
        2, loss=loss, bias="features", random_state=0, max_iter=5, tol=0, alpha_W=0.1
    )
    options = [{"entry_weight": w} if weighted else {} for w in (weights, weights_there)]
    expected = model.fit(X, **options[0]).components_
    codes = model.transform(X)
    assert_same(model.transform(there), codes)
    assert_same(model.fit(there, **options[1]).components_, expected)
    streams = [
        MatrixFactorization(2, loss=loss, random_state=0).partial_fit(data, **option)
        for data, option in zip((X, there), options, strict=True)
    ]
    assert_same(streams[1].components_, streams[0].components_)


@pytest.mark.parametrize("axis", [0, 1])
def test_repeated_data_need_not_be_copied(axis):
    line = np.random.default_rng(0).random(12)
    X = np.broadcast_to(line if axis else line[:, None], (12, 12))
    expected = MatrixFactorization(1, random_state=0).fit_transform(X.copy())
    np.testing.assert_allclose(MatrixFactorization(1, random_state=0).fit_transform(X), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_product_reads_any_layout(dtype, layout):
    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(70, 33)).astype(dtype), rng.normal(size=(33, 5)).astype(dtype)
    tol = 1e-5 if dtype == np.float32 else 1e-12
    found = kernels.dense_times_dense(LAYOUTS[layout](A), B, 1)
    np.testing.assert_allclose(found, A @ B, rtol=tol, atol=10 * tol)
