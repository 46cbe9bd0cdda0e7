"""What scikit-learn asserts of its imputers, above all of IterativeImputer, asserted of ours.

Its tests are in ``sklearn/impute/tests``. These do not apply:

- ``zero_iters``, ``verbose``, ``imputation_order``, ``estimators``, ``early_stopping``,
  ``skip_non_missing``, ``missing_at_transform``, ``constant_fill_value``: of rounds of regressions,
  their order and their first values, which a factorization has not. It predicts what is missing
  at `transform` alone like everything else.
- strategies, strings and objects of SimpleImputer: only numbers are factorized.
- ``clip_truncnorm`` wants draws that lie on the limits to seven digits. Those of a truncated normal
  distribution come close to them only.
"""

import numpy as np
import pytest
from conftest import above_kernels
from scipy import sparse
from scipy.stats import kstest
from sklearn.datasets import load_diabetes
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeRegressor

from sklearn_mf import FactorizationImputer, MatrixFactorization

MARKED = [
    [None, 1, 5, None, 1],
    [2, None, 1, None, 2],
    [6, 3, None, None, 3],
    [1, 2, 9, None, 4],
]
INDICATOR = [[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1], [0, 0, 0, 1]]

left_out = pytest.mark.filterwarnings("ignore:Features without any observed value")
too_few = pytest.mark.filterwarnings("ignore:The rank cannot be chosen by hidden entries")


def imputer(estimator=None, **parameters):
    return FactorizationImputer(estimator, **{"random_state": 0} | parameters)


def marked(mark):
    return np.array([[mark if value is None else value for value in row] for row in MARKED])


def few_entries(n=100, d=10, seed=0):
    """A table in (0, 1] of which nine tenths are zero."""
    return sparse.random(n, d, density=0.1, random_state=np.random.RandomState(seed)).toarray()


@above_kernels
@too_few
@left_out
class TestIndicators:
    def test_a_value_missing_at_transform_alone(self):
        fitted = imputer(add_indicator=True).fit([[1], [2]])
        assert np.isfinite(fitted.transform([[3], [np.nan]])).all()

    @pytest.mark.parametrize("mark", [np.nan, -1, 0])
    def test_they_are_appended(self, mark):
        X = marked(mark).astype(float)
        fitted = imputer(missing_values=mark, add_indicator=True)
        filled = fitted.fit_transform(X)
        np.testing.assert_array_equal(filled[:, -4:], INDICATOR)
        np.testing.assert_array_equal(fitted.indicator_.features_, [0, 1, 2, 3])
        without = fitted.set_params(add_indicator=False).fit_transform(X)
        np.testing.assert_allclose(filled[:, :-4], without)

    @pytest.mark.parametrize("mark", [np.nan, -1])
    @pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csr_array])
    def test_to_sparse_data_too(self, mark, kind):
        X = kind(marked(mark).astype(float))
        fitted = imputer(missing_values=mark, add_indicator=True)
        filled = fitted.fit_transform(X)
        np.testing.assert_array_equal(filled[:, -4:].toarray(), INDICATOR)
        without = fitted.set_params(add_indicator=False).fit_transform(X)
        np.testing.assert_allclose(filled[:, :-4].toarray(), without.toarray())

    @pytest.mark.parametrize("add_indicator", [True, False])
    def test_nullable_integers_are_filled_like_floats(self, add_indicator):
        pandas = pytest.importorskip("pandas")
        X = marked(np.nan)
        frame = pandas.DataFrame(X, dtype="Int16", columns=list("abcde"))
        fitted = imputer(add_indicator=add_indicator)
        np.testing.assert_allclose(fitted.fit_transform(X), fitted.fit_transform(frame))

    @pytest.mark.parametrize("add_indicator", [True, False])
    def test_names(self, add_indicator):
        pandas = pytest.importorskip("pandas")
        X = np.insert(marked(np.nan), 3, [3, 4, np.nan, 8], axis=1)
        fitted = imputer(add_indicator=add_indicator)
        fitted.fit(pandas.DataFrame(X, columns=list("abcdef")))
        names = ["a", "b", "c", "d", "f"]
        if add_indicator:
            names += [f"missingindicator_{name}" for name in "abcde"]
        assert list(fitted.get_feature_names_out()) == names

    @pytest.mark.parametrize("value", [np.nan, 1])
    def test_they_are_there_where_transform_sees_nothing_missing(self, value):
        X_train, X_test = [[0, np.nan], [1, 2]], [[0, value], [1, 2]]
        with_marks = imputer(add_indicator=True).fit(X_train).transform(X_test)
        without = imputer().fit(X_train).transform(X_test)
        assert with_marks.shape == (2, 3)
        np.testing.assert_allclose(with_marks[:, :-1], without)
        np.testing.assert_array_equal(with_marks[:, -1], [np.isnan(value), 0])


