"""However an entry is said to be missing, in whatever container, it is missing everywhere."""

import datetime
import decimal
from functools import cache

import numpy as np
import pandas as pd
import pytest
from conftest import above_kernels, low_rank, punch_holes
from scipy import sparse
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mf import (
    NMF,
    FactorizationImputer,
    MatrixFactorization,
    MiniBatchNMF,
    RankSearchCV,
    non_negative_factorization,
    select_rank,
)
from sklearn_mf.components import canonical_form, component_stability
from sklearn_mf.model_selection import (
    EntryHoldout,
    EntryKFold,
    EntryTimeSeriesSplit,
    MaskedEntryScorer,
    bi_cross_val_score,
    cross_val_entries,
    hide_entries,
    observed_entries,
    train_test_entry_split,
)
from sklearn_mf.utils._validation import warn_of_unused_mark

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

NAMES = ["ann", "bob", "cem", "dan", "eva"]
# What stands where an entry is masked: no number that a factorization would pass over.
UNDER_THE_MASK = 1e6


def holed(dtype=np.float64):
    """Positive integers of about rank 2, a fifth missing; no row and no column is empty."""
    X = np.round(np.abs(low_rank(30, len(NAMES), rank=2, mean=3.0)) + 1)
    return punch_holes(X, 0.2).astype(dtype)


def quick(**parameters):
    defaults = {"n_components": 2, "alpha_W": 0.01, "max_iter": 5, "tol": 0, "random_state": 0}
    return MatrixFactorization(**defaults | parameters)


def positive(cls=NMF, **parameters):
    defaults = {"n_components": 2, "max_iter": 3, "tol": 0, "init": "random", "random_state": 0}
    return cls(**defaults | parameters)


def fitted(estimator=None):
    return (estimator or quick()).fit(holed())


def with_nan(X):
    """An array of floats, of any container; what is not stored is NaN."""
    if sparse.issparse(X):
        X = X.tocoo()
        values = np.full(X.shape, np.nan)
        values[X.row, X.col] = X.data
        return values
    if hasattr(X, "iloc"):
        X = X.astype(object).where(X.notna(), np.nan)
    return np.asarray(X, dtype=float)


def codes(X):
    return quick().fit_transform(X)


METHODS = {
    "fit": lambda X: quick().fit(X).components_,
    "fit, huber": lambda X: quick(loss="huber", bias="both").fit(X).components_,
    "fit, list of losses": lambda X: quick(loss=["squared"] * 5).fit(X).components_,
    "fit, auto": lambda X: quick(n_components="auto", solver="als").fit(X).components_,
    "fit, early stopping": lambda X: quick(early_stopping=True).fit(X).components_,
    "fit_transform": codes,
    "partial_fit": lambda X: quick().partial_fit(X).components_,
    "transform": lambda X: fitted().transform(X),
    "score": lambda X: fitted().score(X),
    "predict_entries": lambda X: fitted().predict_entries(X, [0, 3], [1, 2]),
    "predict_entries, std": lambda X: fitted().predict_entries(X, [0], [1], return_std=True)[1],
    "transform_columns": lambda X: fitted().transform_columns(X, np.ones((30, 2)) + np.eye(30, 2)),
    "NMF": lambda X: positive().fit(X).components_,
    "MiniBatchNMF": lambda X: positive(MiniBatchNMF).fit(X).components_,
    "MiniBatchNMF.partial_fit": lambda X: positive(MiniBatchNMF).partial_fit(X).components_,
    "non_negative_factorization": lambda X: non_negative_factorization(
        X, n_components=2, max_iter=3, tol=0, init="random", random_state=0
    )[0],
    "imputer": lambda X: FactorizationImputer(random_state=0).fit_transform(X),
    "imputer.transform": lambda X: (
        FactorizationImputer(random_state=0, add_indicator=True).fit(holed()).transform(X)
    ),
    "imputer, estimator": lambda X: FactorizationImputer(quick()).fit_transform(X),
    "RankSearchCV": lambda X: (
        RankSearchCV(quick(), [1, 2], cv=2, random_state=0).fit(X).cv_results_["mean_test_score"]
    ),
    "RankSearchCV, one by one": lambda X: (
        RankSearchCV(positive(alpha_W=0.1), [1, 2], cv=2, random_state=0)
        .fit(X)
        .cv_results_["mean_test_score"]
    ),
    "observed_entries": lambda X: observed_entries(X)[2],
    "hide_entries": lambda X: with_nan(hide_entries(X, [0, 7])),
    "train_test_entry_split": lambda X: with_nan(train_test_entry_split(X, random_state=0)[0]),
    "EntryKFold": lambda X: next(EntryKFold(2, random_state=0).split(X))[1],
    "MaskedEntryScorer": lambda X: MaskedEntryScorer()(fitted(), X),
    "EntryHoldout": lambda X: EntryHoldout(quick()).fit(X).score(X),
    "cross_val_entries": lambda X: cross_val_entries(quick(), X, cv=2)["test_score"],
    "component_stability": lambda X: component_stability(quick(), X, cv=2),
}


