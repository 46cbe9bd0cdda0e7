"""Sums over many rows keep their digits in single precision."""

import numpy as np

from sklearn_mf.initialization import column_means
from sklearn_mf.observations import observe


def test_means_of_three_million_rows_are_means():
    X = np.random.default_rng(0).random((3_000_000, 2), dtype=np.float32) + np.float32(3)
    expected = X.mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(column_means(observe(X)), expected, rtol=1e-5)
    np.testing.assert_allclose(column_means(observe(np.asfortranarray(X))), expected, rtol=1e-5)