@too_few
@left_out
class TestEmptyFeatures:
    @pytest.mark.parametrize("keep", [True, False])
    @pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
    def test_they_are_zero_or_left_out(self, keep, container):
        X = container(np.array([[np.nan, 1, 2], [np.nan, 2, 7], [np.nan, 3, np.nan]]))
        fitted = imputer(keep_empty_features=keep)
        for filled in (fitted.fit_transform(X), fitted.transform(X)):
            filled = filled.toarray() if sparse.issparse(filled) else filled
            assert filled.shape == (3, 3 if keep else 2)
            if keep:
                assert (filled[:, 0] == 0).all()

    def test_nothing_but_missing_values(self):
        X = np.zeros((100, 3))
        filled = imputer(missing_values=0).fit_transform(X)
        simple = SimpleImputer(missing_values=0)
        with pytest.warns(UserWarning, match="Skipping features"):
            np.testing.assert_allclose(filled, simple.fit_transform(X))
        kept = imputer(missing_values=0, keep_empty_features=True).fit_transform(X)
        np.testing.assert_array_equal(kept, X)

    def test_without_any_the_parameter_makes_no_difference(self):
        X = np.array([[np.nan, 0, 1], [2, np.nan, 3], [4, 5, np.nan]])
        left, kept = (imputer(keep_empty_features=keep).fit_transform(X) for keep in (False, True))
        np.testing.assert_allclose(left, kept)

    @pytest.mark.parametrize("empty", [None, 0, 3])
    def test_they_change_nothing_in_the_others(self, empty):
        X = np.array([[np.nan, np.nan, 0, 1], [np.nan, 2, np.nan, 3], [np.nan, 4, 5, np.nan]])
        X_test = np.arange(1.0, 9).reshape(2, 4)
        if empty is not None:
            X_test[:, empty] = np.nan
        left, kept = imputer().fit(X), imputer(keep_empty_features=True).fit(X)
        np.testing.assert_allclose(left.transform(X), kept.transform(X)[:, 1:])
        assert (kept.transform(X)[:, 0] == 0).all()
        assert left.transform(X_test).shape[1] == left.transform(X).shape[1]
        assert kept.transform(X_test).shape[1] == X_test.shape[1]

    def test_a_feature_that_is_missing_and_a_complete_rest(self):
        X = np.random.RandomState(0).rand(100, 100)
        X[:, 0] = np.nan
        np.testing.assert_array_equal(imputer().fit(X).transform(X), X[:, 1:])
        np.testing.assert_array_equal(imputer().fit_transform(X), X[:, 1:])


