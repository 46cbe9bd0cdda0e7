"""What nobody has met is worth nothing, and can be left out of what is recommended."""

import numpy as np
import pytest
from scipy import sparse

from sklearn_mf import ImplicitFactorization


@pytest.fixture
def plays():
    X = (np.random.default_rng(0).random((60, 12)) < 0.3).astype(np.float64)
    X[:, 5] = 0
    return sparse.csr_array(X)


@pytest.mark.parametrize("solver", ["als", "lbfgs"])
def test_unmet_features_score_zero(plays, solver):
    model = ImplicitFactorization(3, solver=solver, max_iter=100, random_state=0).fit(plays)
    np.testing.assert_allclose(model.components_[:, 5], 0, atol=1e-4)
    scores = model.inverse_transform(model.transform(plays))
    np.testing.assert_allclose(scores[:, 5], 0, atol=1e-4)
    assert (np.delete(scores, 5, axis=1) > 1e-3).sum() > 0.9 * plays.shape[0] * 11 / 2


def test_unmet_features_can_be_left_out(plays):
    model = ImplicitFactorization(3, random_state=0).fit(plays)
    assert 5 in model.recommend(plays, n=11)[0]
    items = model.recommend(plays, n=11, items=plays.sum(axis=0) > 0)[0]
    assert 5 not in items
    assert set(np.unique(items)) == set(range(12)) - {5} | {-1}


def test_biases_rank_unmet_features_last(plays):
    model = ImplicitFactorization(3, bias="features", random_state=0).fit(plays)
    assert model.feature_bias_.argmin() == 5
    np.testing.assert_allclose(model.feature_bias_[5], 0, atol=1e-6)
