"""Searches, scores and displays keep the protocol of scikit-learn."""

import tracemalloc

import numpy as np
import pytest
from conftest import low_rank, minutes_on_reference, punch_holes, random_csr, store_observed
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_mf import NMF, MatrixFactorization, RankSearchCV
from sklearn_mf.fitting.scores import HIDDEN_SEED
from sklearn_mf.model_selection import (
    EntryHoldout,
    EntryKFold,
    EntryTimeSeriesSplit,
    observed_entries,
)
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
    with pytest.raises(ValueError, match=r"NaN in .*, but n_components=0.9 needs complete data"):
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
        with pytest.raises(ValueError, match="no numbers of components: pass a fitted Rank"):
            RankSearchDisplay.from_estimator(plain)

    def test_a_search_without_a_last_fit_says_so(self, plt):
        X = np.abs(np.nan_to_num(data()))
        search = GridSearchCV(NMF(init="random", tol=0.1), {"n_components": [1]}, refit=False, cv=2)
        with pytest.raises(ValueError, match="refit=True"):
            ComponentsDisplay.from_estimator(search.fit(X))


def search_of(estimator=MODEL, ranks=(1, 2, 3, 4), **parameters):
    return RankSearchCV(estimator, ranks, **({"cv": 3, "random_state": 0} | parameters))


PATH = MatrixFactorization(bias="features", alpha_W=0.01, tol=1e-8, max_iter=2000)
ONE_BY_ONE = clone(PATH).set_params(solver="lbfgs", tol=1e-10, max_iter=5000, random_state=0)
SCORES = "mean_test_score"


class TestWeightsOfASearch:
    @pytest.mark.parametrize("estimator", [PATH, ONE_BY_ONE], ids=["path", "one by one"])
    @pytest.mark.parametrize("store", [np.asarray, store_observed])
    def test_scores_of_folds_are_weighted(self, estimator, store):
        """At the first rank, where a path has no step before."""
        X, E = data(), weights_of(data()) + 0.5
        s = np.random.default_rng(5).random(len(X)) + 0.5
        unstored = "zero" if store is np.asarray else "missing"
        estimator = clone(estimator).set_params(unstored=unstored)
        folds = list(EntryKFold(2, random_state=0).split(X))
        search = search_of(estimator, [1], cv=folds, refit=False)
        search.fit(store(X), sample_weight=s, entry_weight=E)
        rows, columns, values = observed_entries(X)
        for number, (train, test) in enumerate(folds):
            seen = np.zeros(X.shape, dtype=bool)
            seen[rows[train], columns[train]] = True
            model = clone(estimator).set_params(n_components=1, unstored="zero")
            model.fit(np.where(seen, X, np.nan), sample_weight=s, entry_weight=E)
            codes = model.transform(np.where(seen, X, np.nan), entry_weight=E)
            predicted = model.inverse_transform(codes)[rows[test], columns[test]]
            weights = (E * s[:, None])[rows[test], columns[test]]
            expected = -np.average((values[test] - predicted) ** 2, weights=weights)
            found = search.cv_results_[f"split{number}_test_score"][0]
            # The first fit of a path is a rough one.
            rough = estimator.solver == "auto"
            np.testing.assert_allclose(found, expected, rtol=0.05 if rough else 1e-4)

    @pytest.mark.parametrize("estimator", [PATH, ONE_BY_ONE], ids=["path", "one by one"])
    def test_an_entry_of_weight_zero_is_missing(self, estimator):
        X, E = data(), (weights_of(data()) > 0).astype(float)
        search = search_of(estimator, [1, 2], refit=False)
        weighted = clone(search).fit(X, entry_weight=E).cv_results_[SCORES]
        holed = clone(search).fit(np.where(E == 0, np.nan, X)).cv_results_[SCORES]
        np.testing.assert_allclose(weighted, holed, rtol=1e-4)

    def test_the_last_fit_gets_them(self):
        X, E, s = data(), weights_of(data()), np.arange(40.0) + 1
        search = search_of().fit(X, sample_weight=s, entry_weight=E)
        model = clone(MODEL).set_params(**search.best_params_)
        model.fit(X, sample_weight=s, entry_weight=E)
        np.testing.assert_array_equal(search.best_estimator_.components_, model.components_)
        np.testing.assert_array_equal(
            search.transform(X, entry_weight=E), model.transform(X, entry_weight=E)
        )
        assert search.score(X, entry_weight=E) == model.score(X, entry_weight=E)

    def test_what_an_estimator_does_not_take_is_its_error(self):
        with pytest.raises(TypeError, match="colour"):
            search_of().fit(data(), colour=1)

    def test_groups_go_to_the_splitter(self):
        X = data()
        times = np.random.default_rng(0).permutation((~np.isnan(X)).sum())
        cv = EntryTimeSeriesSplit(3)
        search = search_of(cv=cv, refit=False)
        expected = search_of(cv=list(cv.split(X, groups=times)), refit=False).fit(X)
        found = clone(search).fit(X, groups=times)
        np.testing.assert_array_equal(found.cv_results_[SCORES], expected.cv_results_[SCORES])
        with config_context(enable_metadata_routing=True):
            routed = clone(search).fit(X, groups=times)
        np.testing.assert_array_equal(routed.cv_results_[SCORES], expected.cv_results_[SCORES])

    def test_metadata_go_where_they_are_requested(self):
        X, E = data(), weights_of(data())
        plain = search_of().fit(X, entry_weight=E)
        codes, score = plain.transform(X, entry_weight=E), plain.score(X, entry_weight=E)
        with config_context(enable_metadata_routing=True):
            model = clone(MODEL).set_fit_request(entry_weight=True)
            model.set_transform_request(entry_weight=True).set_score_request(entry_weight=True)
            search = search_of(model).fit(X, entry_weight=E)
            np.testing.assert_array_equal(search.transform(X, entry_weight=E), codes)
            assert search.score(X, entry_weight=E) == score
            with pytest.raises(ValueError, match="sample_weight"):
                search.fit(X, sample_weight=np.ones(len(X)))


