"""Every solver under every loss and constraint that it serves, against the best of them all."""

import re
from functools import cache

import numpy as np
import pytest
from conftest import fit_for, low_rank, punch_holes, store_observed
from grids import pairwise
from scipy.optimize import nnls
from sklearn.decomposition import NMF

from sklearn_mf import MatrixFactorization, kernels
from sklearn_mf.losses import Absolute, Huber, Logistic, Poisson, Quantile, Squared
from sklearn_mf.solvers import ALS, LBFGS, SGD, Adam, GradientDescent

# Corners are round enough for all solvers to see them.
LOSSES = [Squared(), Huber(0.5), Absolute(0.3), Quantile(0.7, 0.3), Logistic(), Poisson()]
SOLVERS = {
    "als": ALS(),
    "als-cd": ALS(inner="cd"),
    "gd": GradientDescent(),
    "gd-momentum": GradientDescent(momentum=0.9),
    "gd-nesterov": GradientDescent(momentum=0.9, nesterov=True),
    "gd-restarts": GradientDescent(momentum="auto"),
    "gd-preconditioned": GradientDescent(preconditioned=True),
    "adam": Adam(),
    "adam-batches": Adam(batch_size=10),
    "lbfgs": LBFGS(),
    "lbfgs-both": LBFGS(projected=False),
    "sgd": SGD(schedule="adaptive"),
}
if kernels.IMPLEMENTATION == "reference":
    del SOLVERS["sgd"]  # entry by entry in Python: minutes; test_sgd.py tries it there
NAMES = {name.partition("-")[0] for name in SOLVERS}
MONOTONE = set(SOLVERS) - {"sgd"}
POSITIVE = [False, True, "W", "H"]
CONSTRAINED = [name for name in SOLVERS if name not in ("gd-preconditioned",)]


def serves(solver, loss):
    return all(hasattr(loss, need) for need in SOLVERS[solver].requires_loss)


def pairs():
    return [(s, loss) for loss in LOSSES for s in SOLVERS if serves(s, loss)]


def data(loss):
    return punch_holes(fit_for(loss, low_rank(25, 12, rank=2, noise=0.3)), share=0.2)


def fit(solver, loss, X, **parameters):
    settings = {"alpha_W": 0.05, "max_iter": 3000, "tol": 1e-7, "random_state": 0}
    model = MatrixFactorization(2, loss=loss, solver=solver, init="svd", **settings)
    return model.set_params(**parameters).fit(X)


@cache
def curve(solver, loss):
    """The objectives of a fit, of which several tests ask."""
    fitted = fit(SOLVERS[solver], loss, data(loss))
    return np.array(fitted.loss_curve_)


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize(("solver", "loss"), pairs(), ids=str)
def test_the_objective_is_within_a_hundredth_of_the_best(solver, loss):
    best = min(curve(s, loss)[-1] for s, other in pairs() if other is loss)
    assert curve(solver, loss)[-1] < 1.01 * best


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize(("solver", "loss"), [p for p in pairs() if p[0] in MONOTONE], ids=str)
def test_the_objective_never_rises(solver, loss):
    objective = curve(solver, loss)
    assert (np.diff(objective) <= 1e-10 * objective[0]).all()


RATES = {
    "gd": lambda rate: GradientDescent(rate),
    "gd-momentum": lambda rate: GradientDescent(rate, momentum=0.9),
    "gd-restarts": lambda rate: GradientDescent(rate, momentum="auto"),
    "gd-preconditioned": lambda rate: GradientDescent(rate, preconditioned=True),
    "adam": lambda rate: Adam(rate),
    "adam-constant": lambda rate: Adam(rate, "constant"),
    "adam-cosine": lambda rate: Adam(rate, "cosine"),
    "adam-batches": lambda rate: Adam(rate, batch_size=10),
    "adam-entries": lambda rate: Adam(rate, batch_size=50, batches="entries"),
    "sgd-adagrad": lambda rate: SGD(rate),
    "sgd-constant": lambda rate: SGD(rate, "constant"),
    "sgd-invscaling": lambda rate: SGD(rate, "invscaling"),
    "sgd-adaptive": lambda rate: SGD(rate, "adaptive"),
}
RATES = {name: make for name, make in RATES.items() if name.partition("-")[0] in NAMES}
GOOD_RATES = {"gd": 0.01, "gd-momentum": 0.003, "gd-restarts": 0.003, "gd-preconditioned": 0.3}


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize(
    ("name", "loss", "positive"), pairwise([*RATES], LOSSES, [False, True]), ids=str
)
def test_a_learning_rate_a_thousand_times_too_large_recovers_or_is_an_error(name, loss, positive):
    if positive and name == "gd-preconditioned":
        return  # refused, see test_gradient_descent.py
    solver = RATES[name](1000 * GOOD_RATES.get(name, 0.1))
    if not all(hasattr(loss, need) for need in solver.requires_loss):
        return
    X = data(loss)
    try:
        fitted = fit(solver, loss, X, positive=positive, max_iter=100)
    except ValueError as error:
        if re.search("diverged.*learning_rate", str(error)):
            return
        raise
    nothing = fit("auto", loss, X, alpha_W=1e9)
    W = fitted.transform(X)
    assert np.isfinite(fitted.components_).all()
    assert np.isfinite(W).all()
    assert np.isfinite(fitted.loss_curve_).all()
    # About as good as no components at all, or better.
    assert fitted.loss_curve_[-1] < 1.5 * nothing.loss_curve_[-1]


