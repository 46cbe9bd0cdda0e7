"""The number of components by cross-validation of hidden entries."""

import numpy as np
import pytest
from conftest import low_rank, minutes_on_reference, punch_holes, store_observed
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_mf import NMF, MatrixFactorization, RankSearchCV

MODEL = MatrixFactorization(alpha_W=0.01, random_state=0)


def search_of(estimator=MODEL, ranks=(1, 2, 3, 4, 5), **parameters):
    return RankSearchCV(estimator, ranks, **({"cv": 3, "random_state": 0} | parameters))


def planted(seed, missing):
    """Rank 4, and noise of a third of its size."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(300, 4)) @ rng.normal(size=(4, 40)) + 0.7 * rng.normal(size=(300, 40))
    return np.where(rng.random(X.shape) < missing, np.nan, X)


@pytest.mark.parametrize(("seed", "missing"), [(0, 0.0), (1, 0.5)])
def test_a_planted_rank_is_found(seed, missing):
    search = RankSearchCV(MatrixFactorization(), range(1, 8), cv=3, random_state=seed)
    assert search.fit(planted(seed, missing)).best_rank_ == 4


def test_noise_alone_gets_the_smallest_rank():
    X = np.random.default_rng(0).normal(size=(100, 20))
    assert search_of().fit(X).best_rank_ == 1


def test_the_error_of_a_fold_is_that_of_a_fit_to_the_others(holed):
    # The first rank is a fit of its own, so this does not depend on the path.
    rows, columns = np.nonzero(~np.isnan(holed))
    test = np.arange(0, len(rows), 7)
    train = np.setdiff1d(np.arange(len(rows)), test)
    search = search_of(ranks=[2], cv=[(train, test)]).fit(holed)
    visible = holed.copy()
    visible[rows[test], columns[test]] = np.nan
    model = clone(MODEL).set_params(n_components=2).fit(visible)
    error = (model.inverse_transform(model.transform(visible)) - holed)[rows[test], columns[test]]
    assert search.best_score_ == pytest.approx(-np.mean(error**2), rel=1e-2)
    assert search.n_splits_ == 1


@minutes_on_reference
@pytest.mark.parametrize(
    ("bias", "positive"), [(False, False), ("features", False), ("both", False), (False, True)]
)
def test_a_path_is_no_worse_than_fits_from_scratch(bias, positive):
    W, H = np.abs(low_rank(100, 3, seed=0)), np.abs(low_rank(3, 20, seed=1))
    X = punch_holes(W @ H + 0.3 * np.random.default_rng(2).normal(size=(100, 20)))
    model = MatrixFactorization(bias=bias, positive=positive, alpha_W=0.02, random_state=0)
    path = search_of(model, [1, 2, 3, 4]).fit(X).cv_results_["mean_test_score"]
    scratch = [
        search_of(model, [rank]).fit(X).cv_results_["mean_test_score"][0] for rank in (2, 3, 4)
    ]
    # Better it may be: what it leaves of the iterations is overfitting.
    assert (path[1:] > 1.15 * np.array(scratch)).all()


def test_values_of_hidden_entries_change_no_prediction(holed):
    """Nothing leaks: a fold's score is a square of the hidden value, of no higher order."""
    rows, columns = np.nonzero(~np.isnan(holed))
    test = np.array([5])
    train = np.setdiff1d(np.arange(len(rows)), test)
    roots = []
    for value in (-100.0, 0.0, 100.0):
        X = holed.copy()
        X[rows[5], columns[5]] = value
        scores = (
            search_of(ranks=[1, 2, 3], cv=[(train, test)], path_max_iter=1, refit=False)
            .fit(X)
            .cv_results_["mean_test_score"]
        )
        roots.append(value + np.sign(0.5 - value) * np.sqrt(-scores))
    np.testing.assert_allclose(roots[0], roots[2], rtol=1e-4)  # paths are in single precision
    np.testing.assert_allclose(np.abs(roots[1]), np.abs(roots[0]), rtol=1e-4)


