"""A smoothing that is nothing beside the data."""

import numpy as np
import pytest

from sklearn_mf import MatrixFactorization
from sklearn_mf.losses import Absolute, Quantile


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", [Absolute(1e-70), Quantile(0.3, 1e-70)])
def test_exact_predictions_have_finite_weights(loss, dtype):
    x = np.array([0.0, 1.0, 2.0], dtype=dtype)
    weight, target = loss.quadratic(x, np.array([0.0, 1.0, 5.0], dtype=dtype))
    assert weight.dtype == dtype
    assert np.isfinite(weight**2).all()
    assert np.isfinite(target).all()
    np.testing.assert_allclose(Absolute(1e-70).value(x, x + dtype(3)), 3, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e40, 1e60, 1e90])
def test_automatic_strength_of_huge_data(scale):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((40, 2)) @ rng.standard_normal((2, 8)) + 3
    hidden = rng.random(A.shape) < 0.2
    X = A * scale
    X[hidden] = np.nan
    model = MatrixFactorization(2, loss="absolute", bias="both", random_state=0, max_iter=30)
    filled = model.set_params(alpha_W="auto", tol=1e-2).fit(X).inverse_transform(model.transform(X))
    means = np.nanmedian(X, axis=0)
    error = np.abs(filled - A * scale)[hidden].mean()
    assert error < 0.8 * np.abs(means - A * scale)[hidden].mean()
