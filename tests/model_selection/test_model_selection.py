"""Scores of hidden entries: they choose the planted rank, and nothing leaks into them."""

import pickle

import numpy as np
import pytest
import sklearn
from conftest import low_rank, minutes_on_reference, punch_holes, store_observed
from sklearn.base import clone
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    d2_absolute_error_score,
    mean_poisson_deviance,
    ndcg_score,
    r2_score,
    root_mean_squared_error,
)
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_mf import MatrixFactorization
from sklearn_mf.model_selection import (
    EntryHoldout,
    EntryKFold,
    EntryShuffleSplit,
    EntryTimeSeriesSplit,
    MaskedEntryScorer,
    bi_cross_val_score,
    cross_val_entries,
    hide_entries,
    observed_entries,
)
from sklearn_mf.utils._hiding import hiding_stream

RANKS = [2, 3, 4, 5, 8]


def planted(seed, missing=0.0):
    """Rank 4 in 300 x 40, with noise of 0.7."""
    X = low_rank(300, 40, rank=4, noise=0.7, seed=seed)
    return punch_holes(X, missing, seed=100 + seed) if missing else X


def model(n_components=4, **parameters):
    return MatrixFactorization(n_components, **{"alpha_W": 0.02, "random_state": 0} | parameters)


def whole(X):
    """All rows in the fit and in the test."""
    rows = np.arange(X.shape[0])
    return [(rows, rows)]


def chosen_by_scorer(X):
    search = GridSearchCV(model(), {"n_components": RANKS}, scoring=MaskedEntryScorer())
    return search.fit(X).best_params_["n_components"]


def chosen_by_holdout(X):
    grid = {"estimator__n_components": RANKS}
    search = GridSearchCV(EntryHoldout(model()), grid, cv=whole(X), refit=False).fit(X)
    return search.best_params_["estimator__n_components"]


def chosen_by_folds(X):
    scores = [cross_val_entries(model(k), X)["test_score"].mean() for k in RANKS]
    return RANKS[int(np.argmax(scores))]


def chosen_by_rows(X):
    """Not to be done: the code of a row is solved on the entries that are compared."""

    def reconstruction(estimator, X, y=None):
        error = X - estimator.inverse_transform(estimator.transform(X))
        return -np.nanmean(error**2)

    search = GridSearchCV(model(), {"n_components": RANKS}, scoring=reconstruction)
    return search.fit(X).best_params_["n_components"]


HONEST = [chosen_by_scorer, chosen_by_holdout, chosen_by_folds]


@minutes_on_reference
class TestRank:
    @pytest.mark.parametrize("missing", [0.0, 0.5])
    @pytest.mark.parametrize("choose", HONEST)
    def test_hidden_entries_choose_the_planted_rank(self, choose, missing):
        assert choose(planted(0, missing)) == 4

    @pytest.mark.parametrize("missing", [0.0, 0.5])
    def test_whole_rows_choose_the_largest_rank(self, missing):
        assert chosen_by_rows(planted(0, missing)) == max(RANKS)

    def test_bi_cross_validation_chooses_the_planted_rank(self):
        scores = [bi_cross_val_score(model(k), planted(0)).mean() for k in RANKS]
        assert RANKS[int(np.argmax(scores))] == 4


class Recorder(StandardScaler):
    """Tells what it saw."""

    def fit(self, X, y=None, sample_weight=None):
        self.seen_ = np.array(X)
        return super().fit(X, y, sample_weight)

    def transform(self, X, copy=None):
        self.transformed_ = np.array(X)
        return super().transform(X, copy=copy)


def scored(X):
    """Score and fitted pipeline by the scorer, the holdout and cross-validation."""
    pipeline = make_pipeline(Recorder(), model(3))
    train = pipeline.fit(X[:20])
    yield MaskedEntryScorer()(train, X[20:]), train
    holdout = EntryHoldout(clone(pipeline)).fit(X)
    yield holdout.score(X), holdout.estimator_
    found = cross_val_entries(pipeline, X, cv=3, return_estimator=True)
    yield found["test_score"][0], found["estimator"][0]