@cache
def of_an_array(method):
    """What a method makes of the array that containers hold."""
    return METHODS[method](holed())


def same(actual, expected):
    """Equal but for rounding: frames hold columns together, arrays rows."""
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-8)


def masked(dtype=np.float64, **options):
    X = holed()
    values = np.where(np.isnan(X), UNDER_THE_MASK, X).astype(dtype)
    return np.ma.array(values, mask=np.isnan(X), **options)


def partly_masked():
    """Some entries masked, some NaN."""
    X = np.ma.array(holed(), mask=np.isnan(holed()))
    X.mask[::2] = False
    return X


MASKED = {
    "float": masked,
    "float32": lambda: masked(np.float32),
    "int": lambda: masked(np.int64),
    "int32": lambda: masked(np.int32),
    "objects": lambda: masked(object),
    "hard": lambda: masked(hard_mask=True),
    "shared": lambda: masked().view(),
    "Fortran": lambda: masked().T.copy().T,
    "partly": partly_masked,
    "no mask": lambda: np.ma.array(holed()),
    "list of rows": lambda: list(masked()),
}


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.filterwarnings("ignore:.*Maximum number of iterations")
class TestMaskedArrays:
    @pytest.mark.parametrize("method", METHODS)
    def test_what_is_masked_is_missing_in_every_method(self, method):
        call = METHODS[method]
        expected = call(holed())
        for make in ("float", "int", "objects"):
            same(call(MASKED[make]()), expected)

    @pytest.mark.parametrize("make", MASKED)
    @pytest.mark.parametrize(
        "method", ["fit_transform", "imputer", "EntryKFold", "observed_entries"]
    )
    def test_every_masked_array_is_taken_as_it_is_meant(self, make, method):
        X = MASKED[make]()
        actual = METHODS[method](X)
        tolerance = 1e-3 if make == "float32" else 1e-6
        np.testing.assert_allclose(actual, METHODS[method](holed()), rtol=tolerance, atol=tolerance)

    def test_the_array_and_its_mask_stay_as_they_were(self):
        X = masked()
        values, mask = X.data.copy(), X.mask.copy()
        for call in METHODS.values():
            call(X)
        np.testing.assert_array_equal(X.data, values)
        np.testing.assert_array_equal(X.mask, mask)

    def test_what_is_masked_is_missing_beside_another_mark(self):
        X = holed()
        half = np.isnan(X)
        half[::2] = False
        marked = np.where(np.isnan(X), -1, X)
        both = np.ma.array(np.where(half, UNDER_THE_MASK, marked).astype(int), mask=half)
        same(quick(missing_values=-1).fit(both).components_, quick().fit(X).components_)

    @pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array])
    def test_masked_entry_weights_are_zero(self, convert):
        X, E = np.nan_to_num(holed()), np.arange(150.0).reshape(30, 5)
        mask = np.random.default_rng(0).random(E.shape) < 0.3
        weights = np.ma.array(np.where(mask, UNDER_THE_MASK, E), mask=mask)
        expected = quick().fit(convert(X), entry_weight=np.where(mask, 0, E))
        same(quick().fit(convert(X), entry_weight=weights).components_, expected.components_)
        same(
            expected.transform(convert(X), entry_weight=weights),
            expected.transform(convert(X), entry_weight=np.where(mask, 0, E)),
        )

    def test_masked_sample_weights_are_refused(self):
        weights = np.ma.array(np.ones(30), mask=np.arange(30) == 7)
        with pytest.raises(ValueError, match="sample_weight is masked in row 7"):
            quick().fit(holed(), sample_weight=weights)
        quick().fit(holed(), sample_weight=np.ma.array(np.ones(30)))

    @pytest.mark.parametrize(
        ("name", "call"),
        [
            ("X", lambda A: fitted().inverse_transform(A[:, :2])),
            ("X", select_rank),
            ("X", lambda A: bi_cross_val_score(quick(n_components=1), A)),
            ("W", lambda A: canonical_form(A[:, :2], np.ones((2, 5)))),
            ("W", lambda A: fitted().transform_columns(holed(), A[:, :2])),
            ("init", lambda A: quick(init=A[:2]).fit(holed())),
        ],
    )
    def test_what_needs_all_numbers_refuses_masks(self, name, call):
        A = np.ma.array(np.ones((30, 5)), mask=False)
        A.mask[1, 0] = True
        with pytest.raises(ValueError, match=f"Input {name} contains NaN in row 1, column 0"):
            call(A)

    def test_masked_positions_are_refused(self):
        with pytest.raises(ValueError, match="rows has masked positions"):
            fitted().predict_entries(holed(), np.ma.array([1, 2], mask=[0, 1]), [0, 0])

    def test_masked_times_are_refused_where_there_are_entries(self):
        X = holed()
        times = np.ma.array(np.arange(150.0).reshape(30, 5), mask=np.isnan(X))
        times.data[times.mask] = -1
        splits = list(EntryTimeSeriesSplit(2).split(X, groups=times))
        assert len(splits) == 2
        i, j = np.argwhere(~np.isnan(X))[3]
        times.mask[i, j] = True
        for groups in (times, times.filled(np.nan)):
            with pytest.raises(ValueError, match=f"groups has no time .* row {i}, column {j}"):
                list(EntryTimeSeriesSplit(2).split(X, groups=groups))


