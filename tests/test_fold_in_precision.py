"""Codes under losses that are not squared: as good in single precision as in double."""

import numpy as np
import pytest
from scipy.optimize import linprog

from sklearn_mf import MatrixFactorization
from sklearn_mf.losses import Absolute, Logistic, Quantile
from sklearn_mf.observations import descent

# Where rounding error once led: penalties of next to nothing, bounds, rows of few entries, losses
# that are nearly straight.
LOSSES = {"quantile": Quantile(0.01), "absolute": Absolute(), "logistic": Logistic()}
SETTINGS = [
    {"positive": True},
    {"positive": "W", "alpha_W": 1e-8, "alpha_H": 0.1},
    {"alpha_W": 1e-8, "alpha_H": 0.1, "l1_ratio": 0.3},
    {},
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
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("loss", LOSSES)
def test_codes_rest_where_rounding_error_does_not_lead(monkeypatch, loss, settings, seed):
    model, X = _fitted(loss, seed, **settings)
    solved, n_systems = descent._solved, []
    monkeypatch.setattr(descent, "_solved", lambda *a: n_systems.append(1) or solved(*a))
    all_rows = _models(model, X)
    assert len(n_systems) <= 1500  # 500 iterations of 50 systems took seconds

    some_rows = _models(model, X[::2])
    limit = 1e-3 * max(np.nanmax(np.abs(X)), np.abs(all_rows).max())
    np.testing.assert_allclose(some_rows, all_rows[::2], rtol=0, atol=limit)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize("positive", [False, True])
def test_absolute_errors_are_as_small_as_linear_programs_find(positive):
    model, X = _fitted("absolute", 0, positive=positive)
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
