"""Fits that have nothing left to find: they end, and nothing rises or runs away."""

import numpy as np
import pytest
from conftest import punch_holes

from sklearn_mf import MatrixFactorization
from sklearn_mf.solvers import ALS, CoordinateDescent

QUIET = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@QUIET
@pytest.mark.parametrize("solver", ["als", "cd", "gd", "lbfgs", "adam"])
@pytest.mark.parametrize("bias", ["features", "samples", "both"])
@pytest.mark.parametrize("value", [1.0, 0.1, -1 / 3, 12345.678])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_biases_that_explain_everything(solver, bias, value, dtype):
    X = punch_holes(np.full((8, 12), value, dtype=dtype), share=0.5)
    for init in ("auto", "random"):
        model = MatrixFactorization(
            3, solver=solver, bias=bias, init=init, max_iter=30, random_state=0
        )
        W = model.fit_transform(X)
        np.testing.assert_allclose(model.inverse_transform(W), value, rtol=1e-3)


@QUIET
@pytest.mark.parametrize("positive", [False, "W", "H", True])
@pytest.mark.parametrize("memory", [0, 3])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_objective_never_rises_on_tiny_integers(positive, memory, dtype):
    rng = np.random.default_rng(0)
    for _ in range(25):
        shape = rng.integers(2, 9), rng.integers(2, 7)
        X = rng.integers(-2, 3, shape).astype(dtype)
        X[rng.random(shape) < rng.choice([0, 0.2, 0.5])] = np.nan
        if np.isnan(X).all(axis=0).any() or np.isnan(X).all(axis=1).any():
            continue
        model = MatrixFactorization(
            int(rng.integers(1, 1 + min(shape))),
            solver=ALS(memory=memory),
            positive=positive,
            max_iter=60,
            tol=0,
            random_state=0,
        ).fit(X)
        limit = 100 * np.finfo(dtype).eps * np.nansum(X**2)
        assert np.diff(model.loss_curve_).max(initial=0) <= limit


@QUIET
@pytest.mark.parametrize("solver", [ALS(), CoordinateDescent()])
@pytest.mark.parametrize("positive", ["W", "H", True])
def test_factors_do_not_run_away_without_a_penalty(solver, positive):
    rng = np.random.default_rng(1)
    for _ in range(20):
        X = rng.integers(-2, 3, (rng.integers(3, 9), rng.integers(3, 7))).astype(float)
        model = MatrixFactorization(
            2, solver=solver, positive=positive, max_iter=200, tol=0, random_state=0
        ).fit(X)
        assert np.abs(model.components_).max() < 1e4


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@QUIET
def test_an_offset_of_numbers_and_logarithms(dtype):
    rng = np.random.default_rng(0)
    X = (1e5 + rng.normal(size=(12, 3))).astype(dtype)
    model = MatrixFactorization(
        1, loss=["poisson", "huber", "poisson"], bias="samples", max_iter=5, random_state=0
    ).fit(X)
    assert np.isfinite(model.loss_curve_).all()