def pandas_with_NA_objects(X):
    table = pd.DataFrame(X, columns=NAMES).astype(object)
    return table.where(~np.isnan(X), pd.NA)


def pandas_with_None(X):
    return pd.DataFrame(np.where(np.isnan(X), None, X), columns=NAMES)


def objects_with_NA(X):
    return np.where(np.isnan(X), pd.NA, X.astype(object))


def lists_with_None(X):
    return [[None if value != value else value for value in row] for row in X.tolist()]


def pandas_of_sparse_columns(X):
    return pd.DataFrame(X, columns=NAMES).astype(pd.SparseDtype(float, np.nan))


def pandas_of_arrow(X):
    return pd.DataFrame(X, columns=NAMES).astype("double[pyarrow]")


def pandas_of_decimals(X):
    table = pd.DataFrame(X, columns=NAMES).astype(object)
    table["ann"] = [None if value != value else decimal.Decimal(value) for value in table["ann"]]
    return table


def pandas_of_integers(X):
    return pd.DataFrame(X, columns=NAMES).astype("Int64")


def polars_of_integers(X):
    return pl.DataFrame(X, schema=NAMES).fill_nan(None).cast(pl.Int16)


def arrow_table(X):
    return polars_of_integers(X).to_arrow()


def narwhals_of(frame):
    def make(X):
        return pytest.importorskip("narwhals").from_native(frame(X))

    make.__name__ = f"narwhals {frame.__name__}"
    return make


def pandas_frame(X):
    return pd.DataFrame(X, columns=NAMES)


CONTAINERS = [
    pandas_with_NA_objects,
    pandas_with_None,
    objects_with_NA,
    lists_with_None,
    pandas_of_sparse_columns,
    pandas_of_arrow,
    pandas_of_decimals,
    pandas_of_integers,
    polars_of_integers,
    arrow_table,
    narwhals_of(polars_of_integers),
    narwhals_of(pandas_frame),
    narwhals_of(arrow_table),
]
# These read a sparse frame as the sparse matrix that it is, and the estimator must agree.
HIDING = {"MaskedEntryScorer", "EntryHoldout", "cross_val_entries"}


