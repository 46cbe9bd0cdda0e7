"""Data frames, sparse formats, pipelines, searches, copies: what scikit-learn's users expect."""

import pickle
from io import BytesIO

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from conftest import minutes_on_reference
from grids import pairwise
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

from sklearn_mf import MatrixFactorization
from sklearn_mf.losses import Huber
from sklearn_mf.solvers import ALS, GradientDescent
from sklearn_mf.utils.discovery import all_estimators

pl = pytest.importorskip("polars")

BIASES = [False, "features", "samples", "both"]
NAMES = ["ann", "bob", "cem", "dan", "eva"]
RANK = 2


def data(n_samples=30, seed=0):
    """Rank 2 plus noise and column means, a fifth missing, every row and column observed."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, RANK)) @ rng.standard_normal((RANK, len(NAMES)))
    X += 0.1 * rng.standard_normal(X.shape) + np.arange(len(NAMES))
    X[np.arange(n_samples), rng.integers(0, len(NAMES), n_samples)] = np.nan
    return X


def model(**parameters):
    defaults = {"n_components": RANK, "alpha_W": 0.01, "max_iter": 5, "tol": 0, "random_state": 0}
    return MatrixFactorization(**defaults | parameters)


def pandas_frame(X):
    return pd.DataFrame(X, columns=NAMES, index=[f"row {i}" for i in range(len(X))])


def polars_frame(X):
    return pl.DataFrame(X, schema=NAMES)


def polars_with_nulls(X):
    return polars_frame(X).fill_nan(None)


def pandas_with_NA(X):
    return pandas_frame(X).astype("Float64")


def reads_names_of_polars():
    """scikit-learn 1.6 does not, from polars 2 on."""
    return hasattr(StandardScaler().fit(polars_frame(data())), "feature_names_in_")


needs_names = pytest.mark.skipif(
    not reads_names_of_polars(), reason="this scikit-learn does not read names of this polars"
)
FRAMES = [
    pandas_frame,
    pandas_with_NA,
    pytest.param(polars_frame, marks=needs_names),
    pytest.param(polars_with_nulls, marks=needs_names),
]


def same(actual, expected):
    """Equal but for rounding: frames hold columns together, arrays rows."""
    np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-10)


def columns_of(frame):
    return list(frame.columns)


# The checks fit on frames and transform arrays, and the reverse.
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.filterwarnings("ignore:X has feature names, but")
class TestScikitLearnChecks:
    @pytest.mark.parametrize("bias", [False, "both"])
    @pytest.mark.parametrize(
        "check",
        [
            "check_set_output_transform",
            "check_set_output_transform_pandas",
            "check_set_output_transform_polars",
            "check_global_output_transform_pandas",
            "check_global_set_output_transform_polars",
            "check_transformer_get_feature_names_out",
            "check_transformer_get_feature_names_out_pandas",
            "check_dataframe_column_names_consistency",
            "check_inplace_ensure_writeable",
            "check_param_validation",
        ],
    )
    def test_checks_that_check_estimator_leaves_out(self, check, bias):
        estimator = MatrixFactorization(n_components=1, bias=bias, max_iter=1000)
        getattr(estimator_checks, check)("MatrixFactorization", estimator)

    @pytest.mark.parametrize(("name", "cls"), all_estimators())
    def test_parameters_follow_the_conventions_of_names_and_defaults(self, name, cls):
        estimator_checks.check_parameters_default_constructible(name, cls())


class TestFrames:
    @pytest.mark.parametrize("bias", BIASES)
    @pytest.mark.parametrize("frame", FRAMES)
    def test_frames_give_what_arrays_give(self, frame, bias):
        X = data()
        from_array, from_frame = model(bias=bias), model(bias=bias)
        same(from_frame.fit_transform(frame(X)), from_array.fit_transform(X))
        same(from_frame.components_, from_array.components_)
        same(from_frame.transform(frame(X)), from_array.transform(X))
        assert from_frame.score(frame(X)) == pytest.approx(from_array.score(X))
        assert list(from_frame.feature_names_in_) == NAMES

    def test_pandas_NA_can_be_said_to_be_what_is_missing(self):
        X = data()
        actual = model(missing_values=pd.NA).fit_transform(pandas_with_NA(X))
        same(actual, model().fit_transform(X))

    @pytest.mark.parametrize("dtype", ["Int64", "int64"])
    def test_frames_of_integers_become_floats(self, dtype):
        X = np.arange(40).reshape(8, 5) % 7
        actual = model().fit_transform(pandas_frame(X).astype(dtype))
        same(actual, model().fit_transform(X.astype(float)))

    def test_nullable_integers_with_NA_are_missing_entries(self):
        X = np.arange(40.0).reshape(8, 5) % 7
        X[2, 3] = np.nan
        actual = model().fit_transform(pandas_frame(X).astype("Int64"))
        same(actual, model().fit_transform(X))

    @pytest.mark.parametrize("frame", FRAMES)
    @pytest.mark.parametrize(
        "change", [lambda names: names[::-1], lambda names: [*names[:-1], "z"]]
    )
    @pytest.mark.parametrize("method", ["transform", "score"])
    def test_other_column_names_are_refused(self, method, change, frame):
        X = frame(data())
        fitted = model().fit(X)
        renamed = X.copy() if isinstance(X, pd.DataFrame) else X.clone()
        renamed.columns = change(NAMES)
        with pytest.raises(ValueError, match="feature names should match"):
            getattr(fitted, method)(renamed)

    def test_an_array_after_a_frame_is_warned_of(self):
        fitted = model().fit(pandas_frame(data()))
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            fitted.transform(data())

    def test_a_refit_on_an_array_forgets_the_names(self):
        fitted = model().fit(pandas_frame(data())).fit(data())
        assert not hasattr(fitted, "feature_names_in_")


CONTAINERS = {"pandas": pd.DataFrame, "polars": pl.DataFrame}


class TestSetOutput:
    @pytest.mark.parametrize("bias", BIASES)
    @pytest.mark.parametrize("frame", [np.asarray, *FRAMES])
    @pytest.mark.parametrize("output", CONTAINERS)
    def test_codes_and_reconstructions_are_frames(self, output, frame, bias):
        X, plain = data(), model(bias=bias)
        framed = model(bias=bias).set_output(transform=output)
        W, expected = framed.fit_transform(frame(X)), plain.fit_transform(X)
        again = framed.transform(frame(X))
        reconstruction = framed.inverse_transform(W)
        width = RANK + (bias in ("samples", "both"))
        assert isinstance(W, CONTAINERS[output])
        assert isinstance(again, CONTAINERS[output])
        assert isinstance(reconstruction, CONTAINERS[output])
        assert columns_of(W) == [f"matrixfactorization{i}" for i in range(width)]
        assert columns_of(again) == list(framed.get_feature_names_out())
        names = [f"x{i}" for i in range(len(NAMES))] if frame is np.asarray else NAMES
        assert columns_of(reconstruction) == names
        same(W.to_numpy(), expected)
        same(reconstruction.to_numpy(), plain.inverse_transform(expected))

    def test_the_index_survives_the_round_trip(self):
        X = pandas_frame(data())
        fitted = model().set_output(transform="pandas").fit(X)
        W = fitted.transform(X)
        pd.testing.assert_index_equal(W.index, X.index)
        pd.testing.assert_index_equal(fitted.inverse_transform(W).index, X.index)

    def test_codes_in_an_array_give_a_frame_too(self):
        X = pandas_frame(data())
        fitted = model().set_output(transform="pandas").fit(X)
        reconstruction = fitted.inverse_transform(fitted.transform(X).to_numpy())
        assert columns_of(reconstruction) == NAMES
        assert list(reconstruction.index) == list(range(len(X)))

    def test_arrays_come_out_unless_asked_otherwise(self):
        X = pandas_frame(data())
        fitted = model().fit(X)
        W = fitted.transform(X)
        assert type(W) is np.ndarray
        assert type(fitted.inverse_transform(W)) is np.ndarray
        assert type(fitted.inverse_transform(pd.DataFrame(W))) is np.ndarray

    def test_the_global_setting_reaches_both_ways(self):
        X = pandas_frame(data())
        with sklearn.config_context(transform_output="pandas"):
            fitted = model().fit(X)
            W = fitted.transform(X)
            reconstruction = fitted.inverse_transform(W)
        assert columns_of(W) == ["matrixfactorization0", "matrixfactorization1"]
        assert columns_of(reconstruction) == NAMES

    @pytest.mark.parametrize("bias", ["samples", "both"])
    def test_the_sample_bias_is_one_more_column_at_the_end(self, bias):
        fitted = model(bias=bias).fit(data())
        W = fitted.transform(data())
        assert W.shape[1] == RANK + 1
        assert fitted.get_feature_names_out()[-1] == f"matrixfactorization{RANK}"
        product = W[:, :RANK] @ fitted.components_
        np.testing.assert_allclose(
            fitted.inverse_transform(W), product + W[:, RANK:] + fitted.feature_bias_
        )


class TestPipelinesAndSearches:
    @minutes_on_reference
    @pytest.mark.parametrize("frame", [np.asarray, pandas_frame])
    def test_a_scaled_pipeline_reconstructs_in_the_units_of_the_data(self, frame):
        X = frame(data(n_samples=60))
        pipeline = make_pipeline(StandardScaler(), model(max_iter=200, alpha_W=0))
        reconstruction = pipeline.inverse_transform(pipeline.fit_transform(X))
        values = np.asarray(X)
        scaler = StandardScaler().fit(values)
        scaled = (values - scaler.mean_) / scaler.scale_
        alone = model(max_iter=200, alpha_W=0).fit(scaled)
        expected = alone.inverse_transform(alone.transform(scaled)) * scaler.scale_ + scaler.mean_
        np.testing.assert_allclose(reconstruction, expected)
        observed = ~np.isnan(values)
        error = np.sqrt(np.mean((reconstruction - values)[observed] ** 2))
        assert error < 0.15

    @pytest.mark.parametrize(
        ("grid", "n_candidates"),
        [
            ({"mf__n_components": [1, 2, 4]}, 3),
            ({"mf__solver": ["als", "gd", GradientDescent(momentum=0.9)]}, 3),
            (
                {
                    "mf__solver": [GradientDescent()],
                    "mf__solver__momentum": [0.0, 0.5],
                    "mf__solver__learning_rate": ["auto", 1e-3],
                },
                4,
            ),
            ({"mf__loss": ["squared", Huber(), Huber(delta=0.1)]}, 3),
            ({"mf__bias": BIASES}, 4),
        ],
        ids=["n_components", "solver", "solver's parameters", "loss", "bias"],
    )
    def test_a_grid_search_scores_every_candidate(self, grid, n_candidates):
        pipeline = Pipeline([("scale", StandardScaler()), ("mf", model())])
        search = GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(data())
        scores = search.cv_results_["mean_test_score"]
        assert len(scores) == n_candidates
        assert np.isfinite(scores).all()
        assert scores.max() <= 1
        assert search.transform(data()).shape[0] == 30

    @minutes_on_reference
    def test_a_grid_search_finds_the_rank_of_the_data(self):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((200, 3)) @ rng.standard_normal((3, 20))
        X += 0.3 * rng.standard_normal(X.shape)
        X[rng.random(X.shape) < 0.2] = np.nan
        search = GridSearchCV(model(max_iter=10), {"n_components": [1, 2, 3, 5, 8]}, cv=3).fit(X)
        assert search.best_params_ == {"n_components": 3}

    def test_nested_parameters_reach_the_solver(self):
        estimator = model(solver=GradientDescent()).set_params(solver__momentum=0.25)
        assert estimator.solver.momentum == 0.25
        assert estimator.fit(data()).solver_.momentum == 0.25

    def test_a_search_changes_no_object_in_its_grid(self):
        solvers = [GradientDescent(), ALS()]
        GridSearchCV(model(), {"solver": solvers}, cv=3, error_score="raise").fit(data())
        assert solvers[0].get_params() == GradientDescent().get_params()
        assert [vars(solver) for solver in solvers] == [vars(GradientDescent()), vars(ALS())]


def through_pickle(estimator):
    return pickle.loads(pickle.dumps(estimator))


def through_joblib(estimator):
    buffer = BytesIO()
    joblib.dump(estimator, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


class TestCopies:
    @pytest.mark.parametrize("copy", [through_pickle, through_joblib])
    @pytest.mark.parametrize("solver", ["als", GradientDescent(momentum=0.5)])
    def test_a_stored_model_answers_as_before(self, solver, copy):
        X = data()
        fitted = model(solver=solver, loss=Huber(2.0), bias="both").fit(X)
        stored = copy(fitted)
        W = fitted.transform(X)
        np.testing.assert_array_equal(stored.transform(X), W)
        np.testing.assert_array_equal(stored.inverse_transform(W), fitted.inverse_transform(W))
        assert stored.score(X) == fitted.score(X)
        assert stored.loss_curve_ == fitted.loss_curve_

    def test_a_clone_has_the_parameters_and_not_the_fit(self):
        fitted = model(solver=GradientDescent(momentum=0.5), loss=Huber(2.0)).fit(data())
        copy = clone(fitted)
        assert copy.solver is not fitted.solver
        assert copy.solver.get_params() == fitted.solver.get_params()
        assert copy.loss.delta == 2.0
        assert not [name for name in vars(copy) if name.endswith("_")]

    def test_the_solver_that_was_handed_over_is_not_changed_by_a_fit(self):
        solver = GradientDescent(momentum=0.5)
        before = dict(vars(solver))
        model(solver=solver).fit(data())
        assert vars(solver) == before

    @pytest.mark.parametrize("fit", [False, True])
    def test_notebooks_show_the_estimator(self, fit):
        estimator = model(solver=GradientDescent(momentum=0.5))
        html = (estimator.fit(data()) if fit else estimator)._repr_html_()
        assert "MatrixFactorization" in html
        assert "GradientDescent" in html
        assert ("Not fitted" in html) is (not fit)


def entry_weights(convert=np.asarray):
    return convert(np.random.default_rng(1).integers(0, 3, data().shape).astype(float))


class TestMetadata:
    @minutes_on_reference
    @pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array, sparse.csr_matrix])
    @pytest.mark.parametrize("routing", [False, True])
    @pytest.mark.filterwarnings("ignore:The scoring .* does not support sample_weight")
    def test_a_search_slices_weights_with_their_samples(self, routing, convert):
        X, E, s = data(), entry_weights(convert), np.random.default_rng(2).uniform(0.1, 3, 30)
        folds = KFold(3)
        with sklearn.config_context(enable_metadata_routing=routing):
            estimator = model()
            if routing:
                estimator.set_fit_request(sample_weight=True, entry_weight=True)
                estimator.set_score_request(entry_weight=False)
            search = GridSearchCV(
                estimator, {"n_components": [1, 2]}, cv=folds, refit=False, error_score="raise"
            ).fit(X, sample_weight=s, entry_weight=E)
        for i, rank in enumerate(search.cv_results_["param_n_components"]):
            for fold, (train, test) in enumerate(folds.split(X)):
                by_hand = model(n_components=int(rank)).fit(
                    X[train], sample_weight=s[train], entry_weight=E[train]
                )
                found = search.cv_results_[f"split{fold}_test_score"][i]
                assert found == pytest.approx(by_hand.score(X[test]), rel=1e-12)
                unweighted = model(n_components=int(rank)).fit(X[train])
                assert found != pytest.approx(unweighted.score(X[test]), rel=1e-6)

    def test_weights_reach_the_last_step_of_a_pipeline_without_routing(self):
        X, E = data(), entry_weights()
        pipeline = Pipeline(
            [("scale", StandardScaler(with_mean=False, with_std=False)), ("mf", model())]
        )
        pipeline.fit(X, mf__entry_weight=E)
        np.testing.assert_array_equal(
            pipeline["mf"].components_, model().fit(X, entry_weight=E).components_
        )

    def test_weights_reach_a_step_in_the_middle_with_routing(self):
        X, E, s = data(), entry_weights(), np.linspace(0.1, 2, 30)
        expected = model().fit(X, sample_weight=s, entry_weight=E).components_
        with sklearn.config_context(enable_metadata_routing=True):
            step = model().set_fit_request(sample_weight=True, entry_weight=True)
            step.set_transform_request(entry_weight=True)
            scaler = StandardScaler().set_fit_request(sample_weight=False)
            pipeline = make_pipeline(step, scaler)
            pipeline.fit(X, sample_weight=s, entry_weight=E)
        np.testing.assert_array_equal(pipeline[0].components_, expected)

    @pytest.mark.parametrize("name", ["sample_weight", "entry_weight"])
    def test_weights_that_nobody_asked_for_are_refused(self, name):
        weight = {"sample_weight": np.ones(30), "entry_weight": entry_weights()}[name]
        with sklearn.config_context(enable_metadata_routing=True):
            search = GridSearchCV(model(), {"n_components": [1]}, cv=3)
            with pytest.raises(UnsetMetadataPassedError, match=name):
                search.fit(data(), **{name: weight})

    @pytest.mark.parametrize("request_value", [False, True])
    def test_requests_are_kept_by_clones(self, request_value):
        with sklearn.config_context(enable_metadata_routing=True):
            estimator = model().set_fit_request(entry_weight=request_value)
            requests = clone(estimator).get_metadata_routing().fit.requests
        assert requests == {"sample_weight": None, "entry_weight": request_value}


KINDS = ("array", "matrix")


def with_wide_indices(cls):
    def convert(X):
        S = cls(X)
        S.indices, S.indptr = S.indices.astype(np.int64), S.indptr.astype(np.int64)
        return S

    convert.__name__ = f"{cls.__name__} int64"
    return convert


def with_strided_arrays(cls):
    def convert(X):
        S = cls(X)
        data, indices, indptr = (a.repeat(2)[::2] for a in (S.data, S.indices, S.indptr))
        return cls((data, indices, indptr), shape=S.shape)

    convert.__name__ = f"{cls.__name__} strided"
    return convert


FORMATS = [
    *(getattr(sparse, f"{name}_{kind}") for name in ("csr", "csc", "coo") for kind in KINDS),
    *map(with_wide_indices, (sparse.csr_array, sparse.csc_array, sparse.csr_matrix)),
    *map(with_strided_arrays, (sparse.csr_array, sparse.csc_array)),
]


def sparse_data(seed=0):
    """Half zeros, some NaN, no row or column without an entry."""
    rng = np.random.default_rng(seed)
    X = data(seed=seed) * (rng.random((30, len(NAMES))) < 0.6)
    X[np.arange(30), np.arange(30) % len(NAMES)] = 1 + rng.random(30)
    return X


class TestFormats:
    @minutes_on_reference
    @pytest.mark.parametrize(
        ("convert", "bias", "loss", "unstored"),
        pairwise(FORMATS, BIASES, ["squared", "huber"], ["zero", "missing"]),
    )
    def test_sparse_formats_give_what_dense_data_give(self, convert, unstored, loss, bias):
        X = sparse_data()
        S = convert(X)
        if unstored == "missing":
            X = np.where(X == 0, np.nan, X)
        on_dense = model(loss=loss, bias=bias, solver="als").fit(X)
        on_sparse = model(loss=loss, bias=bias, solver="als", unstored=unstored).fit(S)
        W = on_dense.transform(X)
        expected = on_dense.inverse_transform(W)
        actual = on_sparse.inverse_transform(on_sparse.transform(S))
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(on_sparse.transform(S), W, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(on_sparse.loss_curve_, on_dense.loss_curve_, rtol=1e-8)
        assert on_sparse.reconstruction_err_ == pytest.approx(on_dense.reconstruction_err_)

    @pytest.mark.parametrize("convert", FORMATS, ids=lambda convert: convert.__name__)
    @pytest.mark.parametrize("unstored", ["zero", "missing"])
    def test_predictions_of_entries_are_those_of_the_reconstruction(self, unstored, convert):
        X = convert(sparse_data())
        fitted = model(unstored=unstored, solver="als", bias="both").fit(X)
        rows, columns = [4, 0, 4, 29], [3, 3, 0, 4]
        reconstruction = fitted.inverse_transform(fitted.transform(X))
        np.testing.assert_allclose(
            fitted.predict_entries(X, rows, columns), reconstruction[rows, columns]
        )

    @pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array, sparse.csc_matrix])
    @pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, bool])
    def test_integers_and_booleans_become_floats(self, dtype, convert):
        X = (np.arange(40).reshape(8, 5) ** 2 % 7).astype(dtype)
        W = model().fit_transform(convert(X))
        assert W.dtype == np.float64
        same(W, model().fit_transform(X.astype(float)))

    @pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64])
    @pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array, sparse.csc_matrix])
    @pytest.mark.parametrize("marker", [-1, -1.0])
    def test_a_number_may_mark_missing_entries(self, marker, convert, dtype):
        X = (np.arange(80).reshape(16, 5) ** 2 % 7).astype(dtype)
        X[np.arange(16), np.arange(16) % 5] = marker
        with_nan = np.where(marker == X, np.nan, X).astype(dtype if dtype == np.float32 else float)
        actual = model(missing_values=marker).fit(convert(X))
        expected = model().fit(convert(with_nan))
        np.testing.assert_array_equal(actual.components_, expected.components_)
        np.testing.assert_array_equal(
            actual.transform(convert(X)), expected.transform(convert(with_nan))
        )
        assert actual.score(convert(X)) == expected.score(convert(with_nan))

    def test_stored_zeros_are_observations_either_way(self):
        X = sparse.csr_array(sparse_data())
        X.data[::3] = 0
        dense = X.toarray()
        pattern = sparse.csr_array((np.ones_like(X.data), X.indices, X.indptr), X.shape).toarray()
        for unstored, expected in (("zero", dense), ("missing", np.where(pattern, dense, np.nan))):
            actual = model(unstored=unstored, solver="als").fit(X)
            np.testing.assert_allclose(
                actual.loss_curve_, model(solver="als").fit(expected).loss_curve_
            )

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("unstored", ["zero", "missing"])
    def test_duplicates_add_up(self, unstored, kind):
        rng = np.random.default_rng(0)
        rows, columns = rng.integers(0, 12, 80), rng.integers(0, 5, 80)
        coo = getattr(sparse, f"coo_{kind}")((rng.standard_normal(80), (rows, columns)), (12, 5))
        dense = np.zeros((12, 5))
        np.add.at(dense, (rows, columns), coo.data)
        if unstored == "missing":
            dense[dense == 0] = np.nan
        actual = model(unstored=unstored, solver="als").fit(coo)
        np.testing.assert_allclose(actual.loss_curve_, model(solver="als").fit(dense).loss_curve_)


@pytest.mark.parametrize("method", ["fit", "transform", "score"])
def test_a_frame_of_weights_has_the_columns_of_the_data(method):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(20, 3)), columns=list("abc"))
    weights = pd.DataFrame(rng.random((20, 3)), columns=list("abc"))
    model = MatrixFactorization(2, alpha_W=0.1, random_state=0).fit(X, entry_weight=weights)
    getattr(model, method)(X, entry_weight=weights)
    with pytest.raises(ValueError, match="entry_weight has the column 'c' instead of 'a'"):
        getattr(model, method)(X, entry_weight=weights[list("cba")])