@above_kernels
@too_few
@left_out
class TestLimits:
    def test_imputed_values_are_clipped(self):
        # Theirs reach both limits here, by regressions on nine tenths of means.
        X = few_entries()
        filled = imputer(missing_values=0, min_value=0.1, max_value=0.2).fit_transform(X)
        assert filled[X == 0].min() >= 0.1
        assert filled[X == 0].max() == 0.2
        np.testing.assert_array_equal(filled[X != 0], X[X != 0])

    def test_draws_are_within(self):
        X = few_entries()
        X[:, 0] = 1
        drawing = imputer(missing_values=0, sample_posterior=True, min_value=0.1, max_value=0.2)
        filled = drawing.fit_transform(X)
        assert 0.1 <= filled[X == 0].min() < 0.1005
        assert 0.1995 < filled[X == 0].max() <= 0.2
        np.testing.assert_array_equal(filled[X != 0], X[X != 0])

    def test_the_truncated_posterior_looks_normal(self):
        rng = np.random.RandomState(42)
        X = rng.normal(size=(5, 5))
        X[0][0] = np.nan
        drawing = imputer(min_value=0, max_value=0.5, sample_posterior=True, random_state=rng)
        drawing.fit_transform(X)
        draws = np.array([drawing.transform(X)[0][0] for _ in range(100)])
        assert (draws >= 0).all()
        assert (draws <= 0.5).all()
        statistic, p_value = kstest((draws - draws.mean()) / draws.std(), "norm")
        assert statistic < 0.2 or p_value > 0.1

    @pytest.mark.parametrize(
        ("low", "high", "expected"),
        [
            (0, 100, [[0] * 3, [100] * 3]),
            (None, None, [[-np.inf] * 3, [np.inf] * 3]),
            (-np.inf, np.inf, [[-np.inf] * 3, [np.inf] * 3]),
            ([-5, 5, 10], [100, 200, 300], [[-5, 5, 10], [100, 200, 300]]),
            ([-5, -np.inf, 10], [100, 200, np.inf], [[-5, -np.inf, 10], [100, 200, np.inf]]),
        ],
    )
    def test_numbers_and_arrays(self, low, high, expected):
        # What they are is seen in what is imputed where predictions lie far out.
        X = np.random.RandomState(0).randn(10, 3)
        row = np.full((1, 3), np.nan)
        for sign, limits in zip((-1e9, 1e9), expected, strict=True):
            fitted = imputer(Constant(sign), min_value=low, max_value=high).fit(X)
            expected_row = np.where(np.isinf(limits), sign, limits)
            np.testing.assert_array_equal(fitted.transform(row)[0], expected_row)

    @pytest.mark.parametrize(
        ("low", "high", "match"),
        [
            (100, 0, "min_value must not exceed"),
            (np.inf, -np.inf, "min_value is inf"),
            ([-5, 5], [100, 200, 0], "min_value must be a number.*shape"),
            ([-5, 5, 5], [100, 200], "max_value must be a number.*shape"),
        ],
    )
    def test_wrong_ones_are_refused(self, low, high, match):
        X = np.random.RandomState(0).random((10, 3))
        with pytest.raises(ValueError, match=match):
            imputer(min_value=low, max_value=high).fit(X)

    @pytest.mark.parametrize(
        ("one", "other"),
        [([None, None], [-np.inf, np.inf]), ([-10, 10], [[-10] * 4, [10] * 4])],
    )
    def test_none_is_infinity_and_a_number_an_array(self, one, other):
        X = [[np.nan, 2, 2, 1], [10, np.nan, np.nan, 7], [3, 1, np.nan, 1], [np.nan, 4, 2, np.nan]]
        X_test = [[np.nan, 2, np.nan, 5], [2, 4, np.nan, np.nan], [np.nan, 1, 10, 1]]
        first, second = (
            imputer(min_value=low, max_value=high).fit(X).transform(X_test)
            for low, high in (one, other)
        )
        np.testing.assert_allclose(first, second)

    @pytest.mark.parametrize(("empty", "limited", "low", "high"), [(2, 3, 4, 5), (3, 2, 3.5, 6)])
    def test_they_stay_with_their_features(self, empty, limited, low, high):
        X = np.array([[1.0, 2, 0, 0], [4, 5, 6, 6], [7, 8, 0, 0], [10, 11, 12, 12]])
        X[::2, limited], X[:, empty] = np.nan, np.nan
        least, most = np.full(4, -np.inf), np.full(4, np.inf)
        least[limited], most[limited] = low, high
        rest = np.delete(X, empty, axis=1)
        filled = imputer(min_value=least, max_value=most).fit_transform(X)
        assert filled.shape == rest.shape
        values = filled[np.isnan(rest)]
        assert values.min() >= low
        assert values.max() <= high


class Constant(MatrixFactorization):
    """Predicts one number."""

    def __init__(self, value=0.0):
        super().__init__(1)
        self.value = value

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def predict_entries(self, X, rows, columns, return_std=False):
        return np.full(len(rows), float(self.value))


@above_kernels
class TestPredictions:
    def test_draws_of_a_moving_seed_differ_and_means_do_not(self):
        X, rng = few_entries(), np.random.RandomState(0)
        drawing = imputer(missing_values=0, sample_posterior=True, random_state=rng).fit(X)
        assert drawing.transform(X).mean() != pytest.approx(drawing.transform(X).mean())
        fitted = imputer(missing_values=0, random_state=rng).fit(X)
        np.testing.assert_array_equal(fitted.transform(X), fitted.transform(X))

    def test_rank_one(self):
        rng = np.random.RandomState(0)
        X = rng.rand(50, 1) @ rng.rand(1, 50)
        holed = np.where(rng.rand(50, 50) < 0.5, np.nan, X)
        np.testing.assert_allclose(imputer().fit_transform(holed), X, atol=0.02)

    @pytest.mark.parametrize("rank", [3, 5])
    def test_rows_that_were_not_in_the_fit(self, rank):
        rng = np.random.RandomState(0)
        X = rng.rand(70, rank) @ rng.rand(rank, 70)
        holed = np.where(rng.rand(70, 70) < 0.5, np.nan, X)
        filled = imputer().fit(holed[:35]).transform(holed[35:])
        np.testing.assert_allclose(filled, X[35:], atol=0.1)

    def test_sums_of_columns(self):
        rng = np.random.RandomState(0)
        A, B = rng.randn(100, 10), rng.randn(100, 10)
        X = np.zeros((100, 10))
        for i in range(10):
            for j in range(10):
                X[:, (i + j) % 10] += (A[:, i] + B[:, j]) / 2
        holed = np.where(rng.rand(100, 10) < 0.25, np.nan, X)
        filled = imputer().fit(holed[:50]).transform(holed[50:])
        np.testing.assert_allclose(filled, X[50:], rtol=1e-3, atol=0.01)

    def test_a_constant_feature_warns_of_nothing(self):
        X = load_diabetes().data.copy()
        X[:, 3] = 1
        rng = np.random.RandomState(0)
        X[rng.random(X.shape) < 0.15] = np.nan
        filled = imputer(sample_posterior=True).fit_transform(X)
        assert np.isfinite(filled).all()
        assert (filled[:, 3] == 1).all()

    @pytest.mark.parametrize("seed", [None, 1, np.random.RandomState(1)])
    def test_the_seed_of_an_estimator_is_its_own(self, seed):
        model = MatrixFactorization(1, random_state=seed)
        imputer(model).fit(np.random.default_rng(0).random((10, 3)))
        assert model.random_state is seed