# Positive factors and absolute values ---------------------------------------------------------


@cache
def constrained(solver, l1_ratio, positive):
    """A fit of positive data, and the data."""
    X = punch_holes(np.abs(low_rank(25, 12, rank=2, noise=0.2)), share=0.2)
    parameters = {"positive": positive, "l1_ratio": l1_ratio, "alpha_W": 0.05}
    return fit(SOLVERS[solver], "squared", X, **parameters), X


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize(
    ("solver", "positive", "l1_ratio"), pairwise(CONSTRAINED, POSITIVE, [0.0, 0.5])
)
def test_constraints_hold_and_solvers_agree(solver, l1_ratio, positive):
    if solver.startswith("lbfgs") and l1_ratio and positive is not True:
        return  # refused, see test_lbfgs.py
    fitted, X = constrained(solver, l1_ratio, positive)
    best, _ = constrained("als", l1_ratio, positive)
    W = fitted.transform(X)
    if positive in (True, "W"):
        assert W.min() >= 0
    if positive in (True, "H"):
        assert fitted.components_.min() >= 0
    assert fitted.loss_curve_[-1] < 1.01 * best.loss_curve_[-1]


@pytest.mark.parametrize("bias", [False, "features"])
def test_codes_of_positive_factors_are_those_of_scipy(bias):
    X = punch_holes(np.abs(low_rank(40, 15, rank=3)))
    fitted = MatrixFactorization(3, positive=True, bias=bias, alpha_W=0.0, max_iter=300, tol=1e-5)
    fitted.fit(X)
    for x, w in zip(X, fitted.transform(X), strict=True):
        seen = ~np.isnan(x)
        target = (x - fitted.feature_bias_)[seen]
        np.testing.assert_allclose(w, nnls(fitted.components_[:, seen].T, target)[0], atol=1e-5)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("alpha", [0.0, 0.02])
def test_positive_factors_of_complete_data_are_those_of_nmf(alpha, l1_ratio):
    X = np.abs(low_rank(60, 40, rank=3, mean=1.0))
    fitted = MatrixFactorization(
        3, positive=True, alpha_W=alpha, l1_ratio=l1_ratio, tol=1e-8, max_iter=2000
    )
    W = fitted.fit_transform(X)
    nmf = NMF(3, init="nndsvda", alpha_W=alpha, l1_ratio=l1_ratio, tol=1e-8, max_iter=5000)

    def objective(W, H):
        def penalty(V):
            return l1_ratio * np.abs(V).sum() + 0.5 * (1 - l1_ratio) * np.sum(V**2)

        data = 0.5 * np.sum((X - W @ H) ** 2)
        return data + alpha * (X.shape[1] * penalty(W) + X.shape[0] * penalty(H))

    found = objective(W, fitted.components_)
    expected = objective(nmf.fit_transform(X), nmf.components_)
    np.testing.assert_allclose(fitted.loss_curve_[-1], found, rtol=1e-5)
    assert found < 1.0001 * expected


def test_absolute_values_make_coefficients_zero():
    X = punch_holes(low_rank(60, 30, rank=3, noise=0.5))
    zeros = []
    for l1_ratio in (0.0, 0.5, 1.0):
        fitted = MatrixFactorization(8, alpha_W=0.1, l1_ratio=l1_ratio, max_iter=500)
        W = fitted.fit_transform(X)
        zeros.append(np.mean(W == 0) + np.mean(fitted.components_ == 0))
    assert zeros[0] == 0
    assert zeros[0] < zeros[1] < zeros[2]


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("bias", [False, "both"])
def test_sparse_positive_fits_are_those_of_the_dense_twin(bias, positive):
    X = punch_holes(np.abs(low_rank()))
    settings = {"positive": positive, "bias": bias, "alpha_W": 0.05, "l1_ratio": 0.5}
    model = MatrixFactorization(3, solver="als", max_iter=20, tol=0, random_state=0, **settings)
    W = model.fit_transform(X)
    twin = model.set_params(unstored="missing").fit_transform(store_observed(X))
    np.testing.assert_allclose(twin, W, rtol=1e-5, atol=1e-6)
