"""Imputers, ours and scikit-learn's, scored by hidden entries like factorizations."""

import numpy as np
import pytest
from conftest import low_rank, punch_holes
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_mf import FactorizationImputer, MatrixFactorization
from sklearn_mf.model_selection import (
    EntryHoldout,
    EntryKFold,
    EntryShuffleSplit,
    MaskedEntryScorer,
    bi_cross_val_score,
    cross_val_entries,
    hide_entries,
    observed_entries,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*Early stopping criterion")

IMPUTERS = {
    "simple": SimpleImputer(),
    "median": SimpleImputer(strategy="median", add_indicator=True),
    "neighbours": KNNImputer(),
    "marked": KNNImputer(add_indicator=True),
    "iterative": IterativeImputer(max_iter=3, random_state=0),
    "ours": FactorizationImputer(random_state=0),
    "ours, marked": FactorizationImputer(random_state=0, add_indicator=True),
    "of an estimator": FactorizationImputer(MatrixFactorization(2, alpha_W=0.1, random_state=0)),
}
every_imputer = pytest.mark.parametrize("estimator", IMPUTERS.values(), ids=IMPUTERS)


@pytest.fixture
def X():
    return punch_holes(low_rank(60, 6, rank=2, noise=0.3, mean=2.0), 0.1)


def share_explained(true, predicted, visible, columns):
    """R^2 by hand, against the means of what is visible."""
    means = np.nanmean(visible, axis=0)[columns]
    return 1 - np.sum((true - predicted) ** 2) / np.sum((true - means) ** 2)


@parametrize_with_checks([EntryHoldout(KNNImputer())])
def test_scikit_learn_has_no_complaint_of_a_holdout(estimator, check):
    check(estimator)


class TestTheScoreIsThatOfTheHiddenEntries:
    @every_imputer
    def test_of_cross_validation(self, X, estimator):
        cv = EntryKFold(3, random_state=0)
        found = cross_val_entries(estimator, X, cv=cv)["test_score"]
        rows, columns, values = observed_entries(X)
        expected = []
        for _, test in cv.split(X):
            visible = X.copy()
            visible[rows[test], columns[test]] = np.nan
            filled = estimator.fit_transform(visible)[rows[test], columns[test]]
            expected.append(share_explained(values[test], filled, visible, columns[test]))
        np.testing.assert_allclose(found, expected)

    @every_imputer
    def test_of_rows_that_were_not_in_the_fit(self, X, estimator):
        fitted = estimator.fit(X[:40])
        scorer = MaskedEntryScorer(0.25, random_state=3)
        _, test = next(EntryShuffleSplit(1, test_size=0.25, random_state=3).split(X[40:]))
        rows, columns, values = (array[test] for array in observed_entries(X[40:]))
        visible = hide_entries(X[40:], test)
        filled = fitted.transform(visible)[rows, columns]
        expected = share_explained(values, filled, visible, columns)
        assert scorer(fitted, X[40:]) == pytest.approx(expected)

    @every_imputer
    def test_of_a_holdout(self, X, estimator):
        holdout = EntryHoldout(estimator, random_state=0).fit(X)
        assert holdout.score(X) == MaskedEntryScorer()(holdout.estimator_, X)
        assert holdout.transform(X).shape[0] == len(X)

    def test_means_explain_nothing(self, X):
        np.testing.assert_allclose(cross_val_entries(SimpleImputer(), X)["test_score"], 0)


class TestWhereTheyStand:
    @pytest.mark.parametrize("make", ["pandas", "polars"])
    @pytest.mark.parametrize("output", ["default", "pandas"])
    def test_frames_are_scored_like_arrays(self, X, make, output):
        names = list("abcdef")
        options = {"columns": names} if make == "pandas" else {"schema": names}
        frame = pytest.importorskip(make).DataFrame(X, **options)
        ours = FactorizationImputer(MatrixFactorization(2, alpha_W=0.1, random_state=0))
        for estimator in (KNNImputer(), SimpleImputer(), ours):
            expected = cross_val_entries(estimator, X, cv=2)["test_score"]
            if output != "default":
                estimator.set_output(transform=output)
            found = cross_val_entries(estimator, frame, cv=2)["test_score"]
            np.testing.assert_allclose(found, expected, atol=1e-12)

    def test_nullable_integers(self, X):
        pandas = pytest.importorskip("pandas")
        X = np.rint(X)
        frame = pandas.DataFrame(X).astype("Int64")
        np.testing.assert_allclose(
            cross_val_entries(KNNImputer(), frame, cv=2)["test_score"],
            cross_val_entries(KNNImputer(), X, cv=2)["test_score"],
        )

    @pytest.mark.parametrize("imputer", [KNNImputer(), SimpleImputer(add_indicator=True)])
    def test_what_was_scaled_before_is_compared_on_the_scale_of_the_data(self, X, imputer):
        X = X * np.geomspace(1, 1e3, 6)
        pipeline = make_pipeline(StandardScaler(), imputer)
        cv = EntryKFold(3, random_state=0)
        found = cross_val_entries(pipeline, X, cv=cv, metric="rmse")["test_score"]
        rows, columns, values = observed_entries(X)
        for (_, test), score in zip(cv.split(X), found, strict=True):
            visible = X.copy()
            visible[rows[test], columns[test]] = np.nan
            scaler = StandardScaler().fit(visible)
            filled = imputer.fit_transform(scaler.transform(visible))[:, :6]
            error = scaler.inverse_transform(filled)[rows[test], columns[test]] - values[test]
            assert score == pytest.approx(-np.sqrt(np.mean(error**2)))

    def test_what_comes_after_them_is_undone_too(self, X):
        cv = EntryKFold(3, random_state=0)
        found = cross_val_entries(make_pipeline(SimpleImputer(), PCA(2)), X, cv=cv)["test_score"]
        rows, columns, values = observed_entries(X)
        for (_, test), score in zip(cv.split(X), found, strict=True):
            visible = X.copy()
            visible[rows[test], columns[test]] = np.nan
            mean, pca = SimpleImputer().fit_transform(visible), PCA(2)
            model = pca.inverse_transform(pca.fit_transform(mean))[rows[test], columns[test]]
            assert score == pytest.approx(
                share_explained(values[test], model, visible, columns[test])
            )

    @pytest.mark.parametrize(
        "imputer", [KNNImputer(n_neighbors=1), make_pipeline(StandardScaler(), KNNImputer())]
    )
    def test_their_parameters_are_searched(self, X, imputer):
        name = "n_neighbors" if isinstance(imputer, KNNImputer) else "knnimputer__n_neighbors"
        search = GridSearchCV(imputer, {name: [1, 8]}, scoring=MaskedEntryScorer(), cv=3).fit(X)
        assert search.best_params_ == {name: 8}
        scores = cross_val_entries(search, X, cv=2)["test_score"]
        assert (scores > 0).all()

    @pytest.mark.filterwarnings("ignore:Skipping features without")
    @pytest.mark.filterwarnings("ignore:Features without any observed")
    @pytest.mark.parametrize("add_indicator", [True, False])
    @pytest.mark.parametrize("kind", [SimpleImputer, KNNImputer, FactorizationImputer])
    def test_columns_that_are_left_out_move_no_other(self, X, kind, add_indicator):
        estimator = kind(add_indicator=add_indicator)
        if kind is FactorizationImputer:
            estimator.set_params(random_state=0)
        wide = np.insert(X, 2, np.nan, axis=1)
        found = cross_val_entries(estimator, wide, cv=2)["test_score"]
        np.testing.assert_allclose(found, cross_val_entries(estimator, X, cv=2)["test_score"])

    def test_a_column_that_the_fit_did_not_see_cannot_be_scored(self, X):
        without = X.copy()
        without[:, 2] = np.nan
        fitted = KNNImputer().fit(without)
        with pytest.raises(ValueError, match=r"KNNImputer leaves .*'x2'.*keep_empty_features=True"):
            MaskedEntryScorer()(fitted, X)

    @pytest.mark.parametrize("prefix", [True, False])
    def test_columns_that_are_imputed_apart(self, X, prefix):
        apart = make_column_transformer(
            (KNNImputer(), [4, 1, 0]),
            (SimpleImputer(add_indicator=True), [2, 5, 3]),
            verbose_feature_names_out=prefix,
        )
        cv = EntryKFold(3, random_state=0)
        found = cross_val_entries(apart, X, cv=cv)["test_score"]
        rows, columns, values = observed_entries(X)
        for (_, test), score in zip(cv.split(X), found, strict=True):
            visible = X.copy()
            visible[rows[test], columns[test]] = np.nan
            filled = SimpleImputer().fit_transform(visible)
            filled[:, [4, 1, 0]] = KNNImputer().fit_transform(visible[:, [4, 1, 0]])
            model = filled[rows[test], columns[test]]
            expected = share_explained(values[test], model, visible, columns[test])
            assert score == pytest.approx(expected)

    def test_the_deviance_is_that_of_an_estimator(self, X):
        X = np.where(np.isnan(X), np.nan, X > 2)
        model = MatrixFactorization(1, loss="logistic", alpha_W=0.1, random_state=0)
        found = cross_val_entries(FactorizationImputer(model), X, cv=2, metric="deviance")
        expected = cross_val_entries(model, X, cv=2, metric="deviance")
        np.testing.assert_allclose(found["test_score"], expected["test_score"], rtol=1e-6)

    def test_blocks_cannot_be_left_out_of_them(self):
        with pytest.raises(ValueError, match="KNNImputer has no inverse_transform"):
            bi_cross_val_score(KNNImputer(), low_rank())


class Shouting(TransformerMixin, BaseEstimator):
    """Completes data without any of scikit-learn's names."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return np.where(np.isnan(X), 1.0, X)


class Forgetful(Shouting):
    """Leaves some entries missing."""

    def transform(self, X):
        return X


class TestOthers:
    def test_whoever_returns_completed_data_is_an_imputer(self, X):
        score = cross_val_entries(Shouting(), X, cv=2, metric=lambda true, found: found.max())
        np.testing.assert_array_equal(score["test_score"], 1.0)

    def test_what_stays_missing_cannot_be_scored(self, X):
        with pytest.raises(ValueError, match=r"Forgetful leaves .* missing"):
            cross_val_entries(Forgetful(), X)

    def test_transformers_that_cannot_be_undone_are_no_imputers(self, X):
        pipeline = make_pipeline(SimpleImputer(), Normalizer())
        with pytest.raises(
            ValueError, match="Normalizer has no inverse_transform and is not an imputer"
        ):
            cross_val_entries(pipeline, X)

    def test_nor_are_those_that_return_something_else(self, X):
        class Sums(Shouting):
            def transform(self, X):
                return np.nansum(X, axis=1, keepdims=True)

        with pytest.raises(ValueError, match="Sums has no inverse_transform and is not an imputer"):
            cross_val_entries(Sums(), X)


class TestItScoresItself:
    def test_means_explain_nothing_and_the_truth_everything(self):
        X = low_rank(80, 8, rank=2, noise=0.0, mean=3.0)
        assert FactorizationImputer(random_state=0).fit(X).score(X) > 0.999
        means = FactorizationImputer(MatrixFactorization(1, alpha_W=1e6, bias="features"))
        assert means.fit(X).score(X) == pytest.approx(0, abs=0.03)

    def test_it_is_about_the_score_of_an_entry_scorer(self):
        X = punch_holes(low_rank(300, 8, rank=2, noise=0.7), 0.1)
        fitted = FactorizationImputer(random_state=0).fit(X)
        assert fitted.score(X) == pytest.approx(MaskedEntryScorer()(fitted, X), abs=0.05)
        assert fitted.score(X) == fitted.score(X)

    def test_in_every_container_it_is_the_same(self, X):
        pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
        X = np.where(X < 0.5, 0.0, X)
        for estimator in (None, MatrixFactorization(2, alpha_W=0.1, random_state=0)):
            fitted = FactorizationImputer(estimator, random_state=0)
            expected = fitted.fit(X).score(X)
            for convert in (pandas.DataFrame, polars.DataFrame, sparse.csr_array):
                other = convert(X)
                assert fitted.fit(other).score(other) == pytest.approx(expected, abs=1e-6)

    def test_a_search_needs_no_scorer(self):
        X = punch_holes(low_rank(150, 12, rank=2, noise=0.5), 0.2)
        model = MatrixFactorization(alpha_W=0.01, random_state=0)
        grid = {"estimator__n_components": [1, 2, 5]}
        search = GridSearchCV(FactorizationImputer(model), grid, cv=3).fit(X)
        assert search.best_params_ == {"estimator__n_components": 2}

    def test_means_are_scored_although_draws_are_returned(self, X):
        fitted = FactorizationImputer(random_state=0).fit(X)
        expected = fitted.score(X)
        assert fitted.set_params(sample_posterior=True).score(X) == expected

    def test_where_nothing_can_be_hidden_it_is_not_defined(self, X):
        fitted = FactorizationImputer(random_state=0).fit(X)
        row = np.full((1, 6), np.nan)
        row[0, 2] = 1.0
        with pytest.warns(UndefinedMetricWarning, match="score is not defined"):
            assert np.isnan(fitted.score(row))

    @pytest.mark.filterwarnings("ignore:Features without any observed")
    def test_features_that_the_fit_did_not_see_do_not_count(self, X):
        without = X.copy()
        without[:, 2] = np.nan
        fitted = FactorizationImputer(random_state=0).fit(without)
        assert fitted.score(X) == pytest.approx(fitted.score(without), abs=0.1)


class TestHiddenEntriesOfFrames:
    @pytest.mark.parametrize("make", ["pandas", "polars", "pyarrow", "narwhals"])
    def test_columns_keep_their_types_where_these_know_missing_entries(self, make):
        pandas = pytest.importorskip("pandas")
        values = {"a": [1, None, 3, 4], "b": [True, False, None, True], "c": [0.5, 1.5, None, 2.0]}
        if make == "pyarrow":
            X = pytest.importorskip("pyarrow").table(values)
        elif make == "polars":
            X = pytest.importorskip("polars").DataFrame(values)
        else:
            X = pandas.DataFrame(values).astype({"a": "Int64", "b": "boolean"})
        if make == "narwhals":
            X = pytest.importorskip("narwhals").from_native(X)
        rows, columns, _ = observed_entries(X)
        visible = hide_entries(X, [0, 3, 8])
        assert type(visible) is type(X)
        left = list(zip(*observed_entries(visible)[:2], strict=True))
        there = list(zip(rows, columns, strict=True))
        assert left == [cell for k, cell in enumerate(there) if k not in (0, 3, 8)]
        if make != "pyarrow":
            assert list(visible.dtypes if make != "narwhals" else visible.schema.values()) == list(
                X.dtypes if make != "narwhals" else X.schema.values()
            )