def hidden_by(number, X):
    """Entries of X, as numbers, that each of the three hides."""
    if number == 0:
        rows = observed_entries(X)[0]
        part = X[20:]
        [(_, test)] = EntryShuffleSplit(1, random_state=0).split(part)
        return np.flatnonzero(rows >= 20)[test]
    cv = EntryShuffleSplit(1, random_state=0) if number == 1 else EntryKFold(3, random_state=0)
    return next(cv.split(X))[1]


class TestLeaks:
    @pytest.mark.parametrize("number", [0, 1, 2])
    def test_a_hidden_value_changes_nothing_but_the_score(self, number, holed):
        hidden = hidden_by(number, holed)
        other = holed.copy()
        rows, columns, _ = observed_entries(holed)
        other[rows[hidden], columns[hidden]] += 1000.0
        before, after = list(scored(holed))[number], list(scored(other))[number]
        assert before[0] != after[0]
        for one, two in zip(before[1], after[1], strict=True):
            attributes, others = vars(one), vars(two)
            assert set(attributes) == set(others)
            for name, value in attributes.items():
                if isinstance(value, np.ndarray | float):
                    np.testing.assert_array_equal(value, others[name])
        seen = before[1][0].transformed_ if number == 0 else before[1][0].seen_
        where = rows[hidden] - (20 if number == 0 else 0), columns[hidden]
        assert np.isnan(seen[where]).all()

    def test_a_visible_value_changes_the_fit(self, holed):
        other = hide_entries(holed, hidden_by(1, holed))
        rows, columns, _ = observed_entries(other)
        other = holed.copy()
        other[rows[0], columns[0]] += 1.0
        first, second = (EntryHoldout(model(3)).fit(X).estimator_ for X in (holed, other))
        assert np.abs(first.components_ - second.components_).max() > 0

    def test_what_is_neither_in_train_nor_in_test_is_not_seen(self, complete):
        times = np.random.default_rng(0).permutation(complete.size)
        cv = EntryTimeSeriesSplit(2)
        train, test = next(cv.split(complete, groups=times))
        later = np.setdiff1d(np.arange(complete.size), np.union1d(train, test))
        other = complete.copy()
        other.flat[later] = 1e6
        first, second = (
            cross_val_entries(model(2), X, cv=cv, groups=times)["test_score"][0]
            for X in (complete, other)
        )
        assert first == second


def by_hand(X, estimator):
    """Hidden values of the default scorer and their predictions."""
    [(_, test)] = EntryShuffleSplit(1, random_state=0).split(X)
    visible = hide_entries(X, test)
    rows, columns, values = (array[test] for array in observed_entries(X))
    reconstruction = estimator.inverse_transform(estimator.transform(visible))
    return visible, rows, columns, values, reconstruction[rows, columns]


