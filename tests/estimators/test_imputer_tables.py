"""The imputer in the place of scikit-learn's: frames, sparse matrices, empty columns."""

import numpy as np
import pytest
from conftest import low_rank, punch_holes
from scipy import sparse
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mf import FactorizationImputer, MatrixFactorization, RankSearchCV

NAMES = ["a", "b", "c", "yes"]
MIXED = MatrixFactorization(
    1, loss={"squared": ["a", "b", "c"], "logistic": ["yes"]}, alpha_W=0.1, random_state=0
)

SPARSE = [
    sparse.csr_array,
    sparse.csc_array,
    sparse.coo_array,
    sparse.csr_matrix,
    sparse.csc_matrix,
]


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


class TestSparse:
    """What is not stored is zero, and stored NaN are missing, as in SimpleImputer."""

    @pytest.fixture
    def X(self):
        X = low_rank(40, 6, noise=0.3, mean=1.0)
        X[np.random.default_rng(3).random(X.shape) < 0.4] = 0.0
        return punch_holes(X, 0.1)

    @pytest.mark.parametrize(
        ("kind", "parameters"),
        [
            *((kind, {}) for kind in SPARSE),
            *((kind, {"add_indicator": True}) for kind in SPARSE[:2]),
            *((kind, {"missing_values": -1.0}) for kind in SPARSE[-2:]),
        ],
    )
    def test_the_result_is_sparse_and_that_of_the_dense_table(self, X, kind, parameters):
        X = np.where(np.isnan(X), parameters.get("missing_values", np.nan), X)
        before = kind(X)
        stored = before.copy()
        filled = imputer(**parameters).fit_transform(before)
        assert sparse.issparse(filled)
        theirs = SimpleImputer(**parameters).fit_transform(before)
        assert isinstance(filled, sparse.sparray) == isinstance(before, sparse.sparray)
        assert filled.shape == theirs.shape
        np.testing.assert_allclose(filled.toarray(), imputer(**parameters).fit_transform(X))
        np.testing.assert_array_equal(before.toarray(), stored.toarray())

    def test_standard_deviations_are_sparse_too(self, X):
        values, std = imputer().fit(X).transform(sparse.csr_array(X), return_std=True)
        expected = imputer().fit(X).transform(X, return_std=True)
        np.testing.assert_allclose(values.toarray(), expected[0])
        np.testing.assert_allclose(std.toarray(), expected[1])
        assert std.nnz == np.isnan(X).sum()

    def test_the_estimator_gets_it_sparse(self, X):
        model = MatrixFactorization(2, alpha_W=0.1, random_state=0)
        filled = imputer(model).fit_transform(sparse.csr_array(X))
        np.testing.assert_allclose(filled.toarray(), imputer(model).fit_transform(X), atol=1e-6)
        watching = imputer(Watching()).fit(sparse.csr_array(X))
        assert sparse.issparse(watching.estimator_.fitted_to_)

    @pytest.mark.filterwarnings("ignore:Features without any observed value")
    @pytest.mark.parametrize("keep", [True, False])
    def test_empty_columns_are_those_that_store_nothing_but_nan(self, X, keep):
        X[:, 1], X[:, 2] = np.nan, 0.0
        filled = imputer(keep_empty_features=keep).fit_transform(sparse.csc_array(X))
        expected = imputer(keep_empty_features=keep).fit_transform(X)
        np.testing.assert_allclose(filled.toarray(), expected)

    def test_zero_cannot_be_the_mark(self, X):
        with pytest.raises(ValueError, match=r"missing_values=0 .*toarray"):
            imputer(missing_values=0).fit(sparse.csr_array(np.nan_to_num(X)))