@above_kernels
@pytest.mark.filterwarnings("ignore:X has feature names, but")
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
class TestContainers:
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("make", CONTAINERS, ids=lambda make: make.__name__)
    def test_every_container_gives_what_arrays_give(self, make, method):
        call, X = METHODS[method], make(holed())
        if make is pandas_of_sparse_columns and method in HIDING:
            with pytest.raises(ValueError, match="unstored='missing'"):
                call(X)
            return
        same(call(X), of_an_array(method))

    @pytest.mark.parametrize(
        "make",
        [arrow_table, *(make for make in CONTAINERS if make.__name__.startswith("narwhals"))],
        ids=lambda make: make.__name__,
    )
    def test_names_are_read_and_kept(self, make):
        X = make(holed())
        assert list(quick().fit(X).feature_names_in_) == NAMES
        hidden = hide_entries(X, [0])
        assert type(hidden) is type(X)
        assert list(quick().fit(hidden).feature_names_in_) == NAMES
        assert list(EntryHoldout(quick()).fit(X).feature_names_in_) == NAMES
        train, test = train_test_entry_split(X, random_state=0)
        assert type(train) is type(test) is type(X)

    def test_names_of_losses_are_found_in_every_frame(self):
        loss = [("squared", ["ann", "cem", "dan", "eva"]), ("huber", ["bob"])]
        expected = quick(loss=loss).fit(pandas_frame(holed())).components_
        for make in (arrow_table, narwhals_of(polars_of_integers)):
            same(quick(loss=loss).fit(make(holed())).components_, expected)

    def test_rounded_columns_are_found_in_every_frame(self):
        expected = FactorizationImputer(round_features=["bob"], random_state=0).fit_transform(
            pandas_frame(holed())
        )
        for make in (arrow_table, narwhals_of(polars_of_integers)):
            rounding = FactorizationImputer(round_features=["bob"], random_state=0)
            same(rounding.fit_transform(make(holed())), expected)

    @pytest.mark.parametrize("unstored", ["zero", "missing"])
    def test_sparse_columns_with_NaN_have_holes_however_unstored_is_read(self, unstored):
        X = pandas_of_sparse_columns(holed())
        actual = quick(unstored=unstored).fit(X)
        same(actual.components_, fitted().components_)
        same(actual.transform(X), fitted().transform(holed()))
        assert list(actual.feature_names_in_) == NAMES

    def test_sparse_columns_with_holes_are_not_made_dense_where_unstored_is_missing(self):
        seen = []

        def init(X, n_components, random_state):
            seen.append(X)
            return random_state.standard_normal((n_components, X.shape[1]))

        quick(unstored="missing", init=init).fit(pandas_of_sparse_columns(holed()))
        assert sparse.issparse(seen[0])
        assert seen[0].nnz == np.count_nonzero(~np.isnan(holed()))

    def test_sparse_columns_with_zeros_are_a_sparse_matrix(self):
        X = np.nan_to_num(holed())
        table = pd.DataFrame(X, columns=NAMES).astype(pd.SparseDtype(float, 0))
        for unstored, expected in (("zero", X), ("missing", holed())):
            actual = quick(unstored=unstored, solver="als").fit(table)
            same(actual.loss_curve_, quick(solver="als").fit(expected).loss_curve_)

    def test_entries_of_sparse_columns_are_hidden_as_those_of_a_sparse_matrix(self):
        X = pandas_of_sparse_columns(holed())
        hidden = hide_entries(X, [0, 7])
        assert sparse.issparse(hidden)
        expected = hide_entries(holed(), [0, 7])
        np.testing.assert_array_equal(
            hidden.toarray()[~np.isnan(expected)], expected[~np.isnan(expected)]
        )
        assert hidden.nnz == np.count_nonzero(~np.isnan(expected))
        missing = quick(unstored="missing")
        same(
            cross_val_entries(missing, X, cv=2)["test_score"],
            cross_val_entries(quick(), holed(), cv=2)["test_score"],
        )

    @pytest.mark.parametrize("make", [pandas_of_sparse_columns, arrow_table])
    def test_entry_weights_may_be_frames(self, make):
        X, E = np.nan_to_num(holed()), holed()
        expected = quick().fit(X, entry_weight=np.nan_to_num(E)).components_
        if make is arrow_table:
            with pytest.raises(ValueError, match="entry_weight contains NaN"):
                quick().fit(X, entry_weight=make(E))
            E = np.nan_to_num(E)
        same(quick().fit(X, entry_weight=make(E)).components_, expected)