class TestMetrics:
    def test_r2_of_a_feature_is_that_of_scikit_learn_but_for_the_mean(self, holed):
        fitted = model(2).fit(holed)
        visible, _, columns, values, predicted = by_hand(holed, fitted)
        means = np.nanmean(visible, axis=0)[columns]
        # Residuals against the means are explained; their own mean is not taken away.
        expected = 1 - np.sum((values - predicted) ** 2) / np.sum((values - means) ** 2)
        assert MaskedEntryScorer()(fitted, holed) == pytest.approx(expected, rel=1e-12)
        mean_only = make_pipeline(StandardScaler(), MeanOnly(1)).fit(holed)
        holed_mean = EntryHoldout(mean_only).fit(holed)
        assert holed_mean.score(holed) == pytest.approx(0, abs=1e-12)
        assert r2_score(values, predicted) > 0

    def test_errors_are_those_of_scikit_learn_negated(self, holed):
        fitted = model(2).fit(holed)
        *_, values, predicted = by_hand(holed, fitted)
        found = MaskedEntryScorer(metric="rmse")(fitted, holed)
        assert found == pytest.approx(-root_mean_squared_error(values, predicted))
        found = MaskedEntryScorer(metric="mae")(fitted, holed)
        assert found == pytest.approx(-np.abs(values - predicted).mean())
        found = MaskedEntryScorer(metric=d2_absolute_error_score)(fitted, holed)
        assert found == pytest.approx(d2_absolute_error_score(values, predicted))
        found = MaskedEntryScorer(metric="deviance")(fitted, holed)
        assert found == pytest.approx(-np.mean((values - predicted) ** 2))

    def test_deviance_of_counts_is_that_of_scikit_learn(self):
        X = np.random.default_rng(0).poisson(np.exp(low_rank(rank=2) / 2)).astype(float)
        fitted = model(2, loss="poisson").fit(X)
        *_, values, predicted = by_hand(X, fitted)
        found = MaskedEntryScorer(metric="deviance")(fitted, X)
        assert found == pytest.approx(-mean_poisson_deviance(values, predicted), rel=1e-5)

    def test_deviance_of_mixed_columns_is_that_of_each(self):
        X = low_rank()
        X[:, 10:] = np.random.default_rng(0).poisson(np.exp(X[:, 10:] / 3))
        loss = {"squared": slice(0, 10), "poisson": slice(10, None)}
        fitted = model(2, loss=loss).fit(X)
        _, _, columns, values, predicted = by_hand(X, fitted)
        is_count = columns >= 10
        squares = np.sum((values - predicted)[~is_count] ** 2)
        counts = mean_poisson_deviance(values[is_count], predicted[is_count]) * is_count.sum()
        expected = -(squares + counts) / len(values)
        found = MaskedEntryScorer(metric="deviance")(fitted, X)
        assert found == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize("k", [None, 2])
    def test_ndcg_is_the_mean_over_rows(self, k):
        X = punch_holes(np.floor(np.abs(low_rank(mean=2.0))))
        stored = store_observed(X)
        fitted = model(2, unstored="missing").fit(stored)
        _, rows, _, values, predicted = by_hand(X, fitted)
        expected = [
            ndcg_score([values[rows == row]], [predicted[rows == row]], k=k)
            for row in np.unique(rows)
            if np.count_nonzero(rows == row) > 1
        ]
        metric = "ndcg" if k is None else f"ndcg@{k}"
        for data in (X, stored):
            found = MaskedEntryScorer(metric=metric)(fitted, data)
            assert found == pytest.approx(np.mean(expected), rel=1e-9)

    @pytest.mark.parametrize("metric", ["r3", "ndcg@0", "ndcg@", "ndcg@x", "neg_rmse"])
    def test_an_unknown_metric_is_refused_with_those_there_are(self, metric, holed):
        fitted = model(2).fit(holed)
        with pytest.raises(ValueError, match=r"metric must be one of.*rmse"):
            MaskedEntryScorer(metric=metric)(fitted, holed)
        for call in (
            lambda: EntryHoldout(model(2), metric=metric).fit(holed),
            lambda: cross_val_entries(model(2), holed, metric=metric),
        ):
            with pytest.raises(ValueError, match="metric must be one of"):
                call()

    def test_what_a_metric_cannot_take_is_named(self, holed):
        fitted = model(2).fit(holed)
        with pytest.raises(ValueError, match=r"ndcg.*non-negative"):
            MaskedEntryScorer(metric="ndcg")(fitted, holed)
        with pytest.raises(ValueError, match="needs rows with at least two"):
            MaskedEntryScorer(0.01, metric="ndcg")(model(1).fit(np.ones((9, 9))), np.ones((9, 9)))
        with pytest.raises(ValueError, match=r"deviance.*StandardScaler"):
            MaskedEntryScorer(metric="deviance")(StandardScaler().fit(holed), holed)

    def test_blocks_of_rows_change_nothing(self, holed, monkeypatch):
        fitted = model(2).fit(holed)
        expected = MaskedEntryScorer()(fitted, holed)
        monkeypatch.setattr("sklearn_mf.model_selection._prediction.BLOCK_SIZE", 50)
        assert MaskedEntryScorer()(fitted, holed) == pytest.approx(expected, rel=1e-12)