class TestDelegates:
    DELEGATES = ("transform", "inverse_transform", "predict_entries", "score")

    @pytest.mark.parametrize("name", [*DELEGATES, "get_feature_names_out"])
    def test_without_a_last_fit_there_are_none(self, name):
        search = search_of(refit=False)
        assert not hasattr(search, name)
        assert not hasattr(search.fit(data()), name)
        assert hasattr(search.set_params(refit=True), name)

    def test_a_fit_without_a_last_one_forgets_the_one_before(self):
        search = search_of().fit(data())
        search.set_params(refit=False).fit(data())
        assert not hasattr(search, "best_estimator_")

    def test_standard_deviations(self):
        X = data()
        search = search_of().fit(X)
        pairs = np.array([0, 3, 5]), np.array([1, 2, 4])
        for found, expected in zip(
            search.predict_entries(X, *pairs, return_std=True),
            search.best_estimator_.predict_entries(X, *pairs, return_std=True),
            strict=True,
        ):
            np.testing.assert_array_equal(found, expected)

    def test_standard_deviations_of_a_holdout(self):
        X = data()
        holdout = EntryHoldout(MODEL).fit(X)
        pairs = [0, 3], [1, 2]
        for found, expected in zip(
            holdout.predict_entries(X, *pairs, return_std=True),
            holdout.estimator_.predict_entries(X, *pairs, return_std=True),
            strict=True,
        ):
            np.testing.assert_array_equal(found, expected)

    def test_output_in_frames(self):
        frames = pytest.importorskip("pandas")
        X = frames.DataFrame(data()).add_prefix("a")
        search = search_of(clone(MODEL)).set_output(transform="pandas").fit(X)
        assert isinstance(search.transform(X), frames.DataFrame)
        assert isinstance(search.fit_transform(X), frames.DataFrame)
        search.set_output(transform="default")
        assert isinstance(search.transform(X), np.ndarray)

    def test_verbose_prints_a_line_for_every_fold_and_the_choice(self, capsys):
        search = search_of(verbose=1).fit(data())
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 4
        assert f"'n_components': {search.best_rank_}" in lines[-1]

    def test_callbacks_of_the_estimator_see_its_last_fit(self):
        callback = pytest.importorskip("sklearn.callback")
        if not hasattr(callback, "ScoringMonitor"):
            pytest.skip("no callback that needs no other library")
        model = clone(MODEL).set_params(solver="als", max_iter=5, tol=0)
        seen = []

        class Watching:
            def setup(self, estimator, context):
                seen.append("setup")

            def teardown(self, estimator, context):
                seen.append("teardown")

            def on_fit_task_begin(self, estimator, context, **data):
                pass

            def on_fit_task_end(self, estimator, context, **data):
                seen.append(estimator.n_components)

        model.set_callbacks(Watching())
        search = search_of(model).fit(data())
        assert seen.count("setup") == seen.count("teardown") == 1
        assert set(seen[1:-1]) == {search.best_rank_}


class TestZerosThatCount:
    """Blocks are hidden of a sparse matrix of counts, none of which is made dense."""

    @staticmethod
    def counts(shape=(300, 60), rank=3, seed=0):
        rng = np.random.default_rng(seed)
        rates = rng.gamma(0.3, size=(shape[0], rank)) @ rng.gamma(0.3, size=(rank, shape[1]))
        return rng.poisson(6 * rates).astype(float)

    @pytest.mark.parametrize(
        "estimator",
        [
            MatrixFactorization(alpha_W=0.001),
            pytest.param(NMF(init="random", random_state=0, tol=1e-3), marks=minutes_on_reference),
        ],
    )
    def test_the_rank_is_found(self, estimator):
        X = self.counts()
        search = search_of(estimator, range(1, 7), cv=5).fit(sparse.csr_array(X))
        assert search.best_rank_ in (3, 4)
        assert search.transform(sparse.csr_array(X)).shape == (300, search.best_rank_)

    def test_scores_are_those_of_dense_blocks(self):
        X = self.counts()
        weight = np.random.default_rng(0).random(len(X)) + 0.5
        search = search_of(MatrixFactorization(alpha_W=0.001), [1, 3], cv=4, refit=False)
        search.fit(sparse.csr_array(X), sample_weight=weight)
        rng = np.random.RandomState(0)
        from sklearn_mf.utils._hiding import random_block

        stream = hiding_stream(rng)
        for fold in range(4):
            aside, columns = random_block(X.shape, weight, 1 / 4, stream)
            for number, rank in enumerate([1, 3]):
                model = MatrixFactorization(rank, alpha_W=0.001)
                model.fit(X[~aside], sample_weight=weight[~aside])
                codes = model.transform(np.where(columns, np.nan, X[aside]))
                errors = (model.inverse_transform(codes) - X[aside])[:, columns] ** 2
                expected = -np.average(errors.mean(axis=1), weights=weight[aside])
                found = search.cv_results_[f"split{fold}_test_score"][number]
                np.testing.assert_allclose(found, expected, rtol=1e-4)

    def test_in_little_memory(self):
        X = random_csr((20_000, 4_000), 1e-3)
        model = MatrixFactorization(max_iter=3, tol=1e-1, solver="als", random_state=0)
        search = search_of(model, [1, 2], cv=2, refit=False)
        tracemalloc.start()
        try:
            search.fit(X.tocsr())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 0.05 * 8 * X.shape[0] * X.shape[1]
