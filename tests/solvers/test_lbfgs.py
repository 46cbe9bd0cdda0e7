"""L-BFGS minimises what SciPy would, on both factors or on one."""

import numpy as np
import pytest
from conftest import fit_for, low_rank, punch_holes
from scipy.optimize import approx_fprime, minimize
from sklearn.exceptions import ConvergenceWarning

from sklearn_mf import MatrixFactorization
from sklearn_mf.losses import LOSSES
from sklearn_mf.objective.problem import Problem, Side
from sklearn_mf.observations import observe
from sklearn_mf.penalties import ElasticNet
from sklearn_mf.solvers import ALS, LBFGS, lbfgs


def problem(X, loss="squared", positive=False, l1_ratio=0.0, weight=None):
    net = ElasticNet(0.1, l1_ratio, positive)
    loss = LOSSES[loss]()
    sides = Side(net, True, bias_ridge=0.1), Side(net, True)
    return Problem(observe(X, sample_weight=weight), loss, *sides, 2)


@pytest.mark.parametrize("kind", ["_OfBoth", "_OfFeatures"])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("loss", ["squared", "poisson"])
def test_the_gradient_is_that_of_the_function(kind, positive, loss):
    rng = np.random.default_rng(0)
    X, weight = punch_holes(fit_for(loss, low_rank(8, 6, 2))), rng.random(8) + 0.5
    given = problem(X, loss, positive, 0.5 if positive else 0.0, weight)
    function = getattr(lbfgs, kind)(given)
    W, Ht = rng.random((8, 3)), rng.random((6, 3))
    point = function.point(W, Ht)
    _, gradient = function(point)
    numeric = approx_fprime(point, lambda p: function(p)[0], 1e-6)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-3, atol=1e-3)


def test_both_factors_end_where_scipy_does(holed):
    settings = {"alpha_W": 0.05, "init": "svd", "random_state": 0}
    model = MatrixFactorization(2, solver=LBFGS(projected=False), tol=1e-12, **settings)
    model.set_params(max_iter=2000).fit(holed)
    seen = ~np.isnan(holed)

    def objective(packed):
        W, Ht = packed[:60].reshape(30, 2), packed[60:].reshape(20, 2)
        error = np.where(seen, W @ Ht.T - np.nan_to_num(holed), 0)
        rows, columns = seen.sum(axis=1)[:, None], seen.sum(axis=0)[:, None]
        penalty = np.sum(rows * W**2) + np.sum(columns * Ht**2)
        gradient = error @ Ht + 0.05 * rows * W, error.T @ W + 0.05 * columns * Ht
        return 0.5 * np.sum(error**2) + 0.025 * penalty, np.concatenate(
            [part.ravel() for part in gradient]
        )

    rng = np.random.default_rng(0)
    best = min(
        minimize(objective, rng.normal(size=100), method="CG", jac=True).fun for _ in range(2)
    )
    np.testing.assert_allclose(model.loss_curve_[-1], best, rtol=1e-4)


@pytest.mark.parametrize("projected", [False, True])
@pytest.mark.parametrize("bias", [False, "features", "samples", "both"])
def test_it_reaches_the_objective_of_als(holed, bias, projected):
    settings = {"bias": bias, "alpha_W": 0.02, "tol": 1e-9, "max_iter": 2000, "random_state": 0}
    als = MatrixFactorization(3, solver=ALS(), **settings).fit(holed)
    model = MatrixFactorization(3, solver=LBFGS(projected=projected), **settings).fit(holed)
    np.testing.assert_allclose(model.loss_curve_[-1], als.loss_curve_[-1], rtol=1e-4)
    assert (np.diff(model.loss_curve_) <= 0).all()


def test_solving_w_out_needs_fewer_iterations(holed):
    settings = {"alpha_W": 0.02, "tol": 1e-9, "max_iter": 2000, "random_state": 0}
    one, both = (
        MatrixFactorization(3, solver=LBFGS(projected=projected), **settings).fit(holed).n_iter_
        for projected in (True, False)
    )
    assert one < both


@pytest.mark.parametrize("projected", [False, True])
def test_sample_weights_are_repetitions(holed, projected):
    weight = np.random.default_rng(0).integers(0, 4, len(holed))
    settings = {"alpha_W": 0.02, "max_iter": 15, "tol": 0, "random_state": 0}
    weighted, repeated = (
        MatrixFactorization(3, solver=LBFGS(projected=projected), **settings) for _ in range(2)
    )
    weighted.fit(holed, sample_weight=weight)
    repeated.fit(np.repeat(holed, weight, axis=0))
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-8)


@pytest.mark.parametrize("positive", [False, "W", "H"])
def test_absolute_values_of_signed_factors_are_refused(holed, positive):
    model = MatrixFactorization(3, solver="lbfgs", alpha_W=0.1, l1_ratio=0.5, positive=positive)
    with pytest.raises(ValueError, match=r"solver='lbfgs'.*l1_ratio > 0.*solver='als'"):
        model.fit(holed)


def test_counts_with_absolute_values_are_left_to_gradient_descent():
    X = fit_for("poisson", low_rank())
    model = MatrixFactorization(2, loss="poisson", alpha_W=0.05, l1_ratio=0.5, max_iter=3000)
    assert model.set_params(random_state=0).fit(X).solver_.momentum == "auto"


def test_iterations_are_counted_and_a_short_run_warns(holed):
    settings = {"solver": "lbfgs", "alpha_W": 0.0, "max_iter": 7, "tol": 0, "random_state": 0}
    model = MatrixFactorization(3, **settings).fit(holed)
    assert model.n_iter_ == len(model.loss_curve_) == len(model.loss_curve_seconds_) == 7
    with pytest.warns(ConvergenceWarning, match="max_iter=3"):
        model.set_params(max_iter=3, tol=1e-9).fit(holed)


def test_where_no_step_leads_lower_it_ends():
    X = np.outer([1.0, 2.0, 3.0], [1.0, 2.0])
    model = MatrixFactorization(1, solver="lbfgs", max_iter=1000, tol=0).fit(X)
    assert model.n_iter_ < 1000
    assert model.reconstruction_err_ < 1e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("projected", [False, True])
def test_the_dtype_stays(holed, dtype, projected):
    model = MatrixFactorization(3, solver=LBFGS(projected=projected), alpha_W=0.05)
    model.set_params(random_state=0).fit(holed.astype(dtype))
    assert model.components_.dtype == dtype
