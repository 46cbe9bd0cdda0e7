"""``MatrixFactorization(penalty=...)``: what it means, and what it does not go with."""

import numpy as np
import pytest
from conftest import low_rank, punch_holes, store_observed
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_mf import MatrixFactorization, RankSearchCV, load_model, save_model
from sklearn_mf.penalties import ElasticNet, GroupLasso, Ridge, Smoothness

COMPLETE = low_rank(25, 12, rank=2, noise=0.3)
HOLED = punch_holes(COMPLETE, share=0.2)


def fitted(X=HOLED, k=3, **parameters):
    settings = {"alpha_W": 0.05, "random_state": 0, "tol": 1e-7, "max_iter": 2000}
    return MatrixFactorization(k, **settings | parameters).fit(X)


@pytest.mark.parametrize("bias", [False, "features", "both"])
@pytest.mark.parametrize("X", [COMPLETE, HOLED], ids=["complete", "holes"])
def test_the_penalty_of_alpha_as_an_object_is_the_same_model(X, bias):
    expected = fitted(X, bias=bias, alpha_H=0.08, l1_ratio=0.5, max_iter=50, tol=1e-5)
    penalty = ElasticNet(0.08, 0.5)
    found = fitted(X, bias=bias, penalty=penalty, l1_ratio=0.5, max_iter=50, tol=1e-5)
    if bias != "both":  # where alpha_H is that of the biases of features, too
        np.testing.assert_array_equal(found.components_, expected.components_)
    both = {"W": ElasticNet(0.05, 0.5), "H": penalty}
    again = fitted(X, bias=bias, penalty=both, max_iter=50, tol=1e-5)
    np.testing.assert_array_equal(again.components_, found.components_)


def objective(model, X, penalty):
    """The documented formula of smooth components."""
    W, seen = model.transform(X), ~np.isnan(X)
    D = np.diff(np.eye(X.shape[1]), n=2, axis=0)
    error = np.nansum((X - model.inverse_transform(W)) ** 2)
    of_W = seen.sum(axis=1) @ (W**2).sum(axis=1)
    of_H = seen.sum(axis=0).mean() * np.sum((D @ model.components_.T) ** 2)
    return 0.5 * (error + model.alpha_W * of_W + penalty.alpha * of_H)


@pytest.mark.parametrize("size", [1.0, 1e4])
@pytest.mark.parametrize("solver", ["als", "lbfgs"])
def test_the_objective_is_the_documented_one(solver, size):
    penalty, X = Smoothness(0.1 * size), size * HOLED
    model = fitted(X, penalty=penalty, solver=solver, alpha_W=0.05 * size)
    np.testing.assert_allclose(model.loss_curve_[-1], objective(model, X, penalty), rtol=1e-6)


def test_data_in_another_unit_have_the_same_model():
    one = fitted(penalty=Smoothness(0.1), tol=1e-9)
    other = fitted(1e6 * HOLED, penalty=Smoothness(0.1 * 1e6), alpha_W=0.05 * 1e6, tol=1e-9)
    np.testing.assert_allclose(other.loss_curve_[-1], 1e12 * one.loss_curve_[-1], rtol=1e-4)


def test_components_that_may_be_turned_are_turned():
    model = fitted(penalty=Smoothness(0.1), bias="features")
    W = model.transform(HOLED)
    codes = np.cov(W.T)
    np.testing.assert_allclose(codes - np.diag(np.diag(codes)), 0, atol=1e-8 * codes.max())
    assert (np.diff(model.explained_variance_) <= 0).all()
    assert model.set_params(whiten=True).fit(HOLED).transform(HOLED).std(ddof=1) < 1.2


def test_components_that_may_not_be_turned_stay():
    model = fitted(penalty=GroupLasso(0.02))
    assert model.explained_variance_ is None
    with pytest.raises(ValueError, match="whiten=True needs codes that may be turned"):
        model.set_params(whiten=True).fit(HOLED)