class TestMarks:
    @pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array, sparse.csc_array])
    @pytest.mark.parametrize(
        "mark", [-999.9, np.float64(-999.9), np.float32(-999.9), np.float64(1e30)]
    )
    def test_a_mark_is_what_the_dtype_of_X_makes_of_it(self, mark, convert):
        X = holed(np.float32)
        marked = np.where(np.isnan(X), np.float32(mark), X)
        actual = quick(missing_values=mark).fit(convert(marked))
        expected = quick().fit(X).components_
        np.testing.assert_allclose(actual.components_, expected, rtol=1e-3, atol=1e-5)

    @pytest.mark.parametrize("mark", [-1, 255, -32768, np.int16(-32768)])
    def test_a_mark_of_integers(self, mark):
        dtype = np.uint8 if mark == 255 else np.int16
        marked = np.where(np.isnan(holed()), mark, holed()).astype(dtype)
        same(quick(missing_values=mark).fit(marked).components_, fitted().components_)

    @pytest.mark.parametrize(
        "make",
        [
            lambda mark: quick(missing_values=mark),
            lambda mark: positive(missing_values=mark),
            lambda mark: positive(MiniBatchNMF, missing_values=mark),
            lambda mark: FactorizationImputer(missing_values=mark, random_state=0),
        ],
        ids=["MatrixFactorization", "NMF", "MiniBatchNMF", "FactorizationImputer"],
    )
    def test_a_mark_that_occurs_nowhere_is_warned_of(self, make):
        X = np.nan_to_num(holed(), nan=2.0)
        with pytest.warns(UserWarning, match="missing_values=-999 does not occur in X") as caught:
            make(-999).fit(X)
        assert [warning.filename for warning in caught] == [__file__]
        for mark in (np.nan, pd.NA):
            make(mark).fit(X)
        marked = X.copy()
        marked[0, 0] = -999
        make(-999).fit(marked)

    def test_batches_and_new_rows_may_be_complete(self):
        X = np.nan_to_num(holed(), nan=-1)
        complete = X[(X != -1).all(axis=1)]
        quick(missing_values=-1).partial_fit(complete)
        quick(missing_values=-1).fit(X).transform(complete)

    @pytest.mark.parametrize(
        "estimator",
        [
            quick(missing_values=-1),
            positive(missing_values=-1),
            FactorizationImputer(missing_values=-1),
        ],
        ids=lambda estimator: type(estimator).__name__,
    )
    @pytest.mark.parametrize("frame", [np.asarray, pandas_frame])
    def test_NaN_beside_another_mark_is_refused_by_its_place(self, estimator, frame):
        X = np.nan_to_num(holed(), nan=-1)
        X[4, 3] = np.nan
        column = 3 if frame is np.asarray else "'dan'"
        with pytest.raises(
            ValueError, match=rf"X contains NaN in row 4, column {column}\. missing_values=-1"
        ):
            estimator.fit(frame(X))


DATES = [datetime.date(2020, 1, 1 + i) for i in range(30)]


def with_column(values):
    return pandas_frame(holed()).assign(odd=values)


def polars_with(dtype, values=None):
    return pl.DataFrame(holed(), schema=NAMES).with_columns(
        pl.Series("odd", values or [None] * 30, dtype=dtype)
    )


ODD = {
    "strings": lambda: with_column(["1.5"] * 30),
    "strings as objects": lambda: with_column(np.array(["1.5"] * 30, dtype=object)),
    "one string": lambda: with_column(np.array([1.0] * 29 + ["2"], dtype=object)),
    "bytes": lambda: with_column(np.array([b"1.5"] * 30, dtype=object)),
    "string": lambda: with_column(pd.array(["1.5"] * 30, dtype="string")),
    "category": lambda: with_column(pd.Categorical([1, 2] * 15)),
    "datetime": lambda: with_column(pd.date_range("2020", periods=30)),
    "time zone": lambda: with_column(pd.date_range("2020", periods=30, tz="UTC")),
    "timedelta": lambda: with_column(pd.to_timedelta(np.arange(30))),
    "NaT": lambda: with_column(pd.array([pd.NaT] * 30, dtype="datetime64[ns]")),
    "NaT as object": lambda: with_column(np.array([pd.NaT] + [1.0] * 29, dtype=object)),
    "date as object": lambda: with_column(np.array(DATES, dtype=object)),
    "period": lambda: with_column(pd.period_range("2020", periods=30, freq="M")),
    "period as object": lambda: with_column(
        np.array(list(pd.period_range("2020", periods=30, freq="M")), dtype=object)
    ),
    "interval": lambda: with_column(pd.interval_range(0, 30)),
    "arrow timestamp": lambda: with_column(pd.array(DATES, dtype=pd.ArrowDtype(pa.date32()))),
    "arrow string": lambda: with_column(pd.array(["1.5"] * 30, dtype="string[pyarrow]")),
    **{
        f"polars {dtype}": lambda dtype=dtype: polars_with(dtype)
        for dtype in (
            pl.Date,
            pl.Time,
            pl.Duration,
            pl.Datetime,
            pl.String,
            pl.Categorical,
            pl.Binary,
            pl.Object,
            pl.List(pl.Float64),
            pl.Struct({"a": pl.Float64}),
        )
    },
    "arrow date": lambda: polars_with(pl.Date, DATES).to_arrow(),
    "arrow duration": lambda: polars_with(pl.Duration).to_arrow(),
    "arrow strings": lambda: polars_with(pl.String, ["1.5"] * 30).to_arrow(),
}
TAKES_X = {
    "MatrixFactorization": lambda X: quick().fit(X),
    "partial_fit": lambda X: quick().partial_fit(X),
    "NMF": lambda X: positive().fit(X),
    "MiniBatchNMF": lambda X: positive(MiniBatchNMF).fit(X),
    "FactorizationImputer": lambda X: FactorizationImputer().fit(X),
    "RankSearchCV": lambda X: RankSearchCV(quick(), [1], cv=2).fit(X),
    "EntryHoldout": lambda X: EntryHoldout(quick()).fit(X),
    "EntryKFold": lambda X: list(EntryKFold(2).split(X)),
    "observed_entries": observed_entries,
    "hide_entries": lambda X: hide_entries(X, [0]),
    "cross_val_entries": lambda X: cross_val_entries(quick(), X, cv=2),
    "select_rank": select_rank,
}