class TestInverse:
    """What was missing is missing again, as in SimpleImputer."""

    @pytest.mark.parametrize("mark", [np.nan, -1.0])
    def test_it_is_that_of_simple_imputer(self, mark):
        X = low_rank(30, 6, noise=0.3)
        X[:, 2] = np.nan
        X = punch_holes(X, 0.2)
        X[:, 2], X[:, 5] = np.nan, 1.0
        X = np.where(np.isnan(X), mark, X)
        parameters = {"add_indicator": True, "missing_values": mark}
        with pytest.warns(UserWarning, match="Features without"):
            fitted = imputer(**parameters).fit(X)
        np.testing.assert_array_equal(fitted.inverse_transform(fitted.transform(X)), X)
        other = np.where(np.random.default_rng(0).random(X.shape) < 0.3, mark, X)
        other[:, 5] = 1.0
        other[:, 2] = mark
        np.testing.assert_array_equal(fitted.inverse_transform(fitted.transform(other)), other)

    @pytest.mark.parametrize("form", [np.asarray, "pandas", "polars"])
    def test_empty_features_that_were_kept_come_back_too(self, mixed, form):
        X = np.insert(mixed, 1, np.nan, axis=1)
        fitted = imputer(add_indicator=True, keep_empty_features=True)
        if form in ("pandas", "polars"):
            pytest.importorskip(form)
            fitted.set_output(transform=form)
        filled = fitted.fit_transform(X)
        np.testing.assert_array_equal(fitted.inverse_transform(filled), X)

    def test_of_sparse_data(self, mixed):
        fitted = imputer(add_indicator=True)
        filled = fitted.fit_transform(sparse.csr_array(mixed))
        back = fitted.inverse_transform(filled)
        assert sparse.issparse(back)
        np.testing.assert_array_equal(back.toarray(), mixed)

    def test_it_needs_the_indicator(self, mixed):
        fitted = imputer().fit(mixed)
        with pytest.raises(ValueError, match="Got add_indicator=False"):
            fitted.inverse_transform(fitted.transform(mixed))

    def test_other_columns_are_refused(self, mixed):
        fitted = imputer(add_indicator=True).fit(mixed)
        with pytest.raises(ValueError, match="X has 4 features, but transform returns 8"):
            fitted.inverse_transform(np.ones((2, 4)))


@pytest.fixture
def whole():
    """A table of integers, booleans and floats of many makes, complete."""
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    size = rng.normal(size=60)
    return pandas.DataFrame(
        {
            "rooms": np.rint(3 + 2 * size).astype(int),
            "old": size > 0,
            "price": 5 * size + rng.normal(size=60),
            "floor": np.rint(np.abs(size)).astype(int),
        }
    )


WHOLE = {"rooms": "Int64", "old": "boolean", "price": "Float64", "floor": "UInt8"}


def spoilt(table, names, share=0.2):
    """A table with holes in some of its columns."""
    holes = np.random.default_rng(1).random(table.shape) < share
    holes[:, ~np.isin(table.columns, names)] = False
    return table.mask(holes)


