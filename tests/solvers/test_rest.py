"""Fits that have nothing left to find: they end, and nothing rises or runs away."""

from time import perf_counter

import numpy as np
import pytest
from conftest import low_rank, minutes_on_reference, punch_holes
from grids import pairwise
from scipy.optimize import linprog

from sklearn_mf import NMF, MatrixFactorization
from sklearn_mf.objective.canonical_form import _mixture
from sklearn_mf.solvers import ALS, CoordinateDescent

QUIET = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@QUIET
@pytest.mark.parametrize(
    ("solver", "bias", "value", "dtype"),
    pairwise(
        ["als", "cd", "gd", "lbfgs", "adam"],
        ["features", "samples", "both"],
        [1.0, 0.1, -1 / 3, 12345.678],
        [np.float64, np.float32],
    ),
)
def test_biases_that_explain_everything(solver, bias, value, dtype):
    X = punch_holes(np.full((8, 12), value, dtype=dtype), share=0.5)
    for init in ("auto", "random"):
        model = MatrixFactorization(
            3, solver=solver, bias=bias, init=init, max_iter=30, random_state=0
        )
        W = model.fit_transform(X)
        np.testing.assert_allclose(model.inverse_transform(W), value, rtol=1e-3)


@QUIET
@pytest.mark.parametrize(
    ("positive", "memory", "dtype"),
    pairwise([False, "W", "H", True], [0, 3], [np.float64, np.float32]),
)
def test_the_objective_never_rises_on_tiny_integers(positive, memory, dtype):
    rng = np.random.default_rng(0)
    for _ in range(15):
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
    for _ in range(10):
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


@QUIET
@pytest.mark.parametrize("n_observed", [1, 2])
def test_codes_that_could_trade_for_nothing_are_the_cheapest(n_observed):
    rng = np.random.default_rng(2)
    H = rng.random((3, 4))
    X = np.full((30, 4), np.nan)
    for row in X:
        seen = rng.permutation(4)[:n_observed]
        row[seen] = rng.random(3) @ H[:, seen]
    model = MatrixFactorization(3, positive=True, alpha_W=1e-8, l1_ratio=1, max_iter=1)
    model.fit(rng.random((5, 4)))
    model.components_ = H
    for row, code in zip(X, model.transform(X), strict=True):
        seen = ~np.isnan(row)
        least = linprog(np.ones(3), A_eq=H[:, seen].T, b_eq=row[seen]).fun
        np.testing.assert_allclose(code @ H[:, seen], row[seen], rtol=1e-4)
        np.testing.assert_allclose(code.sum(), least, rtol=1e-5)


@minutes_on_reference
def test_flat_valleys_take_a_few_steps():
    X = punch_holes(np.abs(low_rank(30, 3, noise=1.0)))
    model = NMF(
        3,
        solver="mu",
        beta_loss=0.5,
        alpha_W=1e-8,
        l1_ratio=1,
        init="random",
        random_state=0,
        tol=10,
    ).fit(X)
    began = perf_counter()
    model.transform(X)
    assert perf_counter() - began < 3  # 17 s, where descent alone went through them


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("bias", [False, "features", "both"])
@pytest.mark.parametrize("loss", ["squared", "absolute"])
def test_streams_of_zeros_give_components_that_are_numbers(dtype, bias, loss):
    nan = np.nan
    first = [[nan, 0, -1, nan, nan], [nan, nan, -1, -1, nan], [1, nan, nan, 0, nan]]
    second = [[0, 0, 0, 0, 0], [0, nan, nan, nan, nan]]
    model = MatrixFactorization(
        1, bias=bias, loss=loss, alpha_W=0.1, forget_factor=1e-3, random_state=0
    )
    for batch in (first, second, np.zeros((3, 5)), np.zeros((1, 5)), first):
        model.partial_fit(np.asarray(batch, dtype=dtype))
        assert np.isfinite(model.components_).all()


def test_costs_of_nothing_but_rounding_error_leave_lengths_as_they_are():
    mix = _mixture(-1e-18 * np.eye(2), np.eye(2))
    np.testing.assert_array_equal(mix, np.eye(2))


@QUIET
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("loss", ["squared", "huber", "absolute"])
def test_codes_do_not_drift_along_valleys_that_cost_the_same_everywhere(dtype, loss):
    rng = np.random.default_rng(0)
    X = np.full((40, 4), np.nan, dtype=dtype)
    X[np.arange(40), np.arange(40) % 4] = rng.random(40)
    X[:5] = rng.random((5, 4))
    model = MatrixFactorization(
        3, positive=True, loss=loss, alpha_W=0.0, max_iter=20, random_state=0
    )
    W = model.fit_transform(X)
    expected = X[~np.isnan(X)]
    found = model.inverse_transform(W)[~np.isnan(X)]
    assert np.abs(W[5:] @ model.components_).max() < 1e4
    np.testing.assert_allclose(found[20:], expected[20:], atol=1e-2)
