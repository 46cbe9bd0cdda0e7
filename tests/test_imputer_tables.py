"""The imputer in the place of scikit-learn's: frames, sparse matrices, empty columns."""

import numpy as np
import pytest
from conftest import low_rank, punch_holes
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_selector

from sklearn_mf import FactorizationImputer, MatrixFactorization

NAMES = ["a", "b", "c", "yes"]
MIXED = MatrixFactorization(
    1, loss={"squared": ["a", "b", "c"], "logistic": ["yes"]}, alpha_W=0.1, random_state=0
)


def imputer(estimator=None, **parameters):
    return FactorizationImputer(estimator, **{"random_state": 0} | parameters)


def frame(X, make, names=NAMES):
    if make == "narwhals":
        return pytest.importorskip("narwhals").from_native(frame(X, "pandas", names))
    if make == "pyarrow":
        pyarrow = pytest.importorskip("pyarrow")
        return pyarrow.table(dict(zip(names, X.T.copy(), strict=True)))
    module = pytest.importorskip(make)
    options = {"columns": names} if make == "pandas" else {"schema": names}
    return module.DataFrame(X, **options)


@pytest.fixture
def mixed():
    """Three columns of numbers, and one of zeros and ones."""
    X = low_rank(40, 4, rank=1, noise=0.3)
    X[:, 3] = X[:, 3] > 0
    return punch_holes(X, 0.2)


class Watching(TransformerMixin, BaseEstimator):
    """Predicts ones; remembers what it was given."""

    def fit(self, X, y=None):
        self.fitted_to_ = X
        return self

    def transform(self, X):
        self.transformed_ = X
        return np.zeros(X.shape)

    def inverse_transform(self, X):
        return np.ones(X.shape)


class TestTheEstimatorGetsTheFrame:
    @pytest.mark.parametrize("make", ["pandas", "polars", "narwhals", "pyarrow"])
    @pytest.mark.parametrize("mark", [np.nan, -7.0])
    def test_columns_are_named_in_its_parameters(self, mixed, make, mark):
        marked = np.where(np.isnan(mixed), mark, mixed)
        filled = imputer(MIXED, missing_values=mark).fit_transform(frame(marked, make))
        X = frame(mixed, make)
        fitted = MIXED.fit(X)
        expected = fitted.inverse_transform(fitted.transform(X))
        np.testing.assert_allclose(filled, np.where(np.isnan(mixed), expected, mixed))

    @pytest.mark.parametrize("make", ["pandas", "polars"])
    def test_it_is_the_frame_itself(self, mixed, make):
        X = frame(mixed, make)
        fitted = imputer(Watching()).fit(X)
        fitted.transform(X)
        assert fitted.estimator_.fitted_to_ is X
        assert fitted.estimator_.transformed_ is X

    def test_types_of_columns_are_there_to_be_selected_by(self, mixed):
        X = frame(mixed, "pandas").astype({"yes": "Int64"})
        loss = {
            "squared": make_column_selector(dtype_include=float),
            "logistic": make_column_selector(dtype_include="Int64"),
        }
        filled = imputer(MatrixFactorization(1, loss=loss, alpha_W=0.1, random_state=0))
        expected = imputer(MIXED).fit_transform(frame(mixed, "pandas"))
        np.testing.assert_allclose(filled.fit_transform(X), expected)

    @pytest.mark.parametrize("make", ["pandas", "polars", None])
    @pytest.mark.parametrize("keep", [True, False])
    @pytest.mark.filterwarnings("ignore:Features without any observed value")
    @pytest.mark.filterwarnings("ignore:1 of 5 features have no observed entry")
    def test_an_empty_column_renumbers_nothing(self, mixed, make, keep):
        X = np.insert(mixed, 1, np.nan, axis=1)
        if make is not None:
            X = frame(X, make, ["a", "empty", "b", "c", "yes"])
        for last in (4, slice(4, None), [False] * 4 + [True]):
            loss = {"squared": slice(0, 4), "logistic": last}
            model = MatrixFactorization(1, loss=loss, alpha_W=0.1, random_state=0)
            filled = imputer(model, keep_empty_features=keep).fit_transform(X)
            if keep:
                assert (filled[:, 1] == 0).all()
                filled = np.delete(filled, 1, axis=1)
            expected = imputer(MIXED).fit_transform(frame(mixed, "pandas"))
            np.testing.assert_allclose(filled, expected, atol=3e-4)


class TestNothingObserved:
    X = np.full((3, 2), np.nan)

    @pytest.mark.parametrize("estimator", [None, MatrixFactorization(1)])
    def test_features_are_zeros_where_they_are_kept(self, estimator):
        fitted = imputer(estimator, keep_empty_features=True)
        np.testing.assert_array_equal(fitted.fit_transform(self.X), np.zeros((3, 2)))
        values, std = fitted.transform(self.X, return_std=True)
        np.testing.assert_array_equal(values, np.zeros((3, 2)))
        np.testing.assert_array_equal(std, np.zeros((3, 2)))

    @pytest.mark.parametrize("estimator", [None, MatrixFactorization(1)])
    def test_none_is_left_otherwise(self, estimator):
        fitted = imputer(estimator, add_indicator=False)
        with pytest.warns(UserWarning, match="Features without any observed value"):
            assert fitted.fit_transform(self.X).shape == (3, 0)
        assert fitted.transform(np.ones((2, 2))).shape == (2, 0)
        assert fitted.get_feature_names_out().shape == (0,)

    def test_frames_have_no_columns_then(self):
        X = frame(self.X, "pandas", ["a", "b"])
        X.index = [5, 6, 7]
        with pytest.warns(UserWarning, match="Features without any observed value"):
            filled = imputer().set_output(transform="pandas").fit_transform(X)
        assert filled.shape == (3, 0)
        assert list(filled.index) == [5, 6, 7]
