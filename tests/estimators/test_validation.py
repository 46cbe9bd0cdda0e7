"""Bad input: every error names the parameter or the problem, and leaves nothing half fitted."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from sklearn_mf import MatrixFactorization
from sklearn_mf.losses import BaseLoss, Huber
from sklearn_mf.solvers import ALS, LBFGS, SGD, Adam, GradientDescent, Spectral

N_SAMPLES, N_FEATURES, RANK = 12, 6, 2


def data(missing=False, seed=0):
    X = np.random.default_rng(seed).standard_normal((N_SAMPLES, N_FEATURES))
    if missing:
        X[np.arange(N_SAMPLES), np.arange(N_SAMPLES) % N_FEATURES] = np.nan
    return X


def model(**parameters):
    return MatrixFactorization(**{"n_components": RANK, "random_state": 0} | parameters)


def with_value(X, value):
    X = X.copy()
    X[1, 2] = value
    return X


def fitted_attributes(estimator):
    return [name for name in vars(estimator) if name.endswith("_") and not name.startswith("_")]


def refuses(match, call, *args, **kwargs):
    with pytest.raises(ValueError, match=match):
        call(*args, **kwargs)


class NoBound(BaseLoss):
    """The squared loss, without the bound that alternating least squares needs."""

    name = "no bound"

    def value(self, x, m):
        return 0.5 * (m - x) ** 2

    def gradient(self, x, m):
        return m - x


class TestX:
    @pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array, sparse.csc_matrix])
    @pytest.mark.parametrize("method", ["transform", "score"])
    @pytest.mark.parametrize("n_features", [N_FEATURES - 1, N_FEATURES + 1])
    def test_methods_refuse_another_number_of_features(self, method, n_features, convert):
        fitted = model().fit(data())
        wrong = convert(np.ones((3, n_features)))
        message = f"X has {n_features} features, but MatrixFactorization is expecting {N_FEATURES}"
        refuses(message, getattr(fitted, method), wrong)

    @pytest.mark.parametrize("n_features", [N_FEATURES - 1, N_FEATURES + 1])
    def test_predict_entries_refuses_another_number_of_features(self, n_features):
        wrong = np.ones((3, n_features))
        refuses(
            f"X has {n_features} features", model().fit(data()).predict_entries, wrong, [0], [0]
        )

    @pytest.mark.parametrize("unstored", ["zero", "missing"])
    @pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array, sparse.csc_array])
    @pytest.mark.parametrize("value", [np.inf, -np.inf])
    @pytest.mark.parametrize("method", ["fit", "fit_transform", "transform", "score"])
    def test_infinity_is_refused(self, method, value, convert, unstored):
        estimator = model(unstored=unstored, solver="als")
        if method in ("transform", "score"):
            estimator.set_params(unstored="zero").fit(data()).set_params(unstored=unstored)
        refuses(
            "X contains infinity", getattr(estimator, method), convert(with_value(data(), value))
        )

    @pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array])
    def test_infinity_is_refused_beside_nan(self, convert):
        refuses("X contains infinity", model().fit, convert(with_value(data(missing=True), np.inf)))

    @pytest.mark.parametrize(
        ("X", "message"),
        [
            (np.full((4, 3), "text"), "X has dtype <U4, but must be numeric"),
            (np.ones((4, 3), dtype=complex), "Complex data not supported"),
            (sparse.csr_array(np.ones((4, 3), dtype=complex)), "Complex data not supported"),
            (np.empty((0, 3)), r"0 sample\(s\)"),
            (np.empty((4, 0)), r"0 feature\(s\)"),
            (sparse.csr_matrix((0, 3)), r"0 sample\(s\)"),
            (sparse.csr_matrix((4, 0)), r"0 feature\(s\)"),
            (np.ones(4), "Expected 2D array, got 1D array"),
            (np.float64(4), "Expected 2D array, got scalar array"),
            (np.ones((2, 3, 4)), "dim 3"),
        ],
        ids=[
            "strings",
            "complex",
            "complex sparse",
            "no samples",
            "no features",
            "no samples sparse",
            "no features sparse",
            "1-d",
            "scalar",
            "3-d",
        ],
    )
    def test_unfit_arrays_are_refused_before_anything_is_set(self, X, message):
        estimator = model(n_components=1)
        refuses(message, estimator.fit, X)
        assert fitted_attributes(estimator) == []

    def test_transform_refuses_a_single_sample_without_its_axis(self):
        refuses("Expected 2D array, got 1D array", model().fit(data()).transform, data()[0])

    @pytest.mark.parametrize(
        ("X", "parameters"),
        [
            (np.full((4, 3), np.nan), {}),
            (sparse.csr_array((4, 3)), {"unstored": "missing"}),
            (np.full((4, 3), -1.0), {"missing_values": -1}),
        ],
        ids=["dense", "sparse", "marker"],
    )
    @pytest.mark.parametrize("solver", ["auto", "als", "gd"])
    def test_data_without_any_entry_are_refused(self, X, parameters, solver):
        estimator = model(n_components=1, solver=solver, **parameters)
        refuses("no observed entry", estimator.fit, X)
        assert not hasattr(estimator, "components_")

    @pytest.mark.parametrize(
        "weight", [{"sample_weight": np.zeros(N_SAMPLES)}, {"entry_weight": np.zeros_like(data())}]
    )
    def test_data_without_any_weight_are_refused(self, weight):
        # scikit-learn 1.9 refuses sample weights of zero with words of its own.
        message = "no observed entry|at least one non-zero number"
        refuses(message, model(solver="als").fit, data(), **weight)

    @pytest.mark.parametrize("missing_values", [0, 0.0])
    def test_zero_cannot_mark_missing_entries_of_sparse_data(self, missing_values):
        estimator = model(missing_values=missing_values)
        refuses("unstored='missing'", estimator.fit, sparse.csr_array(data()))

    def test_zero_can_mark_missing_entries_of_dense_data(self):
        X = data(missing=True)
        expected = model().fit(X).components_
        actual = model(missing_values=0).fit(np.nan_to_num(X)).components_
        np.testing.assert_array_equal(actual, expected)

    def test_nan_is_refused_where_something_else_marks_missing_entries(self):
        refuses("X contains NaN", model(missing_values=-1).fit, data(missing=True))


BAD_PARAMETERS = [
    ("penalty", "smooth"),
    ("penalty", 0.1),
    ("n_components", 0),
    ("n_components", -1),
    ("n_components", 2.0),
    ("n_components", "best"),
    ("loss", "cubic"),
    ("loss", Huber),
    ("bias", True),
    ("bias", "rows"),
    ("bias", None),
    ("positive", "X"),
    ("positive", 1),
    ("positive", None),
    ("alpha_W", -0.1),
    ("alpha_W", np.nan),
    ("alpha_W", np.inf),
    ("alpha_W", "same"),
    ("alpha_W", None),
    ("alpha_H", -0.1),
    ("alpha_H", "other"),
    ("alpha_H", None),
    ("l1_ratio", -0.1),
    ("l1_ratio", 1.1),
    ("l1_ratio", None),
    ("alpha_scaling", -1),
    ("alpha_scaling", "auto"),
    ("missing_values", "nan"),
    ("missing_values", None),
    ("unstored", "absent"),
    ("unstored", False),
    ("solver", "newton"),
    ("solver", ALS),
    ("solver", None),
    ("init", "zeros"),
    ("init", None),
    ("init", 3),
    ("max_iter", 0),
    ("max_iter", 1.5),
    ("tol", -1e-4),
    ("tol", None),
    ("early_stopping", "yes"),
    ("validation_fraction", 0.0),
    ("validation_fraction", 1.0),
    ("validation_fraction", 2),
    ("n_iter_no_change", 0),
    ("n_iter_no_change", 1.5),
    ("warm_start", "yes"),
    ("forget_factor", 0.0),
    ("forget_factor", 1.1),
    ("forget_factor", None),
    ("whiten", 2),
    ("random_state", "seed"),
    ("verbose", -1),
]


class TestParameters:
    @pytest.mark.parametrize(("name", "value"), BAD_PARAMETERS)
    @pytest.mark.parametrize("method", ["fit", "fit_transform", "partial_fit"])
    def test_a_bad_value_is_refused_by_name_before_anything_is_set(self, method, name, value):
        estimator = model(**{name: value})
        refuses(f"'{name}' parameter of MatrixFactorization", getattr(estimator, method), data())
        assert fitted_attributes(estimator) == []

    def test_every_parameter_has_a_bad_value_above(self):
        assert {name for name, _ in BAD_PARAMETERS} == set(MatrixFactorization().get_params())

    def test_the_constructor_only_assigns(self):
        values = {name: object() for name in MatrixFactorization().get_params()}
        estimator = MatrixFactorization(**values)
        assert estimator.get_params(deep=False) == values
        assert vars(estimator) == values

    @pytest.mark.parametrize("cls", [GradientDescent, Huber])
    def test_the_constructors_of_solvers_and_losses_only_assign(self, cls):
        values = {name: object() for name in cls().get_params()}
        assert values
        assert vars(cls(**values)) == values

    @pytest.mark.parametrize("shape", [(N_SAMPLES, N_FEATURES), (N_FEATURES, N_SAMPLES)])
    def test_too_many_components_are_refused_with_the_limit(self, shape):
        estimator = model(n_components=N_FEATURES + 1)
        refuses(f"n_components={N_FEATURES + 1} .*={N_FEATURES}", estimator.fit, np.ones(shape))

    @pytest.mark.parametrize("alphas", [(0.1, 0), (0, 0.1)])
    def test_svd_refuses_one_penalty_without_the_other(self, alphas):
        estimator = model(solver="svd", alpha_W=alphas[0], alpha_H=alphas[1])
        refuses("svd.*alpha_W and alpha_H", estimator.fit, data())

    @pytest.mark.parametrize("solver", ["svd", Spectral()], ids=["name", "object"])
    @pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array])
    def test_svd_refuses_nan(self, solver, convert):
        estimator = model(solver=solver)
        refuses("X contains NaN.*als", estimator.fit, convert(data(missing=True)))

    @pytest.mark.parametrize(
        ("X", "parameters"),
        [
            (with_value(data(), -1), {"missing_values": -1}),
            (sparse.csr_array(with_value(data(), 0)), {"unstored": "missing"}),
        ],
        ids=["marker", "unstored"],
    )
    def test_svd_refuses_missing_entries_of_every_kind(self, X, parameters):
        refuses("svd.*complete", model(solver="svd", **parameters).fit, X)

    @pytest.mark.parametrize("bias", ["samples", "both"])
    def test_svd_refuses_sample_biases(self, bias):
        refuses("svd.*bias", model(solver="svd", bias=bias).fit, data())

    @pytest.mark.parametrize("weight", [np.ones_like(data()), sparse.csr_array(np.ones((12, 6)))])
    def test_svd_refuses_entry_weights(self, weight):
        refuses("svd.*entry weights", model(solver="svd").fit, data(), entry_weight=weight)

    def test_svd_refuses_other_losses(self):
        refuses("svd.*loss", model(solver="svd", loss="huber").fit, data())

    @pytest.mark.parametrize("solver", ["als", ALS()], ids=["name", "object"])
    def test_a_loss_that_the_solver_cannot_serve_is_named_with_solvers_that_can(self, solver):
        estimator = model(loss=NoBound(), solver=solver)
        with pytest.raises(ValueError, match=r"als.*quadratic.*NoBound") as error:
            estimator.fit(data(missing=True))
        assert "'gd'" in str(error.value).split("Use one of", 1)[1]

    def test_the_refusal_of_a_loss_recommends_no_solver_that_refuses_it_too(self):
        with pytest.raises(ValueError, match="NoBound") as error:
            model(loss=NoBound(), solver="als").fit(data())
        recommended = str(error.value).split("Use one of", 1)[1]
        for name in ("svd", "als"):
            assert f"'{name}'" not in recommended

    def test_a_loss_without_a_quadratic_bound_can_be_fitted_and_transformed(self):
        X = data()
        custom = model(loss=NoBound(), max_iter=2000, tol=1e-9).fit(X)
        squared = model(solver="svd").fit(X)
        assert custom.solver_.name == "lbfgs"
        np.testing.assert_allclose(
            custom.inverse_transform(custom.transform(X)),
            squared.inverse_transform(squared.transform(X)),
            atol=1e-3,
        )


class TestWeights:
    @pytest.mark.parametrize(
        ("weight", "message"),
        [
            (np.ones(N_SAMPLES + 1), "sample_weight.shape"),
            (np.ones((N_SAMPLES, 2)), "[Ss]ample.weight.* must be 1D"),
            (with_value(np.ones((2, 3)), -1)[1].repeat(4), "Negative values.*`sample_weight`"),
            (np.full(N_SAMPLES, np.nan), "sample_weight contains NaN"),
            (np.full(N_SAMPLES, np.inf), "sample_weight contains infinity"),
        ],
        ids=["length", "2-d", "negative", "nan", "infinity"],
    )
    def test_bad_sample_weights_are_refused_by_name(self, weight, message):
        refuses(message, model(solver="als").fit, data(missing=True), sample_weight=weight)

    @pytest.mark.parametrize(
        ("weight", "message"),
        [
            (np.ones((N_SAMPLES, N_FEATURES + 1)), "entry_weight has shape"),
            (np.ones((N_SAMPLES - 1, N_FEATURES)), "entry_weight has shape"),
            (np.ones((N_FEATURES, N_SAMPLES)), "entry_weight has shape"),
            (with_value(np.ones((N_SAMPLES, N_FEATURES)), -1), "entry_weight has negative"),
            (with_value(np.ones((N_SAMPLES, N_FEATURES)), np.nan), "entry_weight contains NaN"),
            (with_value(np.ones((N_SAMPLES, N_FEATURES)), np.inf), "entry_weight contains inf"),
        ],
        ids=["columns", "rows", "transposed", "negative", "nan", "infinity"],
    )
    @pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array, sparse.coo_matrix])
    @pytest.mark.parametrize("method", ["fit", "transform"])
    def test_bad_entry_weights_are_refused_by_name(self, method, convert, weight, message):
        estimator = model(solver="als")
        if method == "transform":
            estimator.fit(data())
        refuses(message, getattr(estimator, method), data(), entry_weight=convert(weight))

    def test_entry_weights_without_their_second_axis_are_refused(self):
        refuses("2D array", model().fit, data(), entry_weight=np.ones(N_SAMPLES))


class TestSolversAndLosses:
    @pytest.mark.parametrize(
        ("cls", "name", "value"),
        [
            (ALS, "inner", "lu"),
            (ALS, "memory", -1),
            (Adam, "learning_rate", 0),
            (Adam, "learning_rate", "fast"),
            (Adam, "schedule", "linear"),
            (Adam, "beta_1", 1.0),
            (Adam, "beta_2", -0.1),
            (Adam, "epsilon", 0),
            (Adam, "weight_decay", -1),
            (Adam, "batch_size", 0),
            (Adam, "batches", "columns"),
            (GradientDescent, "learning_rate", 0),
            (GradientDescent, "learning_rate", -0.1),
            (GradientDescent, "learning_rate", "fast"),
            (GradientDescent, "learning_rate", None),
            (GradientDescent, "momentum", 1.0),
            (GradientDescent, "momentum", -0.1),
            (GradientDescent, "momentum", "best"),
            (GradientDescent, "nesterov", "yes"),
            (GradientDescent, "preconditioned", "yes"),
            (LBFGS, "memory", 0),
            (LBFGS, "projected", "rows"),
            (SGD, "learning_rate", 0),
            (SGD, "schedule", "linear"),
            (SGD, "power_t", -1),
        ],
    )
    def test_solvers_refuse_bad_parameters_by_name(self, cls, name, value):
        estimator = model(solver=cls(**{name: value}))
        refuses(f"'{name}' parameter of {cls.__name__}", estimator.fit, data())
        assert not hasattr(estimator, "components_")

    @pytest.mark.parametrize("parameters", [{"positive": True}, {"alpha_W": 1, "l1_ratio": 0.5}])
    def test_svd_refuses_what_is_not_smooth(self, parameters):
        refuses("svd.*positive=False and l1_ratio=0", model(solver="svd", **parameters).fit, data())

    @pytest.mark.parametrize("inner", ["cholesky", "cg"])
    def test_exact_rows_are_refused_for_positive_factors(self, inner):
        refuses("inner='cd'", model(solver=ALS(inner=inner), positive=True).fit, data())

    def test_a_start_with_negative_components_is_refused_for_positive_ones(self):
        H = -np.ones((RANK, N_FEATURES))
        refuses("init has negative values.*positive='H'", model(init=H, positive="H").fit, data())

    @pytest.mark.parametrize("delta", [0, -1.0, np.nan, "one", None])
    def test_huber_refuses_a_delta_that_is_not_positive(self, delta):
        estimator = model(loss=Huber(delta=delta))
        refuses("'delta' parameter of Huber", estimator.fit, data())
        assert not hasattr(estimator, "components_")

    @pytest.mark.parametrize("bias", [False, "features", "samples", "both"])
    @pytest.mark.parametrize("missing", [False, True])
    @pytest.mark.parametrize("momentum", [0.0, 0.9])
    def test_a_diverging_step_is_refused_and_leaves_nothing_fitted(self, momentum, missing, bias):
        solver = GradientDescent(learning_rate=1e3, momentum=momentum)
        estimator = model(solver=solver, bias=bias)
        refuses("diverged.*learning_rate", estimator.fit, data(missing))
        assert not hasattr(estimator, "components_")

    def test_a_diverging_refit_keeps_the_model_of_before(self):
        estimator = model(solver="gd", max_iter=500, tol=1e-3).fit(data())
        before = estimator.components_.copy()
        estimator.set_params(solver=GradientDescent(learning_rate=1e3))
        refuses("learning_rate", estimator.fit, data())
        np.testing.assert_array_equal(estimator.components_, before)

    def test_few_iterations_are_reported(self):
        with pytest.warns(ConvergenceWarning, match="max_iter=2 "):
            model(solver="als", max_iter=2, tol=1e-12).fit(data(missing=True))

    def test_no_tolerance_means_no_report(self):
        fitted = model(solver="als", max_iter=2, tol=0).fit(data(missing=True))
        assert fitted.n_iter_ == 2


class TestInit:
    @pytest.mark.parametrize("shape", [(RANK + 1, N_FEATURES), (RANK, 3), (N_FEATURES, RANK)])
    def test_an_array_of_the_wrong_shape_is_refused(self, shape):
        message = rf"init has the shape .*must be \({RANK}, {N_FEATURES}\)"
        refuses(message, model(init=np.ones(shape), solver="als").fit, data())

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_an_array_that_is_not_finite_is_refused(self, value):
        init = with_value(np.ones((RANK, N_FEATURES)), value)
        refuses("init contains", model(init=init, solver="als").fit, data())

    @pytest.mark.parametrize("shape", [(RANK + 1, N_FEATURES), (N_FEATURES, RANK)])
    def test_a_callable_that_returns_the_wrong_shape_is_refused(self, shape):
        def init(X, n_components, random_state):
            return np.ones(shape)

        refuses("init returned has the shape", model(init=init, solver="als").fit, data())

    def test_a_callable_gets_data_rank_and_random_state(self):
        seen = []

        def init(X, n_components, random_state):
            seen.append((X, n_components, random_state))
            return random_state.standard_normal((n_components, X.shape[1]))

        X = data(missing=True)
        model(init=init, solver="als", max_iter=1000).fit(X)
        [(seen_X, n_components, random_state)] = seen
        np.testing.assert_array_equal(seen_X, X)
        assert n_components == RANK
        assert isinstance(random_state, np.random.RandomState)

    def test_a_warm_start_refuses_another_number_of_components(self):
        estimator = model(solver="als", warm_start=True).fit(data())
        estimator.set_params(n_components=RANK + 1)
        refuses(rf"warm_start.*\({RANK}, 6\).*\({RANK + 1}, 6\)", estimator.fit, data())

    def test_a_warm_start_refuses_another_number_of_features(self):
        estimator = model(solver="als", warm_start=True).fit(data())
        refuses("warm_start", estimator.fit, data()[:, :4])


class TestCodesAndPositions:
    @pytest.mark.parametrize("bias", [False, "both"])
    @pytest.mark.parametrize("extra", [-1, 1])
    def test_inverse_transform_refuses_another_number_of_columns(self, bias, extra):
        fitted = model(bias=bias, max_iter=1000).fit(data())
        width = RANK + (bias == "both")
        message = f"X has {width + extra} columns.* {width}"
        refuses(message, fitted.inverse_transform, np.ones((3, width + extra)))

    @pytest.mark.parametrize(
        ("value", "message"), [(np.nan, "contains NaN"), (np.inf, "contains inf")]
    )
    def test_inverse_transform_refuses_codes_that_are_not_finite(self, value, message):
        codes = np.ones((3, RANK))
        codes[1, 1] = value
        refuses(message, model().fit(data()).inverse_transform, codes)

    def test_inverse_transform_refuses_a_single_code_without_its_axis(self):
        refuses("Expected 2D array", model().fit(data()).inverse_transform, np.ones(RANK))

    @pytest.mark.parametrize(
        ("rows", "columns", "message"),
        [
            ([N_SAMPLES], [0], r"rows must lie in \[0, 12\)"),
            ([-1], [0], r"rows must lie in \[0, 12\)"),
            ([0], [N_FEATURES], r"columns must lie in \[0, 6\)"),
            ([0], [-1], r"columns must lie in \[0, 6\)"),
            ([0.0], [0], "rows must be .* integers"),
            ([0], [1.5], "columns must be .* integers"),
            ([True], [0], "rows must be .* integers"),
            (["0"], [0], "rows must be .* integers"),
            ([[0]], [0], "rows must be a one-dimensional"),
            (0, 0, "rows must be a one-dimensional"),
            ([0, 1], [0], "rows has 2 entries, but columns has 1"),
        ],
    )
    @pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array])
    def test_predict_entries_refuses_positions_outside_of_X(self, convert, rows, columns, message):
        X = convert(data())
        refuses(message, model().fit(X).predict_entries, X, rows, columns)

    @pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array])
    @pytest.mark.parametrize("empty", [[], np.array([], dtype=int)], ids=["list", "array"])
    def test_predict_entries_of_nothing_is_nothing(self, convert, empty):
        X = convert(data())
        assert model().fit(X).predict_entries(X, empty, empty).shape == (0,)

    @pytest.mark.parametrize(
        ("method", "arguments"),
        [
            ("transform", [data()]),
            ("inverse_transform", [np.ones((3, RANK))]),
            ("score", [data()]),
            ("predict_entries", [data(), [0], [0]]),
            ("get_feature_names_out", []),
        ],
    )
    def test_methods_ask_for_a_fit_first(self, method, arguments):
        with pytest.raises(NotFittedError, match="MatrixFactorization"):
            getattr(model(), method)(*arguments)


def unsorted_with_duplicates(cls):
    """Two entries in one cell, the later column first, a stored zero and an empty last row."""
    rows = np.array([0, 0, 0, 1, 1, 2, 3, 4, 4, 5])
    columns = np.array([3, 1, 1, 2, 0, 0, 3, 2, 1, 1])
    values = np.array([3.0, 1.0, 0.5, 2.0, -1.0, 0.0, 4.0, 2.5, 1.5, -2.0])
    major = rows if cls in (sparse.csr_array, sparse.csr_matrix) else columns
    minor = columns if major is rows else rows
    order = np.argsort(major, kind="stable")
    indptr = np.concatenate(
        [[0], np.cumsum(np.bincount(major, minlength=6 if major is rows else 4))]
    )
    return cls((values[order], minor[order], indptr), shape=(6, 4))


SPARSE = [sparse.csr_array, sparse.csr_matrix, sparse.csc_array, sparse.csc_matrix]
CONTAINERS = {
    "C": lambda: data(missing=True),
    "F": lambda: np.asfortranarray(data(missing=True)),
    "strided": lambda: np.repeat(data(missing=True), 2, axis=1)[:, ::2],
    **{cls.__name__: lambda cls=cls: cls(data(missing=True)) for cls in SPARSE},
    **{f"{cls.__name__} unsorted": lambda cls=cls: unsorted_with_duplicates(cls) for cls in SPARSE},
}


def arrays_of(X):
    return [X.data, X.indices, X.indptr] if sparse.issparse(X) else [X]


def frozen(X):
    """Make X read-only; a copy of what it holds."""
    before = [array.copy() for array in arrays_of(X)]
    for array in arrays_of(X):
        array.flags.writeable = False
    return before


def use_everything(estimator, X, **weights):
    with warnings.catch_warnings():
        # Rows without entries are warned of: not the concern here.
        warnings.simplefilter("ignore", UserWarning)
        estimator.fit(X, **weights)
        entry_weight = weights.get("entry_weight")
        estimator.transform(X, entry_weight=entry_weight)
        estimator.score(X)
        estimator.predict_entries(X, [0, 1], [1, 2])
        estimator.fit_transform(X, **weights)


class TestNothingIsWrittenTo:
    @pytest.mark.parametrize("writeable", [True, False])
    @pytest.mark.parametrize("container", CONTAINERS)
    @pytest.mark.parametrize(
        "parameters",
        [
            {"solver": "als"},
            {"solver": "gd", "bias": "both"},
            {"solver": "als", "loss": "huber", "bias": "features"},
            {"solver": "als", "unstored": "missing"},
            {"solver": "als", "unstored": "missing", "loss": "huber", "bias": "samples"},
        ],
        ids=lambda parameters: "-".join(parameters.values()),
    )
    def test_X_stays_as_it_was(self, parameters, container, writeable):
        X = CONTAINERS[container]()
        before = frozen(X)
        for array in arrays_of(X):
            array.flags.writeable = writeable
        use_everything(model(n_components=1, alpha_W=0.01, tol=0, max_iter=2, **parameters), X)
        for array, copy in zip(arrays_of(X), before, strict=True):
            np.testing.assert_array_equal(array, copy)

    @pytest.mark.parametrize("container", [name for name in CONTAINERS if "unsorted" not in name])
    def test_X_stays_as_it_was_where_a_number_marks_missing_entries(self, container):
        X = CONTAINERS[container]()
        if sparse.issparse(X):
            X.data[np.isnan(X.data)] = -1
        else:
            X[np.isnan(X)] = -1
        before = frozen(X)
        use_everything(model(missing_values=-1, tol=0, max_iter=5), X)
        for array, copy in zip(arrays_of(X), before, strict=True):
            np.testing.assert_array_equal(array, copy)

    @pytest.mark.parametrize("writeable", [True, False])
    @pytest.mark.parametrize("convert_X", [np.asarray, sparse.csr_array])
    @pytest.mark.parametrize("unstored", ["zero", "missing"])
    @pytest.mark.parametrize("cls", [np.asarray, *SPARSE])
    def test_weights_stay_as_they_were(self, cls, unstored, convert_X, writeable):
        is_dense = cls is np.asarray
        X = convert_X(np.random.default_rng(0).standard_normal((6, 4)))
        entry_weight = np.arange(24.0).reshape(6, 4) if is_dense else unsorted_with_duplicates(cls)
        values = entry_weight if is_dense else entry_weight.data
        np.abs(values, out=values)
        sample_weight = np.arange(6.0)
        before = [*frozen(entry_weight), *frozen(sample_weight)]
        for array in [*arrays_of(entry_weight), sample_weight]:
            array.flags.writeable = writeable
        estimator = model(n_components=1, solver="als", unstored=unstored, tol=0, max_iter=5)
        use_everything(estimator, X, sample_weight=sample_weight, entry_weight=entry_weight)
        for array, copy in zip([*arrays_of(entry_weight), sample_weight], before, strict=True):
            np.testing.assert_array_equal(array, copy)

    def test_an_init_array_stays_as_it_was(self):
        init = np.random.default_rng(0).standard_normal((RANK, N_FEATURES))
        before = frozen(init)[0]
        for solver in ("als", "gd"):
            model(init=init, solver=solver, tol=0, max_iter=5).fit(data(missing=True))
        np.testing.assert_array_equal(init, before)
