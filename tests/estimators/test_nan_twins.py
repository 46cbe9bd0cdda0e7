"""Twins of scikit-learn's estimator checks, which know no NaN, on data with missing entries."""

import pickle
import warnings

import numpy as np
import pytest
from conftest import minutes_on_reference
from grids import pairwise
from scipy import sparse
from scipy.optimize import minimize_scalar
from scipy.special import huber
from threadpoolctl import threadpool_limits

from sklearn_mf import MatrixFactorization
from sklearn_mf.utils._warnings import EmptyFeatures

N_SAMPLES, N_FEATURES, RANK = 40, 7, 2
BIASES = [False, "features", "samples", "both"]
LOSSES = ["squared", "huber"]
SOLVERS = ["als", "gd"]


def data(seed=0, n_samples=N_SAMPLES, n_features=N_FEATURES):
    """A third missing; some rows are complete, one has a single entry, no column is empty."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, RANK)) @ rng.standard_normal((RANK, n_features))
    X += 0.3 * rng.standard_normal(X.shape) + 1
    X[rng.random(X.shape) < 0.33] = np.nan
    X[3, :] = np.nan
    X[3, 2] = 1.5
    X[5] = X[6] = np.linspace(-1, 2, n_features)
    return X


def as_dense(X):
    return X


def as_sparse(X):
    """The same data in CSR layout: stored is what is observed, be it zero."""
    observed = ~np.isnan(X)
    indptr = np.concatenate([[0], np.cumsum(observed.sum(axis=1))])
    return sparse.csr_array((X[observed], observed.nonzero()[1].copy(), indptr), shape=X.shape)


def as_sparse_nan(X):
    return sparse.csr_array(X)


LAYOUTS = {
    "dense": (as_dense, {}),
    "unstored missing": (as_sparse, {"unstored": "missing"}),
    "stored NaN": (as_sparse_nan, {}),
}


def model(**parameters):
    defaults = {"n_components": RANK, "alpha_W": 0.05, "max_iter": 8, "tol": 0, "random_state": 0}
    return MatrixFactorization(**defaults | parameters)


def same(actual, expected, rtol=1e-9, atol=1e-11):
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


def same_model(actual, expected, rtol=1e-9, atol=1e-11):
    same(actual.components_, expected.components_, rtol, atol)
    same(actual.feature_bias_, expected.feature_bias_, rtol, atol)
    same(actual.loss_curve_, expected.loss_curve_, rtol, atol)
    same(actual.reconstruction_err_, expected.reconstruction_err_, rtol, atol)


def same_bits(actual, expected):
    np.testing.assert_array_equal(actual.components_, expected.components_)
    np.testing.assert_array_equal(actual.feature_bias_, expected.feature_bias_)
    assert actual.loss_curve_ == expected.loss_curve_
    assert actual.reconstruction_err_ == expected.reconstruction_err_


@pytest.fixture
def layout(layout_name):
    """How the data are stored, and the parameters that say so."""
    return LAYOUTS[layout_name]


def each_pair_of(**axes):
    """Of these axes and the common ones, values of which each pair is tried."""
    axes = {"bias": BIASES, "loss": LOSSES, "layout_name": [*LAYOUTS]} | axes
    axes = {name: values for name, values in axes.items() if values}
    return pytest.mark.parametrize(tuple(axes), pairwise(*axes.values()))


@pytest.mark.filterwarnings("ignore:.*fewer observed entries than their codes have coefficients")
class TestTransform:
    @each_pair_of(alpha=[0.0, 0.05])
    def test_rows_are_coded_alone_as_together(self, alpha, bias, loss, layout):
        convert, parameters = layout
        X = data()
        fitted = model(solver="als", bias=bias, loss=loss, alpha_W=alpha, **parameters)
        W = fitted.fit(convert(X)).transform(convert(X))
        alone = np.vstack([fitted.transform(convert(X[i : i + 1])) for i in range(len(X))])
        halves = np.vstack([fitted.transform(convert(half)) for half in (X[:13], X[13:])])
        same(alone, W, rtol=1e-8, atol=1e-10)
        same(halves, W, rtol=1e-8, atol=1e-10)

    @each_pair_of()
    def test_the_order_of_rows_does_not_matter(self, bias, loss, layout):
        convert, parameters = layout
        X, order = data(), np.random.default_rng(1).permutation(N_SAMPLES)
        fitted = model(solver="als", bias=bias, loss=loss, **parameters).fit(convert(X))
        same(fitted.transform(convert(X[order])), fitted.transform(convert(X))[order])

    @each_pair_of(solver=SOLVERS)
    def test_fit_transform_is_fit_then_transform(self, solver, bias, loss, layout):
        convert, parameters = layout
        X = convert(data())
        estimator = model(solver=solver, bias=bias, loss=loss, **parameters)
        W = estimator.fit_transform(X)
        np.testing.assert_array_equal(W, estimator.transform(X))
        np.testing.assert_array_equal(W, estimator.fit(X).transform(X))

    @each_pair_of()
    def test_answers_leave_the_fitted_model_as_it_was(self, bias, loss, layout):
        convert, parameters = layout
        X = convert(data())
        fitted = model(solver="als", bias=bias, loss=loss, **parameters).fit(X)
        before = pickle.dumps(vars(fitted))
        fitted.inverse_transform(fitted.transform(X))
        fitted.score(X)
        fitted.predict_entries(X, np.array([0, 3]), np.array([1, 1]))
        assert pickle.dumps(vars(fitted)) == before


class TestFit:
    @each_pair_of(solver=SOLVERS)
    def test_a_second_fit_finds_the_same(self, solver, bias, loss, layout):
        convert, parameters = layout
        estimator = model(solver=solver, bias=bias, loss=loss, **parameters).fit(convert(data()))
        first = pickle.loads(pickle.dumps(estimator))
        estimator.fit(convert(data(seed=1))).fit(convert(data()))
        same_bits(estimator, first)

    @each_pair_of(solver=SOLVERS, layout_name=None, init=["svd", "random"])
    def test_the_same_seed_gives_the_same_bits(self, init, solver, bias, loss):
        first, second = (
            model(solver=solver, bias=bias, loss=loss, init=init, random_state=3).fit(data())
            for _ in range(2)
        )
        same_bits(first, second)

    @each_pair_of(solver=SOLVERS)
    def test_another_order_of_samples_gives_the_same_model(self, solver, bias, loss, layout):
        convert, parameters = layout
        X, order = data(), np.random.default_rng(1).permutation(N_SAMPLES)
        forth, back = (
            model(solver=solver, bias=bias, loss=loss, **parameters).fit(convert(rows))
            for rows in (X, X[order])
        )
        same_model(forth, back, rtol=1e-6, atol=1e-8)

    @each_pair_of(solver=SOLVERS, dtype=[np.float32, np.float64])
    def test_the_dtype_of_the_data_is_kept(self, dtype, solver, bias, loss, layout):
        convert, parameters = layout
        X = convert(data().astype(dtype))
        estimator = model(solver=solver, bias=bias, loss=loss, **parameters)
        W = estimator.fit_transform(X)
        arrays = [
            W,
            estimator.transform(X),
            estimator.inverse_transform(W),
            estimator.components_,
            estimator.feature_bias_,
        ]
        assert [array.dtype for array in arrays] == [dtype] * len(arrays)
        assert all(np.isfinite(array).all() for array in arrays)

    @each_pair_of(solver=SOLVERS)
    def test_single_precision_finds_what_double_finds(self, solver, bias, loss, layout):
        convert, parameters = layout
        single, double = (
            model(solver=solver, bias=bias, loss=loss, **parameters).fit(convert(data().astype(d)))
            for d in (np.float32, np.float64)
        )
        same(single.loss_curve_, double.loss_curve_, rtol=1e-3)
        same(single.reconstruction_err_, double.reconstruction_err_, rtol=1e-3)

    @each_pair_of(solver=SOLVERS)
    def test_a_pickled_model_answers_as_before(self, solver, bias, loss, layout):
        convert, parameters = layout
        X = convert(data())
        fitted = model(solver=solver, bias=bias, loss=loss, **parameters).fit(X)
        stored = pickle.loads(pickle.dumps(fitted))
        same_bits(stored, fitted)
        np.testing.assert_array_equal(stored.transform(X), fitted.transform(X))
        assert stored.score(X) == fitted.score(X)

    @each_pair_of(solver=SOLVERS, init=["svd", "random"])
    def test_a_weight_is_the_sample_so_many_times(self, init, solver, bias, loss, layout):
        convert, parameters = layout
        X, weight = data(), np.random.default_rng(2).integers(0, 4, N_SAMPLES)
        weight[5] = 0  # of the complete rows
        estimators = [
            model(solver=solver, bias=bias, loss=loss, init=init, **parameters) for _ in range(2)
        ]
        weighted = estimators[0].fit(convert(X), sample_weight=weight.astype(float))
        repeated = estimators[1].fit(convert(X.repeat(weight, axis=0)))
        same_model(weighted, repeated, rtol=1e-5, atol=1e-7)

    @each_pair_of(solver=SOLVERS, layout_name=None)
    def test_a_sample_of_weight_zero_is_absent(self, solver, bias, loss):
        X, weight = data()[7:], np.ones(N_SAMPLES - 7)
        # The only row without a hole: nothing of it may reach the others, no step size either.
        X[0] = 3.0
        X[1:, 0][~np.isnan(X[1:, 1:]).any(axis=1)] = np.nan
        weight[0] = 0
        present, absent = (model(solver=solver, bias=bias, loss=loss) for _ in range(2))
        present.fit(X, sample_weight=weight)
        same_model(present, absent.fit(X[1:]), rtol=1e-5, atol=1e-7)

    @each_pair_of(solver=SOLVERS)
    def test_an_entry_of_weight_zero_is_missing(self, solver, bias, loss, layout):
        convert, parameters = layout
        X = data()
        filled = np.where(np.isnan(X), 1e3, X)
        weight = (~np.isnan(X)).astype(float)
        weighted, holed = (
            model(solver=solver, bias=bias, loss=loss, **parameters) for _ in range(2)
        )
        weighted.fit(convert(filled), entry_weight=weight)
        holed.fit(convert(X))
        same_model(weighted, holed, rtol=1e-6, atol=1e-8)
        codes = weighted.transform(convert(filled), entry_weight=weight)
        same(codes, holed.transform(convert(X)), rtol=1e-6, atol=1e-8)


@minutes_on_reference
@each_pair_of(solver=SOLVERS, bias=None)
def test_threads_do_not_change_a_bit(solver, loss, layout):
    convert, parameters = layout
    # Large enough for the kernels to share the work.
    X = convert(data(n_samples=1500, n_features=120))
    estimators, codes = [], []
    for limit in (1, 2):
        with threadpool_limits(limit, user_api="openmp"), threadpool_limits(1, user_api="blas"):
            estimator = model(n_components=5, solver=solver, loss=loss, max_iter=2, **parameters)
            codes.append(estimator.fit_transform(X))
            estimators.append(estimator)
    same_bits(*estimators)
    np.testing.assert_array_equal(*codes)


@pytest.mark.parametrize("layout_name", LAYOUTS)
@pytest.mark.parametrize("bad", [np.inf, -np.inf])
@pytest.mark.parametrize("method", ["fit", "transform", "score"])
def test_infinity_is_refused_though_nan_is_not(method, bad, layout):
    convert, parameters = layout
    X = data()
    estimator = model(solver="als", **parameters)
    if method != "fit":
        estimator.fit(convert(X))
    X[5, 1] = bad
    with pytest.raises(ValueError, match="X contains infinity"):
        getattr(estimator, method)(convert(X))


def with_warnings(call, *args):
    """What a call returns, and the messages of its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call(*args)
    assert {warning.category for warning in caught} <= {UserWarning, EmptyFeatures}
    return result, [str(warning.message) for warning in caught]


