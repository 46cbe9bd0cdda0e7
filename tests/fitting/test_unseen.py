"""What is expected of samples and features without any entry: a mean, not zero."""

import pickle
import warnings

import numpy as np
import pytest
from conftest import low_rank, punch_holes, store_observed

from sklearn_mf import NMF, MatrixFactorization

pytestmark = pytest.mark.filterwarnings("ignore:.*have no observed entry")


def model(**parameters):
    return MatrixFactorization(3, **{"alpha_W": 0.0, "random_state": 0, **parameters})


@pytest.mark.parametrize("solver", ["auto", "als", "lbfgs"])
@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_sample_without_an_entry_is_the_mean_of_the_others(solver, whiten, weighted):
    X = low_rank(40, 12, noise=0.0) + np.arange(12)  # of rank 4 about zero
    weight = np.random.default_rng(0).integers(1, 4, 40) if weighted else np.ones(40)
    fitted = model(solver=solver, whiten=whiten, tol=1e-12, max_iter=2000)
    fitted.set_params(n_components=4).fit(X, sample_weight=weight)
    empty = fitted.transform(np.full((2, 12), np.nan))
    means = np.average(X, axis=0, weights=weight)
    np.testing.assert_allclose(fitted.inverse_transform(empty), [means, means], rtol=1e-4)


@pytest.mark.parametrize("alpha_W", [0.0, 0.1])
def test_of_holed_and_stored_data_too(alpha_W):
    X = punch_holes(low_rank(60, 12, noise=0.1, mean=3.0))
    X[7] = np.nan
    parameters = {"alpha_W": alpha_W, "tol": 1e-9}
    dense, stored = model(**parameters), model(unstored="missing", **parameters)
    W, V = dense.fit_transform(X), stored.fit_transform(store_observed(X))
    for codes in (W, V):
        np.testing.assert_allclose(codes[7], np.delete(codes, 7, axis=0).mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(V, W, atol=1e-6)
    predicted = dense.inverse_transform(W)[7]
    np.testing.assert_allclose(predicted, np.nanmean(X, axis=0), atol=1)
    again = pickle.loads(pickle.dumps(dense))
    np.testing.assert_array_equal(again.transform(X), dense.transform(X))


def test_of_non_negative_factors_too():
    X = punch_holes(np.abs(low_rank(40, 12)))
    X[7], X[:, 3] = np.nan, np.nan
    for solver in ("cd", "mu"):
        fitted = NMF(3, solver=solver, max_iter=1000, random_state=0)
        W = fitted.fit_transform(X)
        np.testing.assert_allclose(W[7], np.delete(W, 7, axis=0).mean(axis=0))
        np.testing.assert_allclose(fitted.inverse_transform(W)[:, 3], np.nanmean(X))


@pytest.mark.parametrize("bias", [False, "features", "samples", "both"])
@pytest.mark.parametrize("unit", [1.0, 1e6])
def test_a_feature_without_an_entry_is_the_mean_of_all_entries(bias, unit):
    X = unit * punch_holes(low_rank(40, 12, mean=3.0))
    X[:, 3] = np.nan
    fitted = model(bias=bias, alpha_W=0.1, alpha_scaling=0).fit(X)
    predicted = fitted.inverse_transform(fitted.transform(X))[:, 3]
    spread = 0.2 * np.nanstd(X) if bias in ("samples", "both") else 1e-9 * unit
    np.testing.assert_allclose(predicted.mean(), np.nanmean(X), atol=spread)
    assert fitted.feature_bias_[3] == pytest.approx(np.nanmean(X))
    # What new samples have there tells nothing of them.
    other = X.copy()
    other[:, 3] = 100 * unit
    if bias in (False, "features"):
        np.testing.assert_allclose(fitted.transform(other), fitted.transform(X), rtol=1e-9)


def test_messages_say_so():
    X = low_rank(40, 12)
    X[7], X[:, 3] = np.nan, np.nan
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model().fit(X)
    messages = [str(warning.message) for warning in caught]
    assert any("row 7: their codes are the mean of the codes in fit" in text for text in messages)
    assert any("zero, and an overall mean is predicted for them" in text for text in messages)


@pytest.mark.parametrize("bias", [False, "features"])
def test_streams_go_on_with_the_mean_of_features(bias):
    X = low_rank(40, 12, mean=3.0)
    X[:, 3] = np.nan
    fitted = model(bias=bias, alpha_W=0.1).fit(X)
    mean = np.nanmean(X)
    fitted.partial_fit(X[:10])
    assert fitted.feature_bias_[3] == pytest.approx(mean)
    # A mean of codes is known of a fit only.
    assert fitted.explained_variance_ is None
    with pytest.warns(UserWarning, match="their codes are zero"):
        np.testing.assert_array_equal(fitted.transform(np.full((1, 12), np.nan)), 0)


def test_streams_do_not_whiten():
    X = low_rank(40, 12)
    for fitted in (model(whiten=True), model(whiten=True).fit(X)):
        with pytest.raises(ValueError, match=r"whiten=True .* whiten=False"):
            fitted.partial_fit(X)
