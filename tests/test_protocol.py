"""Searches, scores and displays keep the protocol of scikit-learn."""

import numpy as np
import pytest
from conftest import low_rank, punch_holes, store_observed
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_mf import NMF, MatrixFactorization, RankSearchCV
from sklearn_mf.estimators._base import HIDDEN_SEED
from sklearn_mf.plotting import ComponentsDisplay, LossCurveDisplay, RankSearchDisplay
from sklearn_mf.utils._hiding import hiding_stream

MODEL = MatrixFactorization(2, bias="features", alpha_W=0.01, random_state=0)


def data(seed=0):
    return punch_holes(low_rank(40, 12, 3, mean=2.0, noise=0.3, seed=seed), 0.15, seed=seed)


def weights_of(X, seed=0):
    return np.random.default_rng(seed).integers(0, 4, X.shape).astype(float)


class TestEntryWeights:
    @pytest.mark.parametrize("store", [np.asarray, store_observed])
    def test_of_the_score(self, store):
        X, E = data(), weights_of(data())
        unstored = "zero" if store is np.asarray else "missing"
        model = MatrixFactorization(
            2, bias="features", alpha_W=0.01, unstored=unstored, random_state=0
        ).fit(store(X))
        there = ~np.isnan(X) & (E > 0)
        draws = np.full(X.shape, -1.0)
        draws[there] = hiding_stream(HIDDEN_SEED).random(there.sum())
        hidden = (draws >= 0) & (draws < 0.2)
        hidden[np.arange(len(X)), draws.argmax(axis=1)] = False
        visible = np.where(there & ~hidden, X, np.nan)
        codes = model.transform(store(visible), entry_weight=E)
        values = model.inverse_transform(codes)
        means = np.nansum(np.where(there, E * X, 0), axis=0) / np.where(there, E, 0).sum(axis=0)

        def cost(predicted):
            return (E * np.nan_to_num(X - predicted) ** 2)[hidden].sum()

        expected = 1 - cost(values) / cost(means)
        np.testing.assert_allclose(model.score(store(X), entry_weight=E), expected, rtol=1e-8)

    def test_weights_of_one_change_nothing(self):
        X = data()
        model = MatrixFactorization(2, alpha_W=0.01, random_state=0).fit(X)
        assert np.isclose(model.score(X, entry_weight=np.ones(X.shape)), model.score(X))

    @pytest.mark.parametrize("store", [np.asarray, store_observed])
    def test_of_transformed_columns(self, store):
        X = data()
        unstored = "zero" if store is np.asarray else "missing"
        model = MatrixFactorization(2, alpha_W=0, unstored=unstored, random_state=0)
        W = model.fit_transform(store(X))
        new, E = data(1)[:, :4], weights_of(X, 1)[:, :4]
        H = model.transform_columns(store(new), W, entry_weight=E)
        for j in range(4):
            there = ~np.isnan(new[:, j]) & (E[:, j] > 0)
            root = np.sqrt(E[there, j])
            best = np.linalg.lstsq(W[there] * root[:, None], new[there, j] * root, rcond=None)[0]
            np.testing.assert_allclose(H[j], best, rtol=1e-6, atol=1e-9)


@parametrize_with_checks([MatrixFactorization(0.9)])
def test_a_share_of_the_variance_is_an_estimator_of_scikit_learn(estimator, check):
    check(estimator)


def test_a_share_of_the_variance_names_itself_where_entries_are_missing():
    with pytest.raises(ValueError, match=r"NaN, but n_components=0.9 needs complete data"):
        MatrixFactorization(0.9).fit(data())


@pytest.mark.parametrize("container", [list, tuple, "frame"])
def test_a_warm_start_goes_on_with_array_likes(container):
    X = data()
    given = X.tolist()
    if container == "frame":
        given = pytest.importorskip("pandas").DataFrame(X)
    elif container is tuple:
        given = tuple(map(tuple, X))
    setting = {"alpha_W": 0.01, "random_state": 0, "warm_start": True}
    expected = MatrixFactorization(2, **setting).fit(X).fit(X)
    model = MatrixFactorization(2, **setting).fit(given).fit(given)
    np.testing.assert_allclose(model.components_, expected.components_, rtol=1e-9)


def searches():
    X = np.nan_to_num(data(), nan=2.0)
    grid = {"matrixfactorization__n_components": [1, 2]}
    pipeline = make_pipeline(StandardScaler(), MODEL)
    return [
        MODEL.fit(X),
        make_pipeline(StandardScaler(), MODEL).fit(X),
        GridSearchCV(pipeline, grid, cv=2).fit(X),
        RankSearchCV(MODEL, [1, 2], cv=2, random_state=0).fit(X),
        make_pipeline(StandardScaler(), RankSearchCV(MODEL, [1, 2], cv=2, random_state=0)).fit(X),
    ]


class TestDisplays:
    @pytest.mark.parametrize("number", range(5))
    def test_they_draw_what_was_found(self, plt, number):
        found = searches()[number]
        inner = found
        while not hasattr(inner, "components_"):
            inner = getattr(inner, "best_estimator_", None) or inner[-1]
        display = ComponentsDisplay.from_estimator(found)
        np.testing.assert_array_equal(display.components, inner.components_)
        curve = LossCurveDisplay.from_estimator(found)
        assert curve.y_values == inner.loss_curve_
        assert curve.name == "MatrixFactorization"

    def test_a_search_of_ranks_in_a_pipeline(self, plt):
        _, plain, _, search, pipeline = searches()
        display = RankSearchDisplay.from_estimator(pipeline)
        assert display.best_rank == pipeline[-1].best_rank_
        assert RankSearchDisplay.from_estimator(search).best_rank == search.best_rank_
        with pytest.raises(ValueError, match="no best_rank_: pass a fitted RankSearchCV"):
            RankSearchDisplay.from_estimator(plain)

    def test_a_search_without_a_last_fit_says_so(self, plt):
        X = np.abs(np.nan_to_num(data()))
        search = GridSearchCV(NMF(init="random", tol=0.1), {"n_components": [1]}, refit=False, cv=2)
        with pytest.raises(ValueError, match="refit=True"):
            ComponentsDisplay.from_estimator(search.fit(X))