@each_pair_of(solver=SOLVERS, empty=[[0], [4], [N_SAMPLES - 1], [0, 1, 20, N_SAMPLES - 1]])
def test_an_empty_row_is_warned_of_once_and_gets_a_mean_code(solver, bias, loss, empty, layout):
    convert, parameters = layout
    X = data()
    X[empty] = np.nan
    estimator = model(solver=solver, bias=bias, loss=loss, **parameters)
    for call in (estimator.fit_transform, estimator.transform):
        W, messages = with_warnings(call, convert(X))
        assert len(messages) == 1
        assert f"{len(empty)} of {N_SAMPLES} samples have no observed entry" in messages[0]
        assert f"row {empty[0]}:" in messages[0]
        expected = np.zeros(W.shape[1])
        if not bias:
            expected = np.delete(W, empty, axis=0).mean(axis=0)
        # Codes under other losses are iterated, in the form of the fit or in the last one.
        same(W[empty], np.tile(expected, (len(empty), 1)), rtol=1e-8)
        reconstruction = estimator.inverse_transform(W)
        means = expected[:RANK] @ estimator.components_ + estimator.feature_bias_
        same(reconstruction[empty], np.tile(means, (len(empty), 1)), rtol=1e-8)


@each_pair_of()
def test_an_empty_row_leaves_the_model_as_it_would_be_without(bias, loss, layout):
    convert, parameters = layout
    X = data()
    empty = [0, 1, 20, N_SAMPLES - 1]
    X[empty] = np.nan
    init = np.random.default_rng(1).standard_normal((RANK, N_FEATURES))
    present, absent = (
        model(solver="als", bias=bias, loss=loss, init=init, **parameters) for _ in range(2)
    )
    with_warnings(present.fit, convert(X))
    same_model(present, absent.fit(convert(np.delete(X, empty, axis=0))))


