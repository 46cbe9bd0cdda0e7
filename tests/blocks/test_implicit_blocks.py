"""Implicit feedback in blocks of rows, against the same in memory."""

import numpy as np
import pytest
from conftest import random_csr

from sklearn_mf import ImplicitFactorization
from sklearn_mf.blocks import from_csr
from sklearn_mf.solvers import ALS


def plays(dtype=np.float64):
    X = random_csr((150, 40), 0.15)
    X.data = np.ceil(5 * X.data)
    return X.astype(dtype)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"bias": "both"},
        {"positive": True},
        {"confidence": "log", "alpha_H": 0.1},
        {"solver": "lbfgs"},
    ],
    ids=str,
)
def test_a_fit_to_blocks_is_the_fit_in_memory(params):
    X, B = plays(), from_csr(plays(), 40)
    params = {"max_iter": 6, "random_state": 0} | params
    memory = ImplicitFactorization(5, **params).fit(X)
    blocks = ImplicitFactorization(5, **params).fit(B)
    rtol = 1e-9 if params.get("solver") != "lbfgs" else 1e-5
    np.testing.assert_allclose(blocks.loss_curve_, memory.loss_curve_, rtol=rtol / 100)
    np.testing.assert_allclose(blocks.components_, memory.components_, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(blocks.transform(B), memory.transform(X), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("inner", ["cg", "blocks"])
def test_columns_whose_sums_are_known_are_solved_exactly(inner):
    X, params = plays(), {"random_state": 0, "solver": ALS(inner, block_size=3)}
    memory = ImplicitFactorization(5, **params).fit(X)
    blocks = ImplicitFactorization(5, **params).fit(from_csr(X, 40))
    assert blocks.loss_curve_[-1] <= 1.005 * memory.loss_curve_[-1]
    assert (np.diff(blocks.loss_curve_) <= 0).all()


def test_single_precision_and_weights():
    X, rng = plays(np.float32), np.random.default_rng(1)
    E = X.copy()
    E.data, s = rng.random(E.nnz).astype(np.float32), rng.random(150)
    weights = {"sample_weight": s, "entry_weight": E}
    memory = ImplicitFactorization(5, random_state=0).fit(X, **weights)
    weights["entry_weight"] = from_csr(E, 40)
    blocks = ImplicitFactorization(5, random_state=0).fit(from_csr(X, 40), **weights)
    np.testing.assert_allclose(blocks.loss_curve_, memory.loss_curve_, rtol=1e-5)


def test_what_blocks_cannot_do_is_refused():
    B = from_csr(plays(), 40)
    with pytest.raises(ValueError, match="some rows at a time"):
        ImplicitFactorization(3).fit(plays()).score(B)
    with pytest.raises(ValueError, match="early_stopping=False"):
        ImplicitFactorization(3, early_stopping=True).fit(B)


def test_dask():
    da, dask = pytest.importorskip("dask.array"), pytest.importorskip("dask")
    X = plays()
    parts = [
        da.from_delayed(dask.delayed(X[i : i + 50]), (50, 40), X.dtype, meta=X[:0])
        for i in range(0, 150, 50)
    ]
    D = da.concatenate(parts)
    memory = ImplicitFactorization(4, random_state=0, max_iter=4)
    expected = memory.fit_transform(X)
    codes = ImplicitFactorization(4, random_state=0, max_iter=4).fit_transform(D)
    assert codes.chunks == ((50, 50, 50), (4,))
    np.testing.assert_allclose(codes.compute(), expected, rtol=1e-7, atol=1e-9)