class TestConventions:
    def test_one_feature_gets_its_mean(self):
        X = np.array([[1.0], [2.0], [np.nan], [np.nan]])
        np.testing.assert_allclose(imputer().fit_transform(X).ravel(), [1, 2, 1.5, 1.5])

    def test_in_a_pipeline_it_is_searched(self):
        X = sparse.random(40, 5, density=0.6, random_state=0)
        y = sparse.random(40, 1, density=0.2, random_state=0).toarray().ravel()
        factorization = MatrixFactorization(1, alpha_W=0.1, random_state=0)
        filling = imputer(factorization, missing_values=0)
        steps = [("imputer", filling), ("tree", DecisionTreeRegressor())]
        grid = {"imputer__max_value": [0.5, None], "imputer__add_indicator": [False, True]}
        search = GridSearchCV(Pipeline(steps), grid, cv=2).fit(X.toarray(), y)
        assert set(search.best_params_) == set(grid)

    @pytest.mark.parametrize("container", [np.asarray, sparse.csr_array, sparse.csc_array])
    def test_the_data_are_copied(self, container):
        X = container(np.where(few_entries(30, 6) == 0, np.nan, 1.0))
        before = X.copy()
        imputer().fit_transform(X)
        np.testing.assert_array_equal(
            *(data.toarray() if sparse.issparse(data) else data for data in (X, before))
        )

    @pytest.mark.parametrize("kind", [sparse.csc_array, sparse.csc_matrix])
    def test_zeros_of_sparse_data_cannot_be_missing(self, kind):
        X = np.ones((3, 5))
        X[0] = 0
        for fit in (False, True):
            fitted = imputer(missing_values=0)
            call = fitted.fit(X).transform if fit else fitted.fit
            with pytest.raises(ValueError, match="toarray"):
                call(kind(X))

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_the_type_is_that_of_transform(self, dtype):
        fitted = imputer().fit([[1.2, 3.4, np.nan], [np.nan, 1.2, 1.3], [4.2, 2, 1]])
        assert fitted.transform(np.full((1, 3), np.nan, dtype=dtype)).dtype == dtype

    def test_na_of_pandas(self):
        pandas = pytest.importorskip("pandas")
        for dtype, missing_values in (
            ("Int64", pandas.NA),
            ("Int64", np.nan),
            ("float64", pandas.NA),
        ):
            frame = pandas.DataFrame({"feature": pandas.Series([1, None, 2], dtype=dtype)})
            filled = imputer(missing_values=missing_values).fit_transform(frame)
            np.testing.assert_allclose(filled, [[1], [1.5], [2]])
            assert filled.dtype == np.float64

    @pytest.mark.parametrize("mark", [-1, np.nan])
    def test_transformations_are_inverted(self, mark):
        tables = [
            [[9, mark, 3, -1], [4, -1, 5, 4], [6, 7, mark, -1], [8, 9, 0, mark]],
            [[1, mark, 5, 9], [mark, 4, mark, mark], [2, mark, 7, mark], [mark, 3, mark, 8]],
            [[1, 1, 1, 3], [mark, 2, mark, 1], [2, 3, 3, 4], [mark, 4, mark, 2]],
        ]
        fitted = imputer(missing_values=mark, add_indicator=True)
        for X in map(np.array, tables):
            filled = fitted.fit_transform(X)
            np.testing.assert_array_equal(fitted.inverse_transform(filled), X)
        first = np.array(tables[0])
        other = np.array([[5, 4, 2, 1], [2, 1, mark, 3], [9, mark, 7, 1], [6, 4, 2, mark]])
        filled = fitted.fit(first).transform(other)
        np.testing.assert_array_equal(fitted.inverse_transform(filled), other)

    def test_they_are_not_without_an_indicator(self):
        X = marked(np.nan)
        fitted = imputer(keep_empty_features=True).fit(X)
        with pytest.raises(ValueError, match="Got add_indicator=False"):
            fitted.inverse_transform(fitted.transform(X))