class TestWhatHoldsNoNumbers:
    @pytest.mark.parametrize("take", TAKES_X)
    @pytest.mark.parametrize("odd", ODD)
    def test_columns_are_refused_by_name_and_alike(self, odd, take):
        X = ODD[odd]()
        with pytest.raises(
            ValueError,
            match=r"^X has columns of categories, strings or dates: 'odd'\. All columns",
        ):
            TAKES_X[take](X)

    @pytest.mark.parametrize("take", TAKES_X)
    @pytest.mark.parametrize("dtype", ["datetime64[ns]", "datetime64[D]", "timedelta64[s]", "U5"])
    def test_arrays_are_refused(self, dtype, take):
        X = np.arange(40).reshape(8, 5).astype(dtype)
        if dtype != "U5":
            X[0, 0] = "NaT"
        with pytest.raises(ValueError, match=r"X has dtype .*must be numeric"):
            TAKES_X[take](X)

    @pytest.mark.parametrize("take", TAKES_X)
    @pytest.mark.parametrize(
        "value",
        ["1.5", b"1.5", pd.NaT, DATES[0], datetime.timedelta(1), np.datetime64("NaT")],
    )
    def test_arrays_of_objects_are_refused_by_the_place(self, value, take):
        X = holed().astype(object)
        X[4, 2] = value
        with pytest.raises(ValueError, match=r"X contains .* in row 4, column 2: all values"):
            TAKES_X[take](X)

    @pytest.mark.parametrize("take", TAKES_X)
    def test_lists_of_strings_are_refused(self, take):
        with pytest.raises(ValueError, match="X has dtype <U"):
            TAKES_X[take]([["1.5", "2"], ["3", "4"], ["5", "6"]])

    @pytest.mark.parametrize("take", sorted(set(TAKES_X) - {"select_rank"}))
    @pytest.mark.parametrize("wrap", [False, True])
    def test_a_query_is_to_be_run_first(self, take, wrap):
        X = pl.DataFrame(holed(), schema=NAMES).lazy()
        if wrap:
            X = pytest.importorskip("narwhals").from_native(X)
        with pytest.raises(ValueError, match=r"^X is a LazyFrame.*call \.collect\(\)"):
            TAKES_X[take](X)

    def test_many_columns_are_not_all_named(self):
        table = pd.DataFrame({f"c{j}": ["a", "b"] for j in range(50)})
        with pytest.raises(ValueError, match="'c0', 'c1', 'c2', 'c3', 'c4' and 45 more"):
            quick().fit(table)

    def test_weights_are_refused_by_their_own_name(self):
        with pytest.raises(ValueError, match=r"entry_weight has columns of cat.*'odd'"):
            quick().fit(holed(), entry_weight=ODD["datetime"]())
        with pytest.raises(ValueError, match="sample_weight has dtype"):
            quick().fit(holed(), sample_weight=np.array(DATES, dtype="datetime64[D]"))
        with pytest.raises(ValueError, match="entry_weight is a LazyFrame"):
            quick().fit(holed(), entry_weight=pl.DataFrame(holed()).lazy())


class TestInfinities:
    @pytest.mark.parametrize("take", sorted(set(TAKES_X) - {"hide_entries"}))
    @pytest.mark.parametrize("value", [np.inf, -np.inf])
    @pytest.mark.parametrize("make", [np.asarray, pandas_frame, sparse.csr_array])
    def test_the_place_is_named(self, make, value, take):
        X = np.nan_to_num(holed(), nan=1.0)
        X[4, 3] = value
        X = make(X)
        call = TAKES_X[take]
        if sparse.issparse(X) and take == "select_rank":
            pytest.skip("takes none")
        if sparse.issparse(X) and take in ("RankSearchCV", "EntryHoldout", "cross_val_entries"):
            pytest.skip("asks for unstored='missing' first")
        has_labels = make is pandas_frame and not take.startswith(
            ("Entry", "observed", "cross", "select")
        )
        column = "'dan'" if has_labels else "(3|'dan')"
        with pytest.raises(
            ValueError, match=rf"X contains infinity.*{value} in row 4, column {column}"
        ):
            call(X)

    @pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array])
    @pytest.mark.parametrize(
        ("value", "word"), [(np.inf, "infinity"), (1e300, r"too large.*1e\+300")]
    )
    def test_those_of_weights_are_named_too(self, value, word, convert):
        E = np.ones((30, 5))
        E[4, 3] = value
        X = holed(np.float32)
        with pytest.raises(ValueError, match=rf"entry_weight contains .*{word}.*row 4, column 3"):
            quick().fit(X, entry_weight=convert(E))
        with pytest.raises(ValueError, match=rf"sample_weight contains .*{word}.* in row 4\."):
            quick().fit(X, sample_weight=E[:, 3])