@each_pair_of(solver=SOLVERS, alpha=[0.0, 0.05], init=["svd", "random"])
def test_an_empty_column_is_warned_of_and_has_zero_components(
    solver, bias, loss, alpha, init, layout
):
    convert, parameters = layout
    X, column = data(), 4
    X[:, column] = np.nan
    estimator = model(solver=solver, bias=bias, loss=loss, alpha_W=alpha, init=init, **parameters)
    W, messages = with_warnings(estimator.fit_transform, convert(X))
    messages = [message for message in messages if "samples have fewer" not in message]
    assert len(messages) == 1
    assert f"1 of {N_FEATURES} features have no observed entry" in messages[0]
    assert f"column {column}:" in messages[0]
    np.testing.assert_array_equal(estimator.components_[:, column], 0)
    reconstruction = estimator.inverse_transform(W)
    assert np.isfinite(reconstruction).all()
    sample_bias = W[:, RANK:].sum(axis=1)
    same(reconstruction[:, column], estimator.feature_bias_[column] + sample_bias)


@each_pair_of(layout_name=None)
def test_the_prediction_of_an_empty_column_without_sample_bias_is_its_bias(bias, loss):
    X = data()
    X[:, 4] = np.nan
    estimator, _ = with_warnings(model(solver="als", bias=bias, loss=loss).fit, X)
    if loss == "squared":
        same(estimator.feature_bias_[4], np.nanmean(X))
    else:
        seen = [column[~np.isnan(column)] for column in np.delete(X, 4, axis=1).T]
        constants = [minimize_scalar(lambda m, x=x: huber(1, x - m).sum()).x for x in seen]
        expected = np.average(constants, weights=[len(x) for x in seen])
        same(estimator.feature_bias_[4], expected, rtol=1e-5)
