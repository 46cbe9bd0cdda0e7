"""Codes under losses that are not squared: as good in single precision as in double."""

import numpy as np
import pytest
from grids import pairwise
from scipy.optimize import linprog, minimize
from scipy.special import expit

from sklearn_mf import NMF, MatrixFactorization
from sklearn_mf.losses import Absolute, Logistic, Quantile
from sklearn_mf.objective.regression import RowRegression
from sklearn_mf.systems import active_set

# Where rounding error once led: penalties of next to nothing, bounds, rows of few entries, losses
# that are nearly straight.
LOSSES = {"quantile": Quantile(0.01), "absolute": Absolute(), "logistic": Logistic()}
SETTINGS = [
    {"positive": True, "alpha_W": 0.0},
    {"positive": "W", "alpha_W": 1e-8, "alpha_H": 0.1},
    {"alpha_W": 1e-8, "alpha_H": 0.1, "l1_ratio": 0.3},
    {"alpha_W": 0.0},
]


def _fitted(loss, seed, **settings):
    rng = np.random.default_rng(seed)
    X = 1e4 * rng.standard_normal((12, 8))
    if loss == "logistic":
        X = (X > 0).astype(float)
    X[rng.random(X.shape) < 0.6] = np.nan
    model = MatrixFactorization(
        3, loss=LOSSES[loss], bias="samples", solver="gd", max_iter=2, random_state=0, **settings
    )
    X = X.astype(np.float32)
    return model.fit(X), X


def _models(model, X):
    codes = model.transform(X).astype(np.float64)
    return codes[:, :-1] @ model.components_ + codes[:, -1:]


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize(("loss", "settings", "seed"), pairwise([*LOSSES], SETTINGS, [0, 1]))
def test_codes_rest_where_rounding_error_does_not_lead(monkeypatch, loss, settings, seed):
    model, X = _fitted(loss, seed, **settings)
    solved, n_systems = active_set._solved, []
    monkeypatch.setattr(active_set, "_solved", lambda *a: n_systems.append(1) or solved(*a))
    all_rows = _models(model, X)
    assert len(n_systems) <= 1500  # 500 iterations of 50 systems took seconds

    some_rows = _models(model, X[::2])
    limit = 1e-3 * max(np.nanmax(np.abs(X)), np.abs(all_rows).max())
    np.testing.assert_allclose(some_rows, all_rows[::2], rtol=0, atol=limit)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize("positive", [False, True])
def test_absolute_errors_are_as_small_as_linear_programs_find(positive):
    model, X = _fitted("absolute", 0, positive=positive, alpha_W=0.0)
    models = _models(model, X)
    for x, found in zip(X - model.feature_bias_, models, strict=True):
        known = ~np.isnan(x)
        n = known.sum()
        design = np.column_stack([model.components_[:, known].T, np.ones(n)])
        least = linprog(
            np.r_[np.zeros(4), np.ones(2 * n)],
            A_eq=np.hstack([design, np.eye(n), -np.eye(n)]),
            b_eq=x[known],
            bounds=[(0 if positive else None, None)] * 3 + [(None, None)] + [(0, None)] * 2 * n,
        ).fun
        constant = np.abs(x[known] - np.median(x[known])).sum()
        assert np.abs(x - found)[known].sum() <= least + 1e-3 * constant + 0.1


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("alpha", [1e-1, 1e-3, 1e-6])
def test_logistic_codes_cost_as_little_as_a_regression_of_each_row(alpha):
    rng = np.random.default_rng(0)
    components = rng.normal(size=(4, 40))
    odds = 2 * rng.normal(size=(20, 4)) @ components
    X = (rng.random(odds.shape) < expit(odds)).astype(float)
    X[rng.random(X.shape) < 0.3] = np.nan
    model = MatrixFactorization(4, loss="logistic", solver="gd", max_iter=1, alpha_W=alpha)
    model.fit(X)
    model.components_ = components
    for x, code in zip(X, model.transform(X), strict=True):
        known = ~np.isnan(x)
        strength = alpha * known.sum()
        signs = 2 * x[known] - 1

        def cost(w, known=known, strength=strength, signs=signs):
            loss = np.logaddexp(0, -signs * (w @ components[:, known] + model.feature_bias_[known]))
            return loss.sum() + 0.5 * strength * w @ w

        least = minimize(cost, code, method="BFGS", options={"gtol": 1e-9}).fun
        assert cost(code) <= least + 1e-7


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_positive_codes_of_squared_errors_do_not_follow_rounding_error():
    X = np.full((12, 2), np.nan, dtype=np.float32)
    rng = np.random.default_rng(0)
    X[:, 1] = 1e15 * rng.standard_normal(12)
    X[:2, 0] = 1e15 * rng.standard_normal(2)
    model = MatrixFactorization(
        2, bias="both", positive="W", alpha_W=1e-8, alpha_H=0.0, max_iter=1, random_state=0
    ).fit(X)
    all_rows, some_rows = _models(model, X), _models(model, X[::2])
    limit = 1e-3 * max(np.nanmax(np.abs(X)), np.abs(all_rows).max())
    np.testing.assert_allclose(some_rows, all_rows[::2], rtol=0, atol=limit)
    assert np.abs(all_rows).max() < 1e17


def test_separable_rows_rest_soon(monkeypatch):
    """Rows as long as their codes have no best code either; so it took 500 steps."""
    rng = np.random.default_rng(0)
    components = rng.normal(size=(4, 12))
    X = (rng.normal(size=(50, 4)) @ components > 0).astype(float)
    model = MatrixFactorization(4, loss="logistic", alpha_W=0.0, max_iter=200, random_state=0)
    model.fit(X)
    model.components_, steps = components, []
    bounded = RowRegression.bounded
    monkeypatch.setattr(RowRegression, "bounded", lambda *a: steps.append(1) or bounded(*a))
    codes = model.transform(X)
    assert len(steps) <= 50
    assert ((codes @ components + model.feature_bias_ > 0) == X).mean() > 0.99


def test_codes_of_negligible_components_do_not_follow_rounding_error(monkeypatch):
    """One entry is explained exactly at the start: nothing is left to do."""
    X = np.array([[0.7, 2.0, 0.3, 1.1]] * 6)
    model = NMF(3, solver="mu", beta_loss=1.5, tol=1e-2, random_state=0).fit(X)
    components = [[8e-11, 0.1, 1e-6, 2e-3], [6e-5, 0.5, 1e-3, 0.3], [5e-2, 3e-7, 0.4, 4e-5]]
    model.components_, steps = np.array(components), []
    bounded = RowRegression.bounded
    monkeypatch.setattr(RowRegression, "bounded", lambda *a: steps.append(1) or bounded(*a))
    few = np.array([[0.67, np.nan, np.nan, np.nan]])
    codes = model.transform(few)
    assert len(steps) <= 250
    assert codes.max() < 20
    np.testing.assert_allclose(codes @ model.components_[:, 0], 0.67)
