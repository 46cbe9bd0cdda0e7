"""Tables without noise: their covariances are singular but for rounding error."""

import numpy as np
import pytest

from sklearn_mf.imputation.normal import LEAST_VARIANCE, Normal


@pytest.mark.parametrize("seed", range(20))
def test_draws_of_exact_tables_are_exact(seed):
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((3, 6))
    X = rng.standard_normal((40, 3)) @ factor
    normal = Normal(np.zeros(6), factor.T @ factor + LEAST_VARIANCE * np.eye(6), n_seen=40)
    holed = np.where(rng.random(X.shape) < 0.4, np.nan, X)
    holed[0] = np.nan  # a draw of everything
    drawn = normal.sample(holed, np.random.RandomState(seed))
    determined = np.isnan(holed).sum(axis=1) <= 3
    assert np.isfinite(drawn).all()
    np.testing.assert_allclose(drawn[determined], X[determined], atol=0.1)
