"""Sums over many rows keep their digits in single precision."""

import numpy as np
import pytest
from scipy import sparse

from sklearn_mf.objective.constants import column_means
from sklearn_mf.observations import observe


def test_means_of_three_million_rows_are_means():
    X = np.random.default_rng(0).random((3_000_000, 2), dtype=np.float32) + np.float32(3)
    expected = X.mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(column_means(observe(X)), expected, rtol=1e-5)
    np.testing.assert_allclose(column_means(observe(np.asfortranarray(X))), expected, rtol=1e-5)


@pytest.mark.parametrize("unstored", ["zero", "missing"])
def test_means_of_millions_of_stored_entries_are_means(unstored):
    rng = np.random.default_rng(0)
    X = np.zeros((3_000_000, 2), dtype=np.float32)
    X[:, 0] = rng.random(len(X), dtype=np.float32) + np.float32(3)
    X[::3, 1] = 5
    data = sparse.csr_array(X)
    counted = len(X) if unstored == "zero" else (X > 0).sum(axis=0)
    expected = X.sum(axis=0, dtype=np.float64) / counted
    found = column_means(observe(data, unstored=unstored))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    weight = rng.random(len(X), dtype=np.float32)
    found = column_means(observe(data, unstored=unstored, sample_weight=weight))
    weights = weight[:, None] * (np.ones_like(X) if unstored == "zero" else X > 0)
    expected = (weights * X).sum(axis=0, dtype=np.float64) / weights.sum(axis=0, dtype=np.float64)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_sums_over_all_columns_are_sums():
    Ht = np.random.default_rng(0).random((3_000_000, 2), dtype=np.float32) + np.float32(3)
    expected = Ht.sum(axis=0, dtype=np.float64)
    data = observe(sparse.csr_array((1, len(Ht)), dtype=np.float32))
    np.testing.assert_allclose(data.weighted_sum(Ht), expected, rtol=1e-6)
