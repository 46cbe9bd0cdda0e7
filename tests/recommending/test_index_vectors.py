"""Vectors whose inner products rank features as `recommend` does."""

import numpy as np
import pytest
from conftest import low_rank, punch_holes
from scipy import sparse

from sklearn_mf import NMF, ImplicitFactorization, MatrixFactorization, RankSearchCV
from sklearn_mf.losses import Huber, Poisson
from sklearn_mf.recommending import feature_vectors, sample_vectors

X = punch_holes(low_rank(60, 25, mean=1.0), share=0.5)
COUNTS = np.floor(np.abs(3 * X))
CLICKS = sparse.csr_array(np.nan_to_num(COUNTS))

CASES = {
    "plain": (MatrixFactorization(3, alpha_W=0.1), X),
    "both biases": (MatrixFactorization(3, bias="both", alpha_W=0.1), X),
    "whitened": (MatrixFactorization(3, bias="features", whiten=True, alpha_W=0.1), X),
    "whitened, both biases": (MatrixFactorization(2, bias="both", whiten=True, alpha_W=0.1), X),
    "counts": (MatrixFactorization(2, loss=Poisson(), bias="features", alpha_W=0.1), COUNTS),
    "single precision": (MatrixFactorization(3, alpha_W=0.1), X.astype(np.float32)),
    "non-negative": (NMF(3, alpha_W=0.01, random_state=0), COUNTS),
    "implicit": (ImplicitFactorization(4, bias="both", random_state=0), CLICKS),
    "searched": (RankSearchCV(MatrixFactorization(alpha_W=0.1), [2], cv=2, random_state=0), X),
}


@pytest.mark.parametrize("name", CASES)
def test_they_rank_as_recommend_does(name):
    model, data = CASES[name]
    model.fit(data)
    samples, features = sample_vectors(model, data), feature_vectors(model)
    assert samples.flags.c_contiguous
    assert features.flags.c_contiguous
    products = samples @ features.T
    assert products.dtype == (np.float32 if name == "single precision" else np.float64)
    best = getattr(model, "best_estimator_", model)
    expected = best.inverse_transform(best.transform(data))
    items = np.argsort(-expected, axis=1)[:, :5]
    if hasattr(best, "recommend"):
        same = best.recommend(data, n=5, exclude_seen=False, return_scores=False)
        np.testing.assert_array_equal(same, items)
    found = np.take_along_axis(products, items, axis=1)
    assert (np.diff(found, axis=1) <= 1e-5).all()
    np.testing.assert_allclose(found[:, 0], products.max(axis=1), rtol=1e-5)
    np.testing.assert_allclose(found[:, -1], np.sort(products, axis=1)[:, -5], rtol=1e-5)


def test_losses_of_columns_are_refused():
    model = MatrixFactorization(2, loss=[("squared", slice(0, 5)), (Huber(), slice(5, None))])
    model.fit(X)
    with pytest.raises(ValueError, match="different losses"):
        feature_vectors(model)
    with pytest.raises(ValueError, match="different losses"):
        sample_vectors(model, X)
