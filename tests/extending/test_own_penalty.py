"""A penalty that the package does not know, written from its documentation."""

import numpy as np
import pytest
from conftest import low_rank, punch_holes
from scipy.optimize import lsq_linear

from sklearn_mf import MatrixFactorization
from sklearn_mf.conformance import check_penalty
from sklearn_mf.penalties import BasePenalty


class Interval(BasePenalty):
    """Coefficients from 0 to 1: shares, or degrees of membership."""

    separable = "entries"
    is_free = True
    positive = True

    def value(self, V):
        return np.zeros_like(V, shape=len(V))

    def prox(self, V, step):
        return np.clip(V, 0, 1)


def test_it_is_a_penalty():
    check_penalty(Interval())


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("solver", ["als", "gd", "adam"])
def test_every_solver_that_can_takes_it(solver):
    rng = np.random.default_rng(0)
    X = rng.random((40, 3)) @ rng.normal(size=(3, 12))
    X = punch_holes(X + 0.1 * rng.normal(size=X.shape), share=0.2)
    model = MatrixFactorization(
        3, penalty={"W": Interval()}, alpha_W=1e-3, solver=solver, random_state=0, max_iter=1000
    )
    codes = model.fit_transform(X)
    assert codes.min() >= 0
    assert codes.max() <= 1
    assert model.reconstruction_err_ < 0.3 * np.sqrt(np.nansum(X**2))
    for row, code in zip(X, codes, strict=True):
        seen = ~np.isnan(row)
        best = lsq_linear(model.components_[:, seen].T, row[seen], (0, 1), tol=1e-12).x
        fit = model.components_[:, seen].T
        np.testing.assert_allclose(fit @ code, fit @ best, atol=1e-4)


@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "svd", "cd"])
def test_the_others_say_so(solver):
    model = MatrixFactorization(2, penalty={"W": Interval()}, alpha_W=0.1, solver=solver)
    with pytest.raises(ValueError, match=r"Interval.*Use"):
        model.fit(low_rank())