class TestResults:
    def test_they_have_the_keys_and_relations_of_scikit_learn(self, holed):
        search = search_of(ranks=[3, 1, 2]).fit(holed)
        results = search.cv_results_
        splits = np.array([results[f"split{number}_test_score"] for number in range(3)])
        assert splits.shape == (3, 3)
        np.testing.assert_allclose(results["mean_test_score"], splits.mean(axis=0))
        np.testing.assert_allclose(results["std_test_score"], splits.std(axis=0))
        assert (splits < 0).all()
        assert results["param_n_components"].tolist() == [1, 2, 3]
        assert results["params"] == [{"n_components": rank} for rank in (1, 2, 3)]
        order = np.argsort(results["rank_test_score"])
        assert (np.diff(results["mean_test_score"][order]) <= 0).all()
        assert (results["mean_fit_time"] > 0).all()
        assert (results["mean_score_time"] > 0).all()

    @minutes_on_reference
    @pytest.mark.parametrize("one_standard_error", [True, False])
    def test_the_choice_is_the_rule_s(self, one_standard_error):
        # Components that fade into the noise, so that the rule makes a difference.
        rng = np.random.default_rng(1)
        X = rng.normal(size=(60, 15)) * 0.7 ** np.arange(15) @ rng.normal(size=(15, 15))
        X += 0.7 * rng.normal(size=X.shape)
        search = search_of(cv=5, one_standard_error=one_standard_error).fit(X)
        means = search.cv_results_["mean_test_score"]
        best = means.argmax()
        splits = np.array([search.cv_results_[f"split{number}_test_score"] for number in range(5)])
        losses = splits[:, [best]] - splits
        # Of the differences, or of the best score where that is less.
        errors = np.minimum(losses.std(axis=0, ddof=1), splits[:, best].std(ddof=1)) / 5**0.5
        within = losses.mean(axis=0) <= errors * one_standard_error
        assert search.best_index_ == np.flatnonzero(within)[0]
        assert search.best_rank_ == 1 + search.best_index_
        assert (search.best_index_ < best) == one_standard_error
        assert search.best_score_ == means[search.best_index_]

    @minutes_on_reference
    def test_the_same_seed_gives_the_same_bits_whatever_the_jobs(self, holed):
        one, two = (search_of(n_jobs=jobs, ranks=[1, 2, 3]).fit(holed) for jobs in (1, 2))
        for key in ("mean_test_score", "std_test_score"):
            np.testing.assert_array_equal(one.cv_results_[key], two.cv_results_[key])
        np.testing.assert_array_equal(one.transform(holed), two.transform(holed))


class TestAlphas:
    X = planted(0, 0.5)

    def test_the_choice_is_a_pair(self):
        alphas = [0.01, 1.0, 0.1]
        search = search_of(MatrixFactorization(), [2, 4], alphas=alphas).fit(self.X)
        results = search.cv_results_
        assert results["param_n_components"].tolist() == [2, 2, 2, 4, 4, 4]
        assert results["param_alpha_W"].tolist() == [1.0, 0.1, 0.01] * 2
        assert search.best_params_ == results["params"][search.best_index_]
        assert search.best_estimator_.get_params().items() >= search.best_params_.items()
        assert search.best_rank_ == 4

    def test_what_a_large_penalty_has_shrunk_away_comes_back(self):
        # From zero alternation would lead nowhere.
        path = search_of(MatrixFactorization(), [4], alphas=[1000.0, 0.1]).fit(self.X)
        alone = search_of(MatrixFactorization(), [4], alphas=[0.1]).fit(self.X)
        scores = path.cv_results_["mean_test_score"]
        assert scores[0] == pytest.approx(-np.nanmean(self.X**2), rel=0.05)
        assert scores[1] > 1.3 * alone.best_score_

    @pytest.mark.parametrize("alphas", [[], [-1.0], [np.inf], ["a"], [[1.0]]])
    def test_others_are_refused(self, alphas):
        with pytest.raises(ValueError, match="alphas must be"):
            search_of(alphas=alphas).fit(self.X)


def test_a_path_ends_where_errors_have_risen():
    search = search_of(MatrixFactorization(), range(1, 21)).fit(planted(0, 0.5))
    means = search.cv_results_["mean_test_score"]
    assert search.best_rank_ == 4
    assert np.isnan(means[-1])
    assert (
        search.cv_results_["rank_test_score"][np.isnan(means)] == 1 + (~np.isnan(means)).sum()
    ).all()