class MeanOnly(MatrixFactorization):
    """Predicts zeros: behind a scaler, the means."""

    def inverse_transform(self, X):
        return np.zeros((len(X), self.n_features_in_))


class TestContainers:
    def test_holes_of_a_sparse_matrix_are_scored_as_those_of_a_dense_one(self, holed):
        stored = store_observed(holed)
        sparsely = model(2, unstored="missing")
        for one, other in (
            (
                EntryHoldout(model(2)).fit(holed).score(holed),
                EntryHoldout(sparsely).fit(stored).score(stored),
            ),
            (
                MaskedEntryScorer()(model(2).fit(holed), holed),
                MaskedEntryScorer()(clone(sparsely).fit(stored), stored),
            ),
            (
                cross_val_entries(model(2), holed)["test_score"],
                cross_val_entries(sparsely, stored)["test_score"],
            ),
        ):
            np.testing.assert_allclose(one, other, rtol=1e-6)

    @pytest.mark.parametrize("estimator", [model(2), TruncatedSVD(2)])
    def test_zeros_that_are_not_stored_are_refused(self, estimator, holed):
        X = store_observed(np.nan_to_num(holed))
        for call in (
            lambda: EntryHoldout(estimator).fit(X),
            lambda: cross_val_entries(estimator, X),
            lambda: MaskedEntryScorer()(clone(estimator).fit(X), X),
        ):
            with pytest.raises(ValueError, match=r"unstored='missing'.*toarray"):
                call()

    def test_data_frames_are_scored_as_arrays_and_keep_their_names(self, holed):
        pandas = pytest.importorskip("pandas")
        X = pandas.DataFrame(holed, columns=[f"feature {i}" for i in range(holed.shape[1])])
        pipeline = make_pipeline(StandardScaler(), model(2)).set_output(transform="pandas")
        framed = EntryHoldout(pipeline).fit(X)
        plain = EntryHoldout(make_pipeline(StandardScaler(), model(2))).fit(holed)
        assert framed.score(X) == pytest.approx(plain.score(holed), rel=1e-12)
        assert list(framed.feature_names_in_) == list(X.columns)
        codes = framed.transform(X)
        assert list(codes.columns) == list(framed.get_feature_names_out())
        grid = {"matrixfactorization__n_components": [1, 2]}
        search = GridSearchCV(pipeline, grid, scoring=MaskedEntryScorer()).fit(X)
        scores = search.cv_results_["mean_test_score"]
        search = GridSearchCV(plain.estimator, grid, scoring=MaskedEntryScorer()).fit(holed)
        np.testing.assert_allclose(scores, search.cv_results_["mean_test_score"], rtol=1e-9)
        np.testing.assert_allclose(
            cross_val_entries(pipeline, X)["test_score"],
            cross_val_entries(plain.estimator, holed)["test_score"],
            rtol=1e-9,
        )

    def test_float32_stays(self, holed):
        X = holed.astype(np.float32)
        fitted = EntryHoldout(model(2)).fit(X)
        assert fitted.estimator_.components_.dtype == np.float32
        assert fitted.transform(X).dtype == np.float32


class TestHoldout:
    def test_it_does_what_the_estimator_does(self, holed):
        fitted = EntryHoldout(model(3)).fit(holed)
        inner = model(3).fit(hide_entries(holed, hidden_by(1, holed)))
        codes = fitted.transform(holed)
        np.testing.assert_array_equal(codes, inner.transform(holed))
        np.testing.assert_array_equal(
            fitted.inverse_transform(codes), inner.inverse_transform(codes)
        )
        np.testing.assert_array_equal(
            fitted.predict_entries(holed, [0, 1], [2, 3]),
            inner.predict_entries(holed, [0, 1], [2, 3]),
        )
        assert not hasattr(EntryHoldout(PCA(2)), "predict_entries")

    def test_the_score_finds_the_hidden_entries_whatever_the_random_state(self, holed):
        for random_state in (None, np.random.RandomState(3), 5):
            fitted = EntryHoldout(model(3), random_state=random_state).fit(holed)
            assert fitted.score(holed) == fitted.score(holed)
            [(_, test)] = fitted.splitter_.split(holed)
            inner = model(3).fit(hide_entries(holed, test))
            np.testing.assert_array_equal(inner.components_, fitted.estimator_.components_)

    def test_repetitions_are_a_list_of_seeds(self, holed):
        grid = {"random_state": [0, 1, 2]}
        search = GridSearchCV(EntryHoldout(model(2)), grid, cv=whole(holed)).fit(holed)
        assert len(set(search.cv_results_["mean_test_score"])) == 3

    def test_an_estimator_without_a_reconstruction_is_refused(self, holed):
        with pytest.raises(ValueError, match="estimator"):
            EntryHoldout(LogisticRegression()).fit(holed)

    def test_it_can_be_pickled(self, holed):
        fitted = EntryHoldout(model(2)).fit(holed)
        assert pickle.loads(pickle.dumps(fitted)).score(holed) == fitted.score(holed)


