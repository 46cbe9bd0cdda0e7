"""One entry that is off by any amount leaves a robust fit as it would be without it."""

import numpy as np
import pytest

from sklearn_mf import MatrixFactorization


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    clean = rng.standard_normal((100, 2)) @ rng.standard_normal((2, 12))
    return clean, clean + 0.05 * rng.standard_normal(clean.shape)


def error(X, clean):
    model = MatrixFactorization(2, loss="huber", alpha_W=0.01, random_state=0).fit(X)
    left = np.ones(X.shape, dtype=bool)
    left[3, 2] = False
    return np.sqrt(np.mean((model.inverse_transform(model.transform(X)) - clean)[left] ** 2))


@pytest.mark.parametrize("size", [1e4, 1e6, 1e8, 1e10, 1e12])
def test_huber_fits_beside_an_entry_far_off(data, size):
    clean, X = data
    expected = error(X, clean)
    X[3, 2] = size
    assert error(X, clean) < 1.2 * expected