class TestRefit:
    def test_it_is_an_ordinary_fit_of_the_chosen_rank(self, holed):
        search = search_of().fit(holed)
        model = clone(MODEL).set_params(n_components=search.best_rank_).fit(holed)
        W = model.transform(holed)
        np.testing.assert_array_equal(search.transform(holed), W)
        np.testing.assert_array_equal(search.inverse_transform(W), model.inverse_transform(W))
        np.testing.assert_array_equal(
            search.predict_entries(holed, [0, 1], [2, 3]),
            model.predict_entries(holed, [0, 1], [2, 3]),
        )
        assert search.score(holed) == model.score(holed)
        assert list(search.get_feature_names_out()) == list(model.get_feature_names_out())
        assert MODEL.n_components is None  # it was cloned

    def test_without_it_there_is_a_rank_and_no_estimator(self, holed):
        search = search_of(refit=False).fit(holed)
        assert search.best_rank_ in search.ranks
        assert not hasattr(search, "best_estimator_")
        with pytest.raises(AttributeError, match="no attribute 'transform'") as error:
            search.transform(holed)
        assert "use refit=True" in str(error.value.__cause__)

    def test_before_a_fit_there_is_nothing(self, holed):
        with pytest.raises(NotFittedError):
            search_of().transform(holed)


class TestContainers:
    def test_stored_entries_are_what_is_not_nan(self, holed):
        model = clone(MODEL).set_params(unstored="missing")
        dense, stored = (
            search_of(model).fit(X).cv_results_["mean_test_score"]
            for X in (holed, store_observed(holed))
        )
        np.testing.assert_allclose(dense, stored, rtol=1e-6)

    @pytest.mark.parametrize("container", [sparse.csr_array, sparse.coo_array, sparse.csc_matrix])
    def test_a_sparse_matrix_is_not_changed(self, holed, container):
        X = store_observed(holed, container)
        before = X.toarray()
        search_of(clone(MODEL).set_params(unstored="missing"), [1, 2]).fit(X)
        np.testing.assert_array_equal(X.toarray(), before)

    def test_zeros_that_are_not_stored_are_hidden_in_blocks_alone(self, holed):
        X = store_observed(holed)
        with pytest.raises(ValueError, match="unstored='missing'"):
            search_of(cv=[([0, 1], [len(holed), 3])]).fit(X)

    @minutes_on_reference
    @pytest.mark.parametrize("library", ["pandas", "polars"])
    def test_tables_keep_their_names(self, holed, library):
        frames = pytest.importorskip(library)
        names = [f"column{number}" for number in range(holed.shape[1])]
        X = frames.DataFrame(dict(zip(names, holed.T, strict=True)))
        # Names must reach the fits of the folds: losses are chosen by them.
        loss = {"squared": names[:10], "huber": names[10:]}
        model = MatrixFactorization(loss=loss, alpha_W=0.01, random_state=0)
        search = search_of(model, [1, 2]).set_output(transform=library).fit(X)
        assert list(search.feature_names_in_) == names
        W = search.transform(X)
        assert isinstance(W, frames.DataFrame)
        assert list(W.columns) == list(search.get_feature_names_out())

    @minutes_on_reference
    def test_marks_of_missing_entries_are_the_estimator_s(self, holed):
        marked = np.where(np.isnan(holed), -99.0, holed)
        expected = search_of().fit(holed)
        search = search_of(clone(MODEL).set_params(missing_values=-99.0)).fit(marked)
        np.testing.assert_array_equal(
            search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
        )

    def test_float32_stays(self, holed):
        search = search_of(ranks=[1, 2]).fit(holed.astype(np.float32))
        assert search.transform(holed.astype(np.float32)).dtype == np.float32

    def test_it_is_a_step_of_a_pipeline(self, holed):
        pipeline = make_pipeline(StandardScaler(), search_of())
        W = pipeline.fit_transform(holed)
        assert W.shape == (len(holed), pipeline[-1].best_rank_)