@pytest.mark.parametrize("routing", [False, True])
class TestMetadata:
    def test_weights_reach_the_estimator(self, routing, holed):
        weights = np.random.default_rng(0).uniform(0.1, 2, len(holed))
        inner = model(2).fit(hide_entries(holed, hidden_by(1, holed)), sample_weight=weights)
        with sklearn.config_context(enable_metadata_routing=routing):
            estimator = model(2)
            if routing:
                estimator.set_fit_request(sample_weight=True)
            fitted = EntryHoldout(estimator).fit(holed, sample_weight=weights)
        np.testing.assert_array_equal(fitted.estimator_.components_, inner.components_)

    def test_searches_run(self, routing, holed):
        weights = np.ones(len(holed))
        with sklearn.config_context(enable_metadata_routing=routing):
            estimator = model(2)
            if routing:
                estimator.set_fit_request(sample_weight=True)
            search = GridSearchCV(
                estimator, {"n_components": [1, 2]}, scoring=MaskedEntryScorer(), cv=3
            )
            # Without routing, scikit-learn warns that these scores take no weights.
            metadata = {"sample_weight": weights} if routing else {}
            search.fit(holed, **metadata)
            grid = {"estimator__n_components": [1, 2]}
            holdout = GridSearchCV(EntryHoldout(estimator), grid, cv=whole(holed))
            holdout.fit(holed, **metadata)
        plain = GridSearchCV(model(2), {"n_components": [1, 2]}, scoring=MaskedEntryScorer(), cv=3)
        np.testing.assert_allclose(
            search.cv_results_["mean_test_score"],
            plain.fit(holed).cv_results_["mean_test_score"],
            rtol=1e-9,
        )
        assert np.isfinite(holdout.cv_results_["mean_test_score"]).all()

    def test_what_is_not_requested_is_refused(self, routing, holed):
        context = sklearn.config_context(enable_metadata_routing=routing)
        with context, pytest.raises(TypeError, match="nonsense"):
            EntryHoldout(model(2)).fit(holed, nonsense=1)


class TestJobs:
    @pytest.mark.slow
    def test_two_jobs_give_the_same(self, holed):
        one = cross_val_entries(model(2), holed)["test_score"]
        two = cross_val_entries(model(2), holed, n_jobs=2)["test_score"]
        np.testing.assert_array_equal(one, two)
        for estimator, scoring in ((model(2), MaskedEntryScorer()), (EntryHoldout(model(2)), None)):
            one, two = (
                cross_val_score(estimator, holed, scoring=scoring, n_jobs=n_jobs)
                for n_jobs in (1, 2)
            )
            np.testing.assert_array_equal(one, two)

    def test_several_metrics_at_once(self, holed):
        scoring = {name: MaskedEntryScorer(metric=name) for name in ("r2", "rmse", "mae")}
        found = cross_validate(model(2), holed, scoring=scoring)
        alone = cross_val_score(model(2), holed, scoring=scoring["mae"])
        np.testing.assert_array_equal(found["test_mae"], alone)


