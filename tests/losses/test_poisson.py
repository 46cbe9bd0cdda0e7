"""Poisson models far from the data: steps that are too long, rates beyond all numbers."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklearn_mf import MatrixFactorization
from sklearn_mf.losses import Logistic, Poisson
from sklearn_mf.systems import active_set


@pytest.fixture(scope="module")
def model():
    X = np.random.default_rng(0).poisson(3.0, size=(9, 4)).astype(float)
    return MatrixFactorization(1, loss="poisson", bias="features", alpha_W=0.0).fit(X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", [0.0, -13.8, 80.0, 2225.0])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e6, 1e15])
def test_codes_are_best_however_far_the_start_is(model, size, bias, dtype):
    # Where all entries of a row have one expectation, its best is their mean.
    model.components_ = np.full((1, 4), -2.0, dtype)
    model.feature_bias_ = np.full(4, bias, dtype)
    X = (size * np.random.default_rng(1).integers(1, 9, size=(5, 4))).astype(dtype)
    codes = model.transform(X)
    expected = (np.log(X.mean(axis=1, keepdims=True, dtype=np.float64)) - bias) / -2.0
    assert_allclose(codes, expected, rtol=1e-6 if dtype is np.float64 else 1e-4)


@pytest.mark.parametrize("bias", [(2225.0, 2030.0), (400.0, 2030.0), (2225.0, -3.0)])
def test_codes_where_infinite_rates_are_unlike(model, bias):
    model.components_ = np.array([[-1400.0, -5200.0, 0.1, -0.2]])
    model.feature_bias_ = np.array([*bias, 0.5, 0.0])
    X = np.array([[2.0, 0.0, 3.0, 1.0], [1.0, 5.0, 0.0, 1.0]])
    codes = model.transform(X)
    rates = np.exp(codes @ model.components_ + model.feature_bias_)
    slopes = (rates - X) * model.components_
    assert (np.abs(slopes.sum(axis=1)) <= 1e-5 * np.abs(slopes).sum(axis=1)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("largest", [1.7, 1e4])
def test_a_batch_leads_no_farther_than_to_what_it_observes(largest, dtype):
    # What nobody saw has a rate of 1e-6: Newton's step to the next count was a million long.
    X = np.random.default_rng(0).poisson(2.0, size=(12, 5)).astype(dtype)
    X[:, 3] = 0
    model = MatrixFactorization(1, loss="poisson", bias="features", random_state=0)
    model.partial_fit(X)
    X[4, 3] = largest
    for _ in range(3):
        model.partial_fit(X)
        assert model.feature_bias_[3] <= np.log(largest) + 1
        assert np.isfinite(model.inverse_transform(model.transform(X))).all()


@pytest.mark.parametrize("loss", [Poisson(), Poisson().for_codes])
def test_parabolas_at_the_data_stay_there(loss):
    x = np.array([1e-9, 1.0, 1e9, 1e30])
    weight, target = loss.parabola(x, np.log(x))
    assert_allclose(weight, np.maximum(x, 1e-6))
    assert_allclose(target, np.log(x), atol=1e-12)


@pytest.mark.parametrize("loss", [Poisson(), Poisson().for_codes])
def test_parabolas_have_the_slope_of_the_loss(loss):
    x, m = (part.ravel() for part in np.meshgrid([0.0, 1e-9, 0.3, 7.0, 1e9], np.linspace(-40, 40)))
    weight, target = loss.parabola(x, m)
    away = x > 0
    slope = Poisson().gradient(x, m)
    assert_allclose((weight * (m - target))[away], slope[away], rtol=1e-9, atol=1e-9)
    assert (weight > 0).all()


def test_no_step_goes_beyond_an_observed_count():
    x, m = (part.ravel() for part in np.meshgrid([1e-9, 0.3, 7.0, 1e9], np.linspace(-40, 700)))
    weight, target = Poisson().parabola(x, m)
    assert (target <= np.maximum(m, np.log(x)) + 1e-9).all()
    # On the way up the parabola lies nowhere below the loss.
    for share in (0.1, 0.5, 0.9, 1.0):
        at = m + share * (target - m)
        bound = Poisson().value(x, m) + 0.5 * weight * ((at - target) ** 2 - (m - target) ** 2)
        up = m < np.log(x)
        size = np.abs(Poisson().value(x, m)) + 1e-300
        assert (Poisson().value(x, at) <= bound + 1e-9 * size)[up].all()


@pytest.mark.filterwarnings("ignore:.* fewer observed entries than their codes:UserWarning")
@pytest.mark.filterwarnings("ignore:alpha_H=.* has hardly any effect:UserWarning")
@pytest.mark.parametrize("positive", ["W", False])
@pytest.mark.parametrize("loss", [Poisson(), Logistic()])
def test_biases_without_a_best_value_end_soon(monkeypatch, loss, positive):
    # A bias of next to minus infinity is best for a row of zeros, whatever holds its other codes.
    X = np.random.default_rng(0).integers(0, 2, size=(12, 4)).astype(float)
    options = {"alpha_W": 0.0, "alpha_H": 0.1, "max_iter": 1000, "random_state": 0}
    model = MatrixFactorization(
        1, loss=loss, bias="both", positive=positive, solver="lbfgs", **options
    ).fit(X)
    solved, n_systems = active_set._solved, []
    monkeypatch.setattr(active_set, "_solved", lambda *a: n_systems.append(1) or solved(*a))
    codes = model.transform(np.array([[0.0, np.nan, np.nan, np.nan], [0.0, 0.0, 0.0, np.nan]]))
    assert len(n_systems) <= 200  # 500 iterations of 50 systems took 26 seconds
    assert (model.inverse_transform(codes)[:, 0] <= 1e-3).all()


@pytest.mark.parametrize("scale", [1e3, 1e6, 1e9, 1e12])
def test_large_counts_are_fitted_as_well_as_small_ones(scale):
    """The start took the cost of counts for a square of logarithms, and fits stopped far away."""
    rng = np.random.default_rng(0)
    rates = scale * np.exp(0.5 * rng.normal(size=(60, 2)) @ rng.normal(size=(2, 20)))
    X = rng.poisson(rates).astype(float)
    model = MatrixFactorization(3, loss="poisson", bias="both", random_state=0).fit(X)
    predicted = model.inverse_transform(model.transform(X))
    # Noise is the root of the counts.
    assert np.linalg.norm(predicted - rates) < 2 * np.linalg.norm(np.sqrt(rates))
