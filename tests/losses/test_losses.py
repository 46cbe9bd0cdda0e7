"""What every registered loss must satisfy, and each beside an independent truth."""

import numpy as np
import pytest
from conftest import fit_for
from scipy.optimize import minimize_scalar
from scipy.special import huber, kl_div
from sklearn.linear_model import QuantileRegressor
from sklearn.metrics import log_loss, mean_pinball_loss, mean_poisson_deviance

from sklearn_mf import MatrixFactorization
from sklearn_mf.losses import Absolute, Huber, Logistic, Poisson, Quantile, Squared
from sklearn_mf.penalties import Ridge
from sklearn_mf.utils.discovery import all_losses

LOSSES = [pytest.param(cls(), id=name) for name, cls in all_losses()]
LOSSES += [
    pytest.param(Absolute(smoothing=0.5), id="absolute-smooth"),
    pytest.param(Quantile(0.9, smoothing=0.3), id="quantile-0.9"),
    pytest.param(Logistic(classes=(-1, 1)), id="logistic-signs"),
]
QUADRATIC = [loss for loss in LOSSES if hasattr(loss.values[0], "quadratic")]

X = np.array([-3.0, -0.4, 0.0, 0.2, 1.0, 7.0])
M = np.array([0.1, 0.3, -5.0, 0.2000001, 1.5, -2.0])
GRID = np.linspace(-20, 20, 401)


def derivative(function, at, step=1e-6):
    return (function(at + step) - function(at - step)) / (2 * step)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_is_the_derivative_of_value(loss):
    x = fit_for(loss, X)
    np.testing.assert_allclose(
        loss.gradient(x, M), derivative(lambda m: loss.value(x, m), M), rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_curvature_is_the_derivative_of_gradient(loss):
    x = fit_for(loss, X)
    np.testing.assert_allclose(
        loss.curvature(x, M), derivative(lambda m: loss.gradient(x, m), M), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("loss", QUADRATIC)
def test_quadratic_is_tangent(loss):
    x = fit_for(loss, X)
    weight, target = loss.quadratic(x, M)
    assert (weight > 0).all()
    np.testing.assert_allclose(weight * (M - target), loss.gradient(x, M), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("loss", QUADRATIC)
@pytest.mark.parametrize("at", [*M, 0.0, 1e-9, 1e-5, 30.0, -800.0])
def test_quadratic_lies_nowhere_below_the_loss(loss, at):
    x = fit_for(loss, X)
    m = np.full_like(x, at)
    weight, target = loss.quadratic(x, m)
    for z in GRID:
        rise = 0.5 * weight * (z - at) * (z + at - 2 * target)
        bound = loss.value(x, m) + rise
        assert (bound - loss.value(x, np.full_like(m, z)) >= -1e-9).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_the_best_prediction_is_the_data_themselves(loss):
    """Zero there, and nowhere less: up to rounded corners, and to where a link ends."""
    x = fit_for(loss, np.array([0.0, 1.0, 3.0, 0.4]))
    best = loss.value(x, loss.from_mean(x))
    np.testing.assert_allclose(best, 0, atol=2e-6)
    slack = getattr(loss, "smoothing", 0) / 2 + 2e-6
    assert all((loss.value(x, np.full_like(x, z)) >= -slack).all() for z in GRID)


@pytest.mark.parametrize("loss", LOSSES)
def test_from_mean_is_the_inverse_of_mean(loss):
    np.testing.assert_allclose(loss.from_mean(loss.mean(M)), M, rtol=1e-10)
    assert isinstance(float(loss.from_mean(0.3)), float)


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_keep_dtype_and_input(loss):
    parameters = {
        name: np.float64(value)
        for name, value in loss.get_params().items()
        if isinstance(value, float)
    }
    loss = type(loss)(**{**loss.get_params(), **parameters})  # as a grid of NumPy numbers does
    x, m = fit_for(loss, X).astype(np.float32), M.astype(np.float32)
    before = x.copy(), m.copy()
    results = [loss.value(x, m), loss.gradient(x, m), loss.curvature(x, m)]
    results += [loss.mean(m), loss.from_mean(x)]
    if hasattr(loss, "quadratic"):
        results += loss.quadratic(x, m)
    if hasattr(loss, "check_data"):
        loss.check_data(x)
    assert all(result.dtype == np.float32 for result in results)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(m, before[1])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses_are_finite_far_away_and_quiet_about_holes(loss, dtype):
    m = np.array([-1e4, -800, -90, 0, 80, 1e-30], dtype=dtype)
    for x in (fit_for(loss, X).astype(dtype), np.full(6, np.nan, dtype)):
        results = [loss.value(x, m), loss.gradient(x, m)]
        if hasattr(loss, "quadratic"):
            results += loss.quadratic(x, m)
        assert np.isnan(x).all() or np.isfinite(results).all()


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss.values[0].fits_mean])
def test_the_best_constant_is_that_of_the_mean(loss):
    x = fit_for(loss, np.random.default_rng(0).normal(size=50))
    found = minimize_scalar(lambda m: loss.value(x, np.full_like(x, m)).sum(), (-1, 1))
    np.testing.assert_allclose(loss.from_mean(x.mean()), found.x, rtol=1e-5)


def test_squared_loss_is_half_the_squared_error():
    np.testing.assert_allclose(Squared().value(X, M), 0.5 * (X - M) ** 2)


def test_huber_loss_is_scipys():
    np.testing.assert_allclose(Huber(delta=1.3).value(X, M), huber(1.3, X - M))


def test_absolute_loss_without_smoothing_is_the_distance():
    np.testing.assert_allclose(Absolute(smoothing=1e-12).value(X, M), np.abs(X - M), atol=1e-11)


def test_absolute_loss_is_twice_the_quantile_loss_of_the_median():
    for x in (X, M + 1e-9):  # far away, and where the corner is rounded
        np.testing.assert_allclose(
            Absolute(0.02).value(x, M), 2 * Quantile(smoothing=0.02).value(x, M), rtol=1e-14
        )


def test_a_rounded_corner_keeps_its_digits():
    tiny = np.array([1e-9])
    np.testing.assert_allclose(Absolute(1.0).value(tiny, np.zeros(1)), 0.5e-18, rtol=1e-12)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.75])