class TestCrossValEntries:
    def test_fold_by_fold(self, holed):
        cv = EntryKFold(3, random_state=1)
        expected = []
        for _, test in cv.split(holed):
            visible = hide_entries(holed, test)
            fitted = model(2).fit(visible)
            rows, columns, values = (array[test] for array in observed_entries(holed))
            W = fitted.transform(visible)
            predicted = fitted.inverse_transform(W)[rows, columns]
            expected.append(-root_mean_squared_error(values, predicted))
        for splits in (cv, list(cv.split(holed))):
            found = cross_val_entries(model(2), holed, cv=splits, metric="rmse")
            np.testing.assert_allclose(found["test_score"], expected, rtol=1e-12)
        assert set(found) == {"fit_time", "score_time", "test_score"}
        assert all(len(values) == 3 for values in found.values())

    def test_pairs_need_no_order(self, holed):
        [(train, test)] = EntryShuffleSplit(1, random_state=0).split(holed)
        rng = np.random.default_rng(0)
        one, two = (
            cross_val_entries(model(2), holed, cv=[pair])["test_score"]
            for pair in ((train, test), (rng.permutation(train), rng.permutation(test)))
        )
        np.testing.assert_array_equal(one, two)

    def test_parameters_of_fit(self, holed):
        weights = np.random.default_rng(0).uniform(0.1, 2, len(holed))
        one = cross_val_entries(model(2), holed, params={"sample_weight": weights})
        two = cross_val_entries(model(2), holed)
        assert (one["test_score"] != two["test_score"]).all()

    def test_the_estimator_and_the_data_are_not_changed(self, holed):
        before, estimator = holed.copy(), model(2)
        cross_val_entries(estimator, holed)
        np.testing.assert_array_equal(before, holed)
        assert not hasattr(estimator, "components_")


class TestBiCrossValidation:
    @pytest.mark.parametrize("cv", [(2, 2), (3, 4)])
    def test_it_is_the_formula_of_owen_and_perry(self, cv, complete):
        rng = hiding_stream(0)
        row_folds, column_folds = (
            np.array_split(rng.permutation(size), n)
            for n, size in zip(cv, complete.shape, strict=True)
        )
        expected = []
        for rows in row_folds:
            for columns in column_folds:
                inside = np.zeros(complete.shape[0], bool), np.zeros(complete.shape[1], bool)
                inside[0][rows] = inside[1][columns] = True
                A = complete[np.ix_(inside[0], inside[1])]
                B = complete[np.ix_(inside[0], ~inside[1])]
                C = complete[np.ix_(~inside[0], inside[1])]
                U, s, Vt = np.linalg.svd(complete[np.ix_(~inside[0], ~inside[1])])
                predicted = B @ (Vt[:2].T / s[:2] @ U[:, :2].T) @ C
                baseline = np.sum((A - C.mean(axis=0)) ** 2)
                expected.append(1 - np.sum((A - predicted) ** 2) / baseline)
        for estimator in (model(2, alpha_W=0.0), TruncatedSVD(2, algorithm="arpack")):
            found = bi_cross_val_score(estimator, complete, cv=cv)
            np.testing.assert_allclose(found, expected, rtol=1e-6)

    def test_offsets_are_regressed_too(self):
        X = low_rank(rank=2, noise=0.01, mean=50.0)
        for estimator in (PCA(2), model(2, bias="features", alpha_W=0.0)):
            assert bi_cross_val_score(estimator, X).min() > 0.99
        one, two = (bi_cross_val_score(PCA(2), X, n_jobs=n_jobs) for n_jobs in (1, 2))
        np.testing.assert_array_equal(one, two)

    def test_what_cannot_be_is_named(self, complete, holed):
        with pytest.raises(ValueError, match="X contains NaN"):
            bi_cross_val_score(model(2), holed)
        for cv in ((1, 2), (2,), (2.0, 2), (50, 2)):
            with pytest.raises(ValueError, match="cv"):
                bi_cross_val_score(model(2), complete, cv=cv)


@parametrize_with_checks(
    [
        EntryHoldout(MatrixFactorization(1, max_iter=1000, random_state=0)),
        EntryHoldout(
            make_pipeline(StandardScaler(), MatrixFactorization(1, max_iter=1000, random_state=0))
        ),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