class TestEntryWeights:
    @pytest.mark.parametrize("convert_X", [np.asarray, sparse.csr_array])
    @pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array, sparse.csc_matrix])
    @pytest.mark.parametrize("unstored", ["zero", "missing"])
    def test_NaN_may_stand_where_X_has_no_entry(self, unstored, convert, convert_X):
        X = holed()
        E = np.where(np.isnan(X), np.nan, np.arange(150.0).reshape(30, 5) + 1)
        if convert_X is sparse.csr_array:
            stored = np.where(np.isnan(X), 0, X) if unstored == "missing" else X
            X = convert_X(stored)
        model = quick(unstored=unstored)
        actual = model.fit(X, entry_weight=convert(E)).components_
        same(actual, quick().fit(holed(), entry_weight=np.nan_to_num(E)).components_)
        rows, columns = np.nonzero(~np.isnan(holed()))
        i, j = int(rows[5]), int(columns[5])
        E[i, j] = np.nan
        with pytest.raises(
            ValueError, match=f"entry_weight contains NaN in row {i}, column {j}, where X has"
        ):
            model.fit(X, entry_weight=convert(E))

    @pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array])
    def test_NaN_where_X_has_an_unstored_zero_is_refused(self, convert):
        X, E = np.eye(6, 4) + (np.arange(24).reshape(6, 4) % 3 == 2), np.ones((6, 4))
        E[3, 0] = np.nan
        with pytest.raises(ValueError, match="entry_weight contains NaN in row 3, column 0"):
            quick().fit(sparse.csr_array(X), entry_weight=convert(E))
        quick(unstored="missing").fit(sparse.csr_array(X), entry_weight=convert(E))

    def test_negative_weights_are_refused_by_their_place(self):
        E = np.ones((30, 5))
        E[4, 3] = -1
        for convert in (np.asarray, sparse.csr_array):
            with pytest.raises(
                ValueError, match="negative values, the first one in row 4, column 3"
            ):
                quick().fit(holed(), entry_weight=convert(E))

    def test_weights_of_samples_are_told_where_they_belong(self):
        with pytest.raises(ValueError, match=r"entry_weight has shape \(30,\).*sample_weight"):
            quick().fit(holed(), entry_weight=np.ones(30))

    @pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array])
    @pytest.mark.parametrize("unstored", ["zero", "missing"])
    def test_rows_without_any_weight_have_zero_codes(self, unstored, convert):
        X = sparse.csr_array(np.nan_to_num(holed()))
        model = quick(unstored=unstored, bias="features", solver="als").fit(X)
        E = np.zeros((2, 5))
        with pytest.warns(UserWarning, match="2 of 2 samples have no observed entry"):
            np.testing.assert_array_equal(model.transform(X[3:5], entry_weight=convert(E)), 0)
        E[1] = 1
        with pytest.warns(UserWarning, match="1 of 2 samples have no observed entry"):
            W = model.transform(X[3:5], entry_weight=convert(E))
        np.testing.assert_array_equal(W[0], 0)
        assert W[1].any()