def test_quantile_loss_without_smoothing_is_the_pinball_loss(quantile):
    value = Quantile(quantile, smoothing=1e-12).value(X, M).mean()
    np.testing.assert_allclose(value, mean_pinball_loss(X, M, alpha=quantile), rtol=1e-10)


def test_logistic_loss_is_the_log_loss():
    x = (X > 0).astype(float)
    expected = log_loss(x, Logistic().mean(M))
    np.testing.assert_allclose(Logistic().value(x, M).mean(), expected)
    signs = Logistic(classes=(-1, 1))
    np.testing.assert_allclose(signs.value(2 * x - 1, M).mean(), expected)
    np.testing.assert_allclose(signs.mean(M), 2 * Logistic().mean(M) - 1)


def test_the_bound_of_the_logistic_loss_is_tighter_than_a_quarter():
    weight, _ = Logistic().quadratic((X > 0).astype(float), np.array([-9, -1, 0, 1e-7, 1e-3, 4]))
    assert (weight <= 0.25).all()
    np.testing.assert_allclose(weight[[2, 3]], 0.25, rtol=1e-12)
    assert weight[0] < 0.06


def test_poisson_loss_is_half_the_deviance():
    counts = np.array([0.0, 1.0, 0.0, 7.0, 2.5, 1000.0])
    mean = Poisson().mean(M)
    np.testing.assert_allclose(
        2 * Poisson().value(counts, M).mean(), mean_poisson_deviance(counts, mean)
    )
    np.testing.assert_allclose(Poisson().value(counts, M), kl_div(counts, mean), rtol=1e-12)


def test_poisson_loss_keeps_its_digits_where_the_fit_is_good():
    x = np.array([1e8])
    m = np.log(x) + 1e-6
    np.testing.assert_allclose(Poisson().value(x, m), 0.5 * 1e8 * 1e-12, rtol=1e-4)


def test_poisson_loss_is_infinite_where_the_mean_is():
    x, m = np.array([0.0, 3.0]), np.array([800.0, 1e5])
    assert np.isposinf(Poisson().value(x, m)).all()
    assert np.isposinf(Poisson().gradient(x, m)).all()


def test_infinite_predictions_of_counts_are_told():
    model = MatrixFactorization(1, loss="poisson", solver="gd", random_state=0)
    model.fit(np.random.default_rng(0).poisson(2, (6, 3)).astype(float))
    model.components_ = np.array([[1e-7, 0.5, 1.0]])
    codes = model.transform([[40.0, np.nan, np.nan]])  # to explain it they must be large
    with pytest.warns(UserWarning, match=r"^2 predictions under loss='poisson' are infinite"):
        predicted = model.inverse_transform(codes)
    np.testing.assert_allclose(predicted[0, 0], 40, rtol=1e-4)
    assert np.isposinf(predicted[0, 1:]).all()


@pytest.mark.parametrize(
    ("loss", "x", "message"),
    [
        (
            Logistic(),
            [0, 1, -1],
            r"loss='logistic'.*contains -1\. For.*Logistic\(classes=\(-1, 1\)\)",
        ),
        (Logistic(), [0, 1, 2], r"loss='logistic'.*contains 2\. Encode X as 0 and 1"),
        (Logistic(), [0, 1, 0.5], r"contains 0\.5\. Encode X as 0 and 1"),
        (Logistic((-1, 1)), [-1, 0, 1], r"contains 0\. .*classes=\(0, 1\).*unstored='missing'"),
        (Logistic((-1, 1)), [-1, 3, 1], r"contains 3\. Encode X as 0 and 1"),
        (Poisson(), [0.5, 3, -2], r"Negative values.*loss='poisson'.*contains -2"),
    ],
)
def test_data_that_a_loss_cannot_take_are_named_with_a_remedy(loss, x, message):
    with pytest.raises(ValueError, match=message):
        loss.check_data(np.array(x, dtype=float))


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if hasattr(loss.values[0], "check_data")])
def test_data_that_a_loss_can_take_pass(loss):
    loss.check_data(fit_for(loss, X))
    loss.check_data(np.zeros(0))


def test_quantile_regression_is_the_limit():
    """One column of codes: the loss minimised by its own bounds."""
    rng = np.random.default_rng(0)
    design, y = rng.normal(size=(80, 2)), rng.standard_t(2, size=80)
    loss, coef = Quantile(0.7, smoothing=1e-5), np.zeros(2)
    for _ in range(3000):
        weight, target = loss.quadratic(y, design @ coef)
        coef = np.linalg.solve(design.T * weight @ design, design.T @ (weight * target))
    expected = QuantileRegressor(quantile=0.7, alpha=0, fit_intercept=False).fit(design, y)
    np.testing.assert_allclose(coef, expected.coef_, atol=1e-4)


def test_ridge_is_half_the_squared_length():
    V = np.random.default_rng(0).normal(size=(4, 3))
    np.testing.assert_allclose(
        Ridge(alpha=2.0).value(V), np.linalg.norm(V, axis=1) ** 2, rtol=1e-12
    )
