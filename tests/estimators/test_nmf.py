"""NMF against scikit-learn's, and with holes, where scikit-learn has nothing to compare with."""

import pickle

import numpy as np
import pytest
from conftest import minutes_on_reference, punch_holes, store_observed
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import nnls
from sklearn import decomposition
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_mf import NMF, MatrixFactorization
from sklearn_mf.losses import Squared
from sklearn_mf.objective.problem import Problem, Side
from sklearn_mf.observations import observe
from sklearn_mf.penalties import ElasticNet
from sklearn_mf.solvers import ALS, CoordinateDescent

CONTAINERS = {
    "dense": lambda X: X,
    "sparse zeros": sparse.csr_array,
    "NaN": punch_holes,
    "stored": lambda X: store_observed(punch_holes(X)),
}
unconverged = pytest.mark.filterwarnings("ignore:.*did not converge", "ignore:Maximum number")


def positive(n_samples=40, n_features=25, rank=4, noise=0.1, seed=0, dtype=np.float64):
    """Noisy non-negative data of low rank, some of them zero."""
    rng = np.random.default_rng(seed)
    product = rng.gamma(0.5, size=(n_samples, rank)) @ rng.gamma(0.5, size=(rank, n_features))
    return np.maximum(product + noise * rng.normal(size=product.shape), 0).astype(dtype)


def starts(X, k, seed=0):
    rng = np.random.default_rng(seed)
    n, p = X.shape
    return [(rng.random(shape) + 0.1).astype(X.dtype) for shape in ((n, k), (k, p))]


def problem_of(X, k, alpha_W=0.0, alpha_H=0.0, l1_ratio=0.0, **kwargs):
    rows, columns = (Side(ElasticNet(a, l1_ratio, positive=True)) for a in (alpha_W, alpha_H))
    return Problem(observe(X, **kwargs), Squared(), rows, columns, k)


def objective(X, W, H, alpha_W=0.0, alpha_H=0.0, l1_ratio=0.0):
    """As the docstring has it, entry by entry."""
    seen = ~np.isnan(X)

    def penalty(V):
        return l1_ratio * V.sum(axis=-1) + 0.5 * (1 - l1_ratio) * (V**2).sum(axis=-1)

    data = 0.5 * np.sum((np.where(seen, X, 0) - np.where(seen, W @ H, 0)) ** 2)
    rows, columns = seen.sum(axis=1), seen.sum(axis=0)
    return data + alpha_W * rows @ penalty(W) + alpha_H * columns @ penalty(H.T)


# scikit-learn's -------------------------------------------------------------------------------