class TestFolds:
    def test_every_row_and_column_keeps_an_entry(self):
        X = np.full((30, 12), np.nan)
        X[:, 0] = X[0] = 1.0  # almost every row and column has one entry
        X[:, 1:3] = np.random.default_rng(0).normal(size=(30, 2))
        assert np.isfinite(search_of(ranks=[1, 2], cv=2).fit(X).best_score_)

    def test_nothing_can_be_hidden_of_single_entries(self):
        X = np.where(np.eye(8), 1.0, np.nan)
        with pytest.raises(ValueError, match="EntryKFold cannot hide any entry"):
            search_of(ranks=[1]).fit(X)

    @pytest.mark.parametrize(
        ("cv", "message"),
        [
            (KFold(3), "split the rows"),
            ([([0, 1, 2], [2, 100])], "both in train and in test"),
            ([([0, 1, 2], [10_000])], "from 0 to"),
            ([([0.5], [100])], "must contain indices"),
            ([([0, 100], [])], "without hidden or training entries"),
        ],
    )
    def test_other_splits_are_refused(self, holed, cv, message):
        with pytest.raises(ValueError, match=message):
            search_of(cv=cv).fit(holed)


class TestBadInput:
    @pytest.mark.parametrize("ranks", [[], [0, 1], [1.5], [[1, 2]], [1, 21], ["a"]])
    def test_ranks(self, holed, ranks):
        with pytest.raises(ValueError, match="ranks must be"):
            search_of(ranks=ranks).fit(holed)

    @pytest.mark.parametrize("estimator", [PCA(), "MatrixFactorization", None])
    def test_estimators_that_predict_no_entries(self, holed, estimator):
        with pytest.raises(ValueError, match="'estimator' parameter of RankSearchCV"):
            search_of(estimator).fit(holed)

    def test_pipelines(self, holed):
        class Pipeline(type(make_pipeline(PCA()))):
            def predict_entries(self): ...

        with pytest.raises(ValueError, match="use RankSearchCV as one of its steps"):
            search_of(Pipeline([("pca", PCA())])).fit(holed)

    @pytest.mark.parametrize("wrong", [{"cv": 1}, {"path_max_iter": 0}, {"refit": 2}])
    def test_parameters(self, holed, wrong):
        [name] = wrong
        with pytest.raises(ValueError, match=f"'{name}' parameter of RankSearchCV"):
            search_of(**wrong).fit(holed)

    def test_a_solver_of_complete_data(self, complete):
        model = MatrixFactorization(solver="svd")
        with pytest.raises(ValueError, match="Use solver='als'"):
            search_of(model).fit(complete)


def test_exact_data_leave_no_residual_to_start_from():
    X = np.outer(np.arange(1.0, 21), np.arange(1.0, 11))
    search = search_of(MatrixFactorization(random_state=0), [1, 2, 4]).fit(X)
    assert search.best_score_ == pytest.approx(0, abs=1e-4)


@minutes_on_reference
def test_other_estimators_start_anew():
    rng = np.random.default_rng(0)
    noise = 0.05 * rng.normal(size=(60, 15))
    X = np.maximum(rng.random((60, 3)) @ rng.random((3, 15)) + noise, 0)
    model = NMF(alpha_W=0.003, tol=1e-3, random_state=0)
    search = search_of(model, [1, 2, 3, 5]).fit(punch_holes(X))
    assert search.best_rank_ == 3
    assert isinstance(search.best_estimator_, NMF)


@minutes_on_reference
@parametrize_with_checks([RankSearchCV(MODEL, [1, 2], cv=2, random_state=0)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("seed", range(6))
def test_errors_beyond_the_squares_of_float32_are_numbers(seed):
    # Without a penalty, rows that share no column with others have codes of any size.
    X = np.array([[-1.04e-5, 7.16], [-9.37e-6, 13.0], [-6.51e-6, -11.3]], dtype=np.float32)
    model = MatrixFactorization(1, alpha_W=0.0, max_iter=10, random_state=4)
    search = RankSearchCV(model, [1], alphas=[0.0, 0.1], cv=2, random_state=seed).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