class TestTypesOfColumns:
    """With round_features="from_dtype" columns of whole numbers come back as they were."""

    def check(self, table, dtypes):
        fitted = imputer(round_features="from_dtype").set_output(transform="pandas")
        filled = fitted.fit_transform(table)
        assert {name: str(dtype) for name, dtype in filled.dtypes.items()} == dtypes
        assert not filled.isna().any().any()
        for name in table:
            seen = table[name].notna()
            assert (filled[name][seen] == table[name][seen]).all()
        return filled

    def test_nullable_types_of_pandas(self, whole):
        table = spoilt(whole.astype(WHOLE), list(WHOLE))
        filled = self.check(table, WHOLE | {"price": "float64"})
        assert (filled["floor"] >= 0).all()

    def test_types_of_arrow_in_pandas(self, whole):
        pytest.importorskip("pyarrow")
        dtypes = {"rooms": "int64[pyarrow]", "old": "bool[pyarrow]", "floor": "uint8[pyarrow]"}
        table = spoilt(whole.astype(dtypes), list(WHOLE))
        dtypes["price"] = "float64"
        self.check(table, {name: dtypes[name] for name in WHOLE})

    def test_booleans_that_pandas_has_made_objects(self, whole):
        old = whole["old"].astype(object)
        old[::5] = None
        self.check(
            whole.assign(old=old),
            {"rooms": "int64", "old": "bool", "price": "float64", "floor": "int64"},
        )

    def test_what_the_fit_saw_counts(self, whole):
        # Integers of NumPy are floats as soon as one is missing.
        fitted = imputer(round_features="from_dtype").set_output(transform="pandas").fit(whole)
        table = spoilt(whole, ["rooms", "price"])
        assert str(table["rooms"].dtype) == "float64"
        filled = fitted.transform(table)
        assert [str(dtype) for dtype in filled.dtypes] == ["int64", "bool", "float64", "int64"]

    def test_types_of_polars(self, whole):
        pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
        kinds = {"rooms": polars.Int16, "old": polars.Boolean, "floor": polars.UInt8}
        table = spoilt(whole.astype(WHOLE), list(WHOLE))
        values = {
            name: [None if value is pandas.NA else value for value in table[name]] for name in table
        }
        frame = polars.DataFrame(values).cast(kinds)
        fitted = imputer(round_features="from_dtype").set_output(transform="polars")
        filled = fitted.fit_transform(frame)
        assert filled.schema == frame.schema
        assert filled.null_count().sum_horizontal().item() == 0
        # Frames of another make have other types.
        floats = fitted.set_output(transform="pandas").transform(frame)
        assert set(map(str, floats.dtypes)) == {"float64"}

    def test_features_that_were_named_are_stored_as_they_were(self, whole):
        table = spoilt(whole.astype(WHOLE), list(WHOLE))
        fitted = imputer(round_features=["floor"]).set_output(transform="pandas")
        dtypes = [str(dtype) for dtype in fitted.fit_transform(table).dtypes]
        assert dtypes == ["float64", "float64", "float64", "UInt8"]

    def test_arrays_are_rounded_only(self, whole):
        table = spoilt(whole.astype(WHOLE), list(WHOLE))
        filled = imputer(round_features="from_dtype").fit_transform(table)
        assert filled.dtype == np.float64
        frame = self.check(table, WHOLE | {"price": "float64"})
        np.testing.assert_array_equal(filled, frame.to_numpy(dtype=float))
        marked = np.where(np.arange(12).reshape(4, 3) % 5 == 2, -1, 7 + np.eye(4, 3, dtype=int))
        found = imputer(round_features="from_dtype", missing_values=-1).fit_transform(marked)
        np.testing.assert_array_equal(found, np.rint(found))

    @pytest.mark.parametrize("values", [[2.5, 1.0], [-1.0, 1.0], [300.0, 1.0]])
    def test_values_that_the_type_cannot_hold_are_refused(self, whole, values):
        table = whole.astype(WHOLE)
        fitted = imputer(round_features="from_dtype").set_output(transform="pandas").fit(table)
        other = table.head(2).assign(floor=values)
        with pytest.raises(ValueError, match=f"X has {values[0]} in row 0, .*'floor'.*UInt8"):
            fitted.transform(other)

    @pytest.mark.parametrize("dtype", ["int8", "UInt16", "Int32", "int64", "UInt64"])
    def test_the_ends_of_a_type_are_its_own(self, whole, dtype):
        bits, unsigned = int(dtype[-2:].lstrip("t")), dtype.startswith("U")
        least = 0 if unsigned else -(2 ** (bits - 1))
        most = min(2**bits - 1 if unsigned else 2 ** (bits - 1) - 1, 2**53)
        table = whole[["price", "rooms"]].assign(floor=whole["floor"].astype(dtype))
        table.loc[3, "floor"], table.loc[5, "floor"] = least, most
        table.loc[7:20, "price"] = np.nan
        assert str(table["floor"].dtype) == dtype
        self.check(table, {"price": "float64", "rooms": "int64", "floor": dtype})

    @pytest.mark.parametrize("value", [-1e30, 1e30])
    @pytest.mark.parametrize("dtype", ["Int8", "UInt32", "Int64", "UInt64"])
    def test_what_is_imputed_fits_into_the_type(self, whole, dtype, value):
        table = whole[["rooms", "floor"]].abs().astype(dtype)
        table.loc[3, "floor"] = None
        model = MatrixFactorization(1, bias="features", alpha_W=0.1, random_state=0)
        fitted = imputer(model, round_features="from_dtype").set_output(transform="pandas")
        fitted.fit(table).estimator_.feature_bias_[:] = value
        info = np.iinfo(dtype.lower())
        expected = info.min if value < 0 else info.max
        assert float(fitted.transform(table).loc[3, "floor"]) == pytest.approx(expected, rel=1e-9)

    def test_draws_are_whole_too(self, whole):
        table = spoilt(whole.astype(WHOLE), list(WHOLE), 0.5)
        fitted = imputer(round_features="from_dtype", sample_posterior=True)
        filled = fitted.set_output(transform="pandas").fit_transform(table)
        assert str(filled["old"].dtype) == "boolean"

    def test_kept_empty_columns_and_indicators_beside_them(self, whole):
        table = spoilt(whole.astype(WHOLE), list(WHOLE))
        table.insert(0, "none", table["rooms"].mask(table["rooms"].notna()))
        fitted = imputer(
            round_features="from_dtype", keep_empty_features=True, add_indicator=True
        ).set_output(transform="pandas")
        filled = fitted.fit_transform(table)
        assert str(filled["none"].dtype) == "Int64"
        assert (filled["none"] == 0).all()
        assert str(filled["missingindicator_old"].dtype) == "float64"