class TestSmallThings:
    @pytest.mark.parametrize(
        ("convert", "unstored"),
        [(np.asarray, "zero"), (sparse.csr_array, "zero"), (sparse.csr_array, "missing")],
    )
    @pytest.mark.parametrize("return_std", [False, True])
    @pytest.mark.parametrize("bias", [False, "both"])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_predictions_of_nothing_are_nothing(self, dtype, bias, return_std, convert, unstored):
        X = convert(np.nan_to_num(holed(dtype)))
        model = quick(unstored=unstored, bias=bias, solver="als").fit(X)
        predicted = model.predict_entries(X, [], [], return_std=return_std)
        for part in predicted if return_std else [predicted]:
            assert part.shape == (0,)
            assert part.dtype == dtype

    def test_columns_of_a_list_are_rounded(self):
        X = holed().tolist()
        filled = FactorizationImputer(round_features=[0, 2], random_state=0).fit_transform(X)
        np.testing.assert_array_equal(filled[:, [0, 2]], np.rint(filled[:, [0, 2]]))
        assert (filled != np.rint(filled)).any()

    @pytest.mark.parametrize("limits", [(0.2, 0.8), ([0, 1.1, 0, 0, 0], [9, 1.9, 9, 9, 9])])
    def test_rounding_where_no_integer_is_allowed_is_refused(self, limits):
        imputer = FactorizationImputer(
            round_features=["bob"], min_value=limits[0], max_value=limits[1]
        )
        with pytest.raises(ValueError, match=r"'bob': no integer is between"):
            imputer.fit(pandas_frame(holed()))

    @pytest.mark.parametrize("columns", [[5], [-6], ["zoe"]])
    def test_rounding_of_columns_that_there_are_not_is_refused(self, columns):
        with pytest.raises(ValueError, match="round_features="):
            FactorizationImputer(round_features=columns).fit(pandas_frame(holed()))

    def test_rounded_values_stay_within_the_limits(self):
        X = punch_holes(low_rank(60, 5, rank=2, noise=2.0), 0.4)
        imputer = FactorizationImputer(
            round_features=slice(None), min_value=-0.5, max_value=1.5, random_state=0
        )
        imputed = imputer.fit_transform(X)[np.isnan(X)]
        assert set(np.unique(imputed)) <= {0.0, 1.0}

    def test_a_pipeline_takes_masked_arrays_where_its_steps_do(self):
        # A scaler drops masks: what comes first decides.
        pipeline = make_pipeline(FactorizationImputer(random_state=0), StandardScaler(), quick())
        same(pipeline.fit_transform(masked()), pipeline.fit_transform(holed()))


class AstropyLike(np.ndarray):
    """As the masked arrays of astropy are: the mask is beside, and NumPy does not see it."""

    @property
    def unmasked(self):
        return self.view(np.ndarray)


def test_masked_arrays_of_other_makes_keep_their_masks():
    X = masked()
    other = X.data.view(AstropyLike)
    other.mask = X.mask
    same(codes(other), codes(holed()))


@pytest.mark.parametrize("make", [np.asarray, pandas_frame])
def test_splitters_see_what_a_search_sees(make):
    marked = make(np.nan_to_num(holed(), nan=-1))
    folds = EntryKFold(2, random_state=0)
    actual = RankSearchCV(quick(missing_values=-1), [1, 2], cv=folds, random_state=0).fit(marked)
    expected = RankSearchCV(quick(), [1, 2], cv=folds, random_state=0).fit(make(holed()))
    same(actual.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"])


def test_numbers_whose_sum_overflows_are_no_NaN():
    X = np.float32(3e38) * np.sign(low_rank(64, 6)).astype(np.float32)
    with pytest.warns(UserWarning, match="missing_values=-1 does not occur"):
        warn_of_unused_mark(quick(missing_values=-1), X)
    X[0, 0] = np.nan
    warn_of_unused_mark(quick(missing_values=-1), X)


def test_a_shape_is_told_before_what_it_holds():
    for X, message in (
        (np.array([1.0, np.nan, np.inf]), "Expected 2D array"),
        (np.full((2, 3, 4), np.inf), "dim 3"),
    ):
        with pytest.raises(ValueError, match=message):
            quick().fit(X)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, lambda: pa.table({})])
@pytest.mark.parametrize("call", [codes, observed_entries])
def test_frames_without_columns_are_refused(call, make):
    with pytest.raises(ValueError, match=r"X has no columns: 0 feature\(s\)"):
        call(make())


def test_infinities_are_told_beside_NA():
    X = pandas_of_integers(np.where(np.isnan(holed()), np.nan, holed())).astype("Float64")
    X.iloc[4, 3] = np.inf
    with pytest.raises(ValueError, match=r"infinity.* in row 4, column 'dan'"):
        quick().fit(X)


@pytest.mark.parametrize("make", [pandas_frame, polars_of_integers, arrow_table])
def test_infinities_are_told_by_the_names_of_every_frame(make):
    X = np.nan_to_num(holed(), nan=1.0)
    X[4, 3] = np.inf
    table = pandas_frame(X) if make is pandas_frame else pl.DataFrame(X, schema=NAMES)
    with pytest.raises(ValueError, match="in row 4, column 'dan'"):
        quick().fit(table.to_arrow() if make is arrow_table else table)