def test_codes_are_those_of_transform_row_by_row():
    penalties = {"W": GroupLasso(0.02, "rows"), "H": GroupLasso(0.02, "rows")}
    model = fitted(penalty=penalties)
    W = model.fit_transform(HOLED)
    np.testing.assert_array_equal(W, model.transform(HOLED))
    alone = np.vstack([model.transform(row[None]) for row in HOLED])
    np.testing.assert_allclose(alone, W, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("penalty", [Smoothness(0.1), GroupLasso(0.02)], ids=str)
def test_stored_entries_have_the_model_of_their_dense_twin(penalty):
    dense = fitted(penalty=penalty, max_iter=20, tol=1e-3)
    stored = clone(dense).set_params(unstored="missing").fit(store_observed(HOLED))
    np.testing.assert_allclose(stored.components_, dense.components_, rtol=1e-4, atol=1e-6)
    zeros = fitted(sparse.csr_array(COMPLETE), penalty=penalty, max_iter=20, tol=1e-3)
    dense = fitted(COMPLETE, penalty=penalty, max_iter=20, tol=1e-3)
    np.testing.assert_allclose(zeros.components_, dense.components_, rtol=1e-4, atol=1e-6)


def test_grid_search_reaches_into_the_penalty(tmp_path):
    model = MatrixFactorization(2, alpha_W=0.05, penalty=Smoothness(), random_state=0)
    search = GridSearchCV(model, {"penalty__alpha": [0.01, 0.1]}, cv=2).fit(COMPLETE)
    assert search.best_params_["penalty__alpha"] in (0.01, 0.1)
    RankSearchCV(model, [1, 2], cv=2, random_state=0).fit(HOLED)
    path = tmp_path / "model"
    save_model(search.best_estimator_, path)
    loaded = load_model(path)
    np.testing.assert_array_equal(loaded.transform(HOLED), search.best_estimator_.transform(HOLED))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"penalty": Smoothness(), "alpha_W": "auto"}, "alpha_W must be a number"),
        ({"penalty": Smoothness(), "alpha_W": 0.0}, "W has no penalty.*Increase alpha_W"),
        ({"penalty": {"W": Ridge(1.0)}, "alpha_H": 0}, "H has no penalty.*Increase alpha_H"),
        ({"penalty": Smoothness(), "alpha_H": 0.1}, "alpha_H=0.1 and penalty=.* both penalize"),
        ({"penalty": Smoothness(), "positive": True}, r"Smoothness\(positive=True\)"),
        ({"penalty": {"W": Smoothness()}}, "compares samples"),
        ({"penalty": {"rows": Ridge()}}, "keys 'W', 'H' or both, but contains the key 'rows'"),
        ({"penalty": {}}, "keys 'W', 'H' or both"),
        ({"penalty": {"W": Ridge(), "H": Ridge()}, "l1_ratio": 0.5}, "l1_ratio=0.5 has no"),
        ({"penalty": GroupLasso(-1.0)}, "'alpha' parameter of GroupLasso"),
        ({"penalty": GroupLasso(groups="row")}, "'groups' parameter of GroupLasso"),
        ({"penalty": Smoothness(order=0)}, "'order' parameter of Smoothness"),
        ({"penalty": GroupLasso(), "solver": "sgd"}, "'sgd' needs penalties"),
        ({"penalty": GroupLasso(), "n_components": "auto"}, "n_components='auto' needs"),
    ],
)
def test_what_does_not_go_together_is_told(parameters, message):
    with pytest.raises(ValueError, match=message):
        fitted(**{"k": parameters.pop("n_components", 3)} | parameters)


def test_a_penalty_must_be_one():
    with pytest.raises(ValueError, match="'penalty' parameter of MatrixFactorization"):
        fitted(penalty="ridge")
    with pytest.raises(
        TypeError, match="penalty of W must be a BasePenalty, got an object of type str"
    ):
        fitted(penalty={"W": "ridge"})


def test_streams_and_deviations_need_numbers():
    model = fitted(penalty=Smoothness())
    with pytest.raises(ValueError, match="partial_fit adds normal equations"):
        model.partial_fit(HOLED)
    with pytest.raises(ValueError, match="return_std=True needs codes that are ridge"):
        model.predict_entries(HOLED, [0], [0], return_std=True)
    ridge = fitted(penalty=Ridge(0.1)).partial_fit(HOLED)
    assert np.isfinite(ridge.components_).all()


def test_the_strength_that_was_chosen_is_told():
    assert fitted(penalty=Smoothness()).alpha_W_ == 0.05
    assert fitted(penalty={"W": Ridge(0.1)}).alpha_W_ is None