class TestOutputsForAll:
    """What is asked for by `set_config` reaches the indicator and estimators too."""

    @pytest.mark.parametrize("make", ["pandas", "polars"])
    @pytest.mark.parametrize("given", ["pandas", "polars", None])
    @pytest.mark.parametrize(
        "estimator",
        [None, MIXED, make_pipeline(StandardScaler(), MatrixFactorization(1, random_state=0))],
    )
    def test_it_changes_the_container_alone(self, mixed, make, given, estimator):
        pytest.importorskip(make)
        X = mixed if given is None else frame(mixed, given)
        if estimator is MIXED and given is None:
            estimator = MatrixFactorization(1, random_state=0)
        fitted = imputer(estimator, add_indicator=True, round_features=[3])
        expected = fitted.fit_transform(X)
        with config_context(transform_output=make):
            filled = fitted.fit_transform(X)
        assert type(filled).__module__.startswith(make)
        np.testing.assert_allclose(filled.to_numpy(), expected, rtol=1e-12)


class TestEstimatorsThatAreNone:
    @pytest.mark.parametrize("estimator", [SimpleImputer(add_indicator=True), imputer()])
    def test_imputers_are_refused(self, mixed, estimator):
        with pytest.raises(ValueError, match="is an imputer itself"):
            imputer(estimator).fit(mixed)


class TestEstimatorsOfEmptyColumns:
    @pytest.mark.parametrize(
        "estimator",
        [
            MatrixFactorization(1, alpha_W=0.1),
            make_pipeline(StandardScaler(), MatrixFactorization(1, alpha_W=0.1)),
            GridSearchCV(MatrixFactorization(alpha_W=0.1), {"n_components": [1, 2]}, cv=2),
            RankSearchCV(MatrixFactorization(alpha_W=0.1), [1, 2], cv=2, random_state=0),
        ],
        ids=["alone", "pipeline", "search", "rank search"],
    )
    def test_kept_ones_are_zero_without_a_warning(self, mixed, estimator):
        X = np.insert(mixed, 1, np.nan, axis=1)
        filled = imputer(estimator, keep_empty_features=True).fit_transform(X)
        assert (filled[:, 1] == 0).all()
        assert np.isfinite(filled).all()
