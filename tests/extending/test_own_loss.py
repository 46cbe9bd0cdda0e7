"""A loss that the package does not know, written from its documentation."""

import numpy as np
import pytest
from conftest import low_rank, punch_holes
from scipy.optimize import minimize

from sklearn_mf import MatrixFactorization
from sklearn_mf.conformance import check_loss
from sklearn_mf.losses import BaseLoss


class Cauchy(BaseLoss):
    """Logarithm of one plus the squared error beside a scale: outliers hardly count."""

    def __init__(self, scale=1.0):
        self.scale = scale

    def value(self, x, m):
        return 0.5 * np.log1p(((x - m) / m.dtype.type(self.scale)) ** 2)

    def gradient(self, x, m):
        return (m - x) / (m.dtype.type(self.scale) ** 2 + (x - m) ** 2)

    def quadratic(self, x, m):
        return 1 / (m.dtype.type(self.scale) ** 2 + (x - m) ** 2), x


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_it_is_a_loss(scale):
    check_loss(Cauchy(scale))


@pytest.mark.parametrize("solver", ["als", "gd", "lbfgs", "adam"])
def test_every_solver_takes_it(solver):
    X = punch_holes(low_rank(30, 12, rank=2, noise=0.1))
    X[3, 4] = 1000.0
    model = MatrixFactorization(2, loss=Cauchy(), alpha_W=0.01, solver=solver, random_state=0)
    W = model.set_params(max_iter=2000, tol=1e-7).fit_transform(X)
    assert abs(model.inverse_transform(W)[3, 4]) < 20
    np.testing.assert_array_equal(W, model.transform(X))


def test_its_codes_are_those_of_scipy():
    X = low_rank(10, 8, rank=2, noise=0.3)
    model = MatrixFactorization(2, loss=Cauchy(), alpha_W=0.05, random_state=0).fit(X)
    for row, code in zip(X, model.transform(X), strict=True):

        def cost(w, row=row):
            loss = Cauchy().value(row, w @ model.components_)
            return loss.sum() + 0.05 * 8 * 0.5 * w @ w

        assert cost(code) <= minimize(cost, code, tol=1e-10).fun + 1e-8