@unconverged
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("n_iter", [1, 7, 50])
@pytest.mark.parametrize(("alpha_W", "alpha_H", "l1_ratio"), [(0, 0, 0), (2e-3, 1e-2, 0.3)])
def test_plain_descent_is_that_of_scikit_learn(container, n_iter, alpha_W, alpha_H, l1_ratio):
    X = positive()
    W, H = starts(X, 4)
    parameters = {"alpha_W": alpha_W, "alpha_H": alpha_H, "l1_ratio": l1_ratio}
    theirs = decomposition.NMF(4, init="custom", max_iter=n_iter, tol=0, **parameters)
    expected = theirs.fit_transform(X, W=W.copy(), H=H.copy())
    solver = CoordinateDescent(rounds=1, extrapolated=False)
    problem = problem_of(container(X), 4, **parameters)
    state = solver.solve(problem, W, np.ascontiguousarray(H.T), max_iter=n_iter, tol=0)
    np.testing.assert_allclose(state.W, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(state.Ht.T, theirs.components_, rtol=1e-6, atol=1e-6)
    expected = objective(X, expected, theirs.components_, **parameters)
    np.testing.assert_allclose(state.objective, expected, rtol=1e-8)


@unconverged
def test_plain_descent_in_random_order_is_that_of_scikit_learn():
    X = positive()
    W, H = starts(X, 4)
    theirs = decomposition.NMF(4, init="custom", max_iter=5, tol=0, shuffle=True, random_state=3)
    expected = theirs.fit_transform(X, W=W.copy(), H=H.copy())
    solver = CoordinateDescent(rounds=1, extrapolated=False, shuffle=True)
    problem = problem_of(X, 4)
    state = solver.solve(problem, W, H.T.copy(), max_iter=5, tol=0, random_state=3)
    np.testing.assert_allclose(state.W, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("tol", [1e-2, 1e-3])
def test_plain_descent_stops_where_scikit_learn_does(tol):
    X = positive()
    W, H = starts(X, 4)
    theirs = decomposition.NMF(4, init="custom", max_iter=2000, tol=tol)
    theirs.fit(X, W=W.copy(), H=H.copy())
    solver = CoordinateDescent(rounds=1, extrapolated=False)
    ours = NMF(4, init="custom", max_iter=2000, tol=tol, solver=solver).fit(X, W=W, H=H)
    assert ours.n_iter_ == theirs.n_iter_


@minutes_on_reference
@unconverged
@pytest.mark.parametrize("init", [None, "random", "nndsvd", "nndsvda", "nndsvdar"])
@pytest.mark.parametrize(("alpha", "l1_ratio"), [(0, 0), (1e-4, 0), (1e-4, 0.5), (1e-4, 1)])
def test_the_objective_is_that_of_scikit_learn_or_lower(init, alpha, l1_ratio):
    X = load_digits().data[:300]
    parameters = {"init": init, "alpha_W": alpha, "l1_ratio": l1_ratio, "random_state": 0}
    theirs = decomposition.NMF(10, **parameters)
    expected = objective(X, theirs.fit_transform(X), theirs.components_, alpha, alpha, l1_ratio)
    ours = NMF(10, **parameters)
    found = objective(X, ours.fit_transform(X), ours.components_, alpha, alpha, l1_ratio)
    # At random only the components start where scikit-learn's do: another minimum may be found.
    assert found < (1.01 if init == "random" else 1.002) * expected
    assert ours.components_.min() >= 0


@pytest.mark.parametrize("init", ["nndsvd", "nndsvda"])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_singular_starts_are_those_of_scikit_learn(init, container):
    from sklearn.decomposition._nmf import _initialize_nmf

    from sklearn_mf.starts.nonnegative import nonnegative_start

    X = positive(60, 30, rank=5, noise=0.01)
    X /= np.sqrt(np.mean(X**2))  # of this size both fill zeros alike
    W, H = _initialize_nmf(X, 5, init=init, random_state=0)
    found = nonnegative_start(problem_of(container(X), 5), init, np.random.RandomState(0))
    for one, other in zip(found, (W, H.T), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


def test_the_random_start_has_the_components_of_scikit_learn():
    from sklearn.decomposition._nmf import _initialize_nmf

    from sklearn_mf.starts.nonnegative import nonnegative_start

    X = positive()
    _, H = _initialize_nmf(X, 5, init="random", random_state=0)
    _, Ht = nonnegative_start(problem_of(X, 5), "random", np.random.RandomState(0))
    np.testing.assert_allclose(Ht.T, H)


def test_the_signature_begins_with_that_of_scikit_learn():
    from inspect import signature

    theirs, ours = (signature(cls).parameters for cls in (decomposition.NMF, NMF))
    for name, parameter in theirs.items():
        assert ours[name].default == parameter.default
        assert ours[name].kind == parameter.kind
    assert [*ours][: len(theirs)] == [*theirs]


# Holes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["cd", ALS()], ids=str)
@pytest.mark.parametrize("alpha", [0, 0.01])
def test_dense_holes_are_what_a_sparse_matrix_does_not_store(solver, alpha):
    X = punch_holes(positive())
    model = NMF(4, init="nndsvda", alpha_W=alpha, solver=solver, tol=1e-2, random_state=0)
    W = model.fit_transform(X)
    twin = clone(model).set_params(unstored="missing")
    np.testing.assert_allclose(twin.fit_transform(store_observed(X)), W, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(twin.components_, model.components_, rtol=1e-5, atol=1e-6)


def test_without_holes_it_does_not_matter_how_the_data_are_kept():
    X = positive()
    model = NMF(4, tol=1e-3, random_state=0)
    W = model.fit_transform(X)
    for twin, data in (
        (model, sparse.csr_array(X)),
        (model, np.asfortranarray(X)),
        (clone(model).set_params(unstored="missing"), store_observed(X)),
    ):
        np.testing.assert_allclose(clone(twin).fit_transform(data), W, rtol=1e-6, atol=1e-7)


@minutes_on_reference
def test_what_is_hidden_of_exact_data_is_found():
    rng = np.random.default_rng(0)
    X = rng.gamma(0.5, size=(200, 5)) @ rng.gamma(0.5, size=(5, 60))
    hidden = rng.random(X.shape) < 0.3
    model = NMF(5, tol=1e-5, max_iter=2000, random_state=0)
    W = model.fit_transform(np.where(hidden, np.nan, X))
    error = np.linalg.norm((X - model.inverse_transform(W))[hidden])
    assert error < 0.01 * np.linalg.norm(X[hidden])


def test_hidden_entries_of_noisy_data_are_predicted_as_an_oracle_would():
    rng = np.random.default_rng(1)
    W, H = rng.gamma(1, size=(300, 5)), rng.gamma(1, size=(5, 60))
    X = W @ H + 0.3 * rng.normal(size=(300, 60))
    X = np.maximum(X, 0)
    hidden = rng.random(X.shape) < 0.3
    seen = np.where(hidden, np.nan, X)
    model = NMF(5, alpha_W=1e-3, tol=1e-5, max_iter=500, random_state=0)
    found = model.inverse_transform(model.fit_transform(seen))
    # Least squares without a penalty that is told the true components, then the codes.
    oracle = np.array([nnls(H[:, ~m].T, x[~m])[0] for x, m in zip(X, hidden, strict=True)]) @ H
    errors = [np.sqrt(np.mean((X - guess)[hidden] ** 2)) for guess in (found, oracle)]
    assert errors[0] < 1.05 * errors[1]


@pytest.mark.parametrize("container", CONTAINERS)
def test_codes_are_the_nonnegative_least_squares_of_each_row(container):
    X = positive()
    unstored = "missing" if container == "stored" else "zero"
    model = NMF(4, unstored=unstored, tol=1e-2, random_state=0)
    W = model.fit_transform(CONTAINERS[container](X))
    np.testing.assert_array_equal(W, model.transform(CONTAINERS[container](X)))
    X = punch_holes(X) if container in ("NaN", "stored") else X
    for x, w in zip(X, W, strict=True):
        seen = ~np.isnan(x)
        expected = nnls(model.components_[:, seen].T, x[seen])[0]
        np.testing.assert_allclose(w, expected, atol=1e-5)
    residual = np.where(np.isnan(X), 0, X - W @ model.components_)
    np.testing.assert_allclose(model.reconstruction_err_, np.linalg.norm(residual), rtol=1e-6)


@unconverged
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    container=st.sampled_from([*CONTAINERS]),
    alpha=st.sampled_from([0.0, 1e-3, 0.1]),
    l1_ratio=st.sampled_from([0.0, 0.5, 1.0]),
    rounds=st.sampled_from([1, 3, "auto"]),
    extrapolated=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_the_objective_never_rises(seed, container, alpha, l1_ratio, rounds, extrapolated, dtype):
    X = positive(15, 12, seed=seed, dtype=dtype)
    model = NMF(
        3,
        init="random",
        alpha_W=alpha,
        l1_ratio=l1_ratio,
        solver=CoordinateDescent(rounds=rounds, extrapolated=extrapolated),
        max_iter=30,
        random_state=seed,
        unstored="missing" if container == "stored" else "zero",
    ).fit(CONTAINERS[container](X))
    curve = np.array(model.loss_curve_)
    assert (np.diff(curve) <= (1e-5 if dtype == np.float32 else 1e-10) * curve[0]).all()
    assert model.components_.dtype == dtype


# Weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize("init", ["random", "nndsvda"])
@pytest.mark.parametrize("holes", [False, True])
def test_weight_two_is_the_row_twice_and_weight_zero_none(init, holes):
    X = positive()
    X = punch_holes(X) if holes else X
    weight = np.random.default_rng(0).integers(0, 3, size=len(X))
    model = NMF(4, init=init, alpha_W=1e-3, tol=1e-3, random_state=0)
    weighted = clone(model).fit(X, sample_weight=weight)
    repeated = clone(model).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(weighted.components_, repeated.components_, rtol=1e-5, atol=1e-7)


def test_entries_of_weight_zero_are_missing():
    X = positive()
    holed = punch_holes(X)
    model = NMF(4, tol=1e-2, random_state=0)
    W = clone(model).fit_transform(X, entry_weight=(~np.isnan(holed)).astype(float))
    np.testing.assert_allclose(W, model.fit_transform(holed), rtol=1e-6, atol=1e-7)


# Bad and odd input ----------------------------------------------------------------------------


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array, punch_holes])
def test_negative_data_are_refused_in_the_words_of_scikit_learn(container):
    X = positive()
    X[3, 4] = -1.0
    X = container(X)
    if not sparse.issparse(X):
        X[3, 4] = -1.0
    with pytest.raises(ValueError, match=r"Negative values in data passed to NMF \(input X\)"):
        NMF(2).fit(X)
    model = NMF(2, tol=1e-2).fit(np.abs(positive()))
    with pytest.raises(ValueError, match="Negative values in data passed to NMF"):
        model.transform(X)


def test_zero_rows_and_columns_and_nothing_but_zeros():
    X = positive()
    X[3], X[:, 5] = 0, 0
    model = NMF(4, tol=1e-3, random_state=0)
    W = model.fit_transform(X)
    np.testing.assert_allclose(W[3], 0, atol=1e-10)
    np.testing.assert_allclose(W @ model.components_[:, 5], 0, atol=1e-3)
    for init in (None, "random"):
        nothing = NMF(2, init=init).fit(np.zeros((5, 4)))
        assert nothing.reconstruction_err_ == 0
        assert not nothing.transform(np.zeros((2, 4))).any()


def test_the_rank_may_exceed_that_of_the_data():
    X = positive(8, 6)
    model = NMF(10, random_state=0, max_iter=1000, tol=1e-3)
    W = model.fit_transform(X)
    assert W.shape == (8, 10)
    assert model.reconstruction_err_ < 0.01 * np.linalg.norm(X)
    with pytest.raises(ValueError, match="init='nndsvd' needs n_components <= min"):
        NMF(10, init="nndsvd").fit(X)
    assert NMF(None, random_state=0, tol=1e-2).fit(X).n_components_ == 6
    assert NMF(random_state=0, tol=1e-2).fit(X).n_components_ == 6


def test_a_start_of_ones_own():
    X = positive()
    W, H = starts(X, 3)
    before = W.copy(), H.copy()
    model = NMF(init="custom", tol=1e-2).fit(X, W=W, H=H)
    assert model.n_components_ == 3
    np.testing.assert_array_equal(W, before[0])
    np.testing.assert_array_equal(H, before[1])
    with pytest.raises(ValueError, match=r"wrong first dimension passed to NMF \(input W\)"):
        model.fit(X, W=W[1:], H=H)
    with pytest.raises(ValueError, match=r"wrong second dimension passed to NMF \(input H\)"):
        model.fit(X, W=W, H=H[:, 1:])
    with pytest.raises(ValueError, match=r"Negative values in data passed to NMF \(input H\)"):
        model.fit(X, W=W, H=-H)
    with pytest.raises(ValueError, match=r"passed to NMF \(input H\) is full of zeros"):
        model.fit(X, W=W, H=0 * H)
    with pytest.raises(ValueError, match="init='custom' needs W"):
        NMF(3, init="custom").fit(X)
    with pytest.warns(RuntimeWarning, match="W and H are ignored"):
        NMF(3, tol=1e-2).fit(X, W=W, H=H)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_stays(dtype):
    X = positive(dtype=dtype)
    model = NMF(4, random_state=0, tol=1e-2)
    W = model.fit_transform(X)
    for array in (W, model.components_, model.inverse_transform(W), model.transform(X)):
        assert array.dtype == dtype
    again = NMF(4, random_state=0, tol=1e-2).fit_transform(X.astype(np.float64))
    np.testing.assert_allclose(W @ model.components_, X, atol=0.5)
    np.testing.assert_allclose(W, again, rtol=0.05, atol=0.05)


def test_it_is_pickled_and_searched_and_piped():
    X = punch_holes(positive())
    model = NMF(3, random_state=0, tol=1e-2).fit(X)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(model)).transform(X), model.transform(X)
    )
    pipeline = make_pipeline(NMF(init="random", random_state=0, tol=1e-2, max_iter=1000))
    search = GridSearchCV(pipeline, {"nmf__n_components": [1, 4], "nmf__solver__rounds": [1, 5]})
    search.set_params(estimator__nmf__solver=CoordinateDescent()).fit(X)
    assert search.best_params_["nmf__n_components"] == 4


def test_it_is_the_positive_matrix_factorization():
    X = punch_holes(positive())
    ours = NMF(4, alpha_W=0.01, l1_ratio=0.5, tol=1e-6, max_iter=2000, random_state=0).fit(X)
    other = MatrixFactorization(
        4, positive=True, alpha_W=0.01, l1_ratio=0.5, solver="cd", tol=1e-6, max_iter=2000
    ).fit(X)
    np.testing.assert_allclose(ours.loss_curve_[-1], other.loss_curve_[-1], rtol=0.01)
