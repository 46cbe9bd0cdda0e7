"""What every registered loss and penalty must satisfy, whoever wrote it."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.special import huber

from sklearn_mf.losses import Huber, Squared
from sklearn_mf.penalties import Ridge
from sklearn_mf.utils.discovery import all_losses, all_penalties

LOSSES = [pytest.param(cls(), id=name) for name, cls in all_losses()]
QUADRATIC = [loss for loss in LOSSES if hasattr(loss.values[0], "quadratic")]
PENALTIES = [pytest.param(cls(alpha=0.7), id=name) for name, cls in all_penalties()]

X = np.array([-3.0, -0.4, 0.0, 0.2, 1.0, 7.0])
M = np.array([0.1, 0.3, -5.0, 0.2000001, 1.5, -2.0])


def derivative(function, at, step=1e-6):
    return (function(at + step) - function(at - step)) / (2 * step)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_is_the_derivative_of_value(loss):
    np.testing.assert_allclose(
        loss.gradient(X, M), derivative(lambda m: loss.value(X, m), M), rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("loss", QUADRATIC)
def test_quadratic_is_tangent(loss):
    weight, target = loss.quadratic(X, M)
    assert (weight >= 0).all()
    np.testing.assert_allclose(weight * (M - target), loss.gradient(X, M), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("loss", QUADRATIC)
def test_quadratic_lies_nowhere_below_the_loss(loss):
    weight, target = loss.quadratic(X, M)
    for z in np.linspace(-20, 20, 401):
        rise = 0.5 * weight * ((z - target) ** 2 - (M - target) ** 2)
        bound = loss.value(X, M) + rise
        assert (bound - loss.value(X, np.full_like(M, z)) >= -1e-9).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_are_zero_at_the_data_and_keep_dtype_and_input(loss):
    x, m = X.astype(np.float32), M.astype(np.float32)
    before = x.copy(), m.copy()
    np.testing.assert_allclose(loss.value(x, x), 0, atol=1e-12)
    assert loss.value(x, m).dtype == loss.gradient(x, m).dtype == np.float32
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(m, before[1])


def test_squared_loss_is_half_the_squared_error():
    np.testing.assert_allclose(Squared().value(X, M), 0.5 * (X - M) ** 2)


def test_huber_loss_is_scipys():
    np.testing.assert_allclose(Huber(delta=1.3).value(X, M), huber(1.3, X - M))


@pytest.mark.parametrize("penalty", PENALTIES)
def test_penalty_gradient_is_the_derivative_of_its_value(penalty):
    V = np.random.default_rng(0).normal(size=(4, 3))
    for row, gradient in zip(V, penalty.gradient(V), strict=True):
        expected = approx_fprime(row, lambda v: penalty.value(v[None])[0], 1e-7)
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6)


def test_ridge_is_half_the_squared_length():
    V = np.random.default_rng(0).normal(size=(4, 3))
    np.testing.assert_allclose(
        Ridge(alpha=2.0).value(V), np.linalg.norm(V, axis=1) ** 2, rtol=1e-12
    )
