"""Multiplicative updates and beta divergences against scikit-learn's, and with holes."""

import numpy as np
import pytest
from conftest import minutes_on_reference, punch_holes, starts, store_observed
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import minimize
from sklearn import decomposition
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_mf import NMF, MatrixFactorization
from sklearn_mf.losses import BetaDivergence, Squared
from sklearn_mf.objective.problem import Problem, Side
from sklearn_mf.observations import ZeroFilledObservations, observe
from sklearn_mf.penalties import ElasticNet
from sklearn_mf.solvers import ALS, GradientDescent, MultiplicativeUpdate

BETAS = [2, 1, 0, 0.5, 1.5, 3]
CONTAINERS = {
    "dense": lambda X: X,
    "sparse zeros": sparse.csr_array,
    "NaN": punch_holes,
    "stored": lambda X: store_observed(punch_holes(X)),
}
unconverged = pytest.mark.filterwarnings("ignore:.*did not converge", "ignore:Maximum number")


def positive(beta=1.0, shape=(40, 25), rank=4, seed=0, dtype=np.float64):
    """Non-negative data of low rank, a third of them zero where beta allows it."""
    rng = np.random.default_rng(seed)
    X = rng.gamma(0.5, size=(shape[0], rank)) @ rng.gamma(0.5, size=(rank, shape[1])) + 0.01
    X *= rng.gamma(5, 0.2, size=shape)
    if beta > 0:
        X[rng.random(shape) < 0.3] = 0
    return X.astype(dtype)


def loss_of(beta):
    return Squared() if beta == 2 else BetaDivergence(beta)


def problem_of(X, beta, k, alpha_W=0.0, alpha_H=0.0, l1_ratio=0.0, **kwargs):
    rows, columns = (Side(ElasticNet(a, l1_ratio, positive=True)) for a in (alpha_W, alpha_H))
    return Problem(observe(X, **kwargs), loss_of(beta), rows, columns, k)


def divergence(X, M, beta):
    """By its formula, entry by entry over what is observed; zeros by their limit."""
    seen = ~np.isnan(X)
    x, m = X[seen], M[seen]
    if beta == 1:
        logs = np.where(x > 0, x * np.log(np.where(x > 0, x, 1) / m), 0)
        return np.sum(logs - x + m)
    if beta == 0:
        return np.sum(x / m - np.log(x / m) - 1)
    parts = x**beta + (beta - 1) * m**beta - beta * x * m ** (beta - 1)
    return np.sum(parts) / (beta * (beta - 1))


# The loss -------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [*BETAS, -1])
def test_value_and_derivatives(beta):
    rng = np.random.default_rng(0)
    x, m = rng.random(50) + 0.1, rng.random(50) + 0.1
    loss = BetaDivergence(beta)
    np.testing.assert_allclose(loss.value(x, m).sum(), divergence(x, m, beta), rtol=1e-10)
    np.testing.assert_allclose(loss.value(x, x), 0, atol=1e-12)
    for exact, function in ((loss.gradient, loss.value), (loss.curvature, loss.gradient)):
        numeric = (function(x, m + 1e-6) - function(x, m - 1e-6)) / 2e-6
        np.testing.assert_allclose(exact(x, m), numeric, rtol=1e-5, atol=1e-6)
    attraction, repulsion = loss.split(x, m)
    assert min(attraction.min(), repulsion.min()) >= 0
    for one, other in zip(
        loss.value_and_split(x, m), (loss.value(x, m), attraction, repulsion), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("beta", BETAS)
def test_the_loss_keeps_precision_and_is_finite_at_zero(beta):
    x = np.array([0.5, 2.0, 0.3], dtype=np.float32)
    m = np.array([0.0, 1.0, 1e-30], dtype=np.float32)
    loss = BetaDivergence(beta)
    for part in (*loss.value_and_split(x, m), *loss.parabola(x, m)):
        assert part.dtype == np.float32
        assert np.isfinite(part).all()


# scikit-learn's -------------------------------------------------------------------------------


@unconverged
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize(("alpha_W", "alpha_H", "l1_ratio"), [(0, 0, 0), (2e-3, 1e-2, 0.3)])
def test_plain_updates_are_those_of_scikit_learn(container, beta, alpha_W, alpha_H, l1_ratio):
    X = positive(beta)
    W, H = starts(X, 4)
    parameters = {"alpha_W": alpha_W, "alpha_H": alpha_H, "l1_ratio": l1_ratio}
    for n_iter in (1, 15):
        theirs = decomposition.NMF(
            4, solver="mu", beta_loss=beta, init="custom", max_iter=n_iter, tol=0, **parameters
        )
        expected = theirs.fit_transform(X, W=W.copy(), H=H.copy())
        solver = MultiplicativeUpdate(rounds=1, extrapolated=False)
        problem = problem_of(container(X), beta, 4, **parameters)
        state = solver.solve(problem, W, np.ascontiguousarray(H.T), max_iter=n_iter, tol=0)
        np.testing.assert_allclose(state.W, expected, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(state.Ht.T, theirs.components_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("beta", BETAS)
def test_plain_updates_stop_where_those_of_scikit_learn_do(beta):
    X = positive(beta)
    W, H = starts(X, 4)
    parameters = {"beta_loss": beta, "init": "custom", "max_iter": 2000, "tol": 1e-3}
    theirs = decomposition.NMF(4, solver="mu", **parameters).fit(X, W=W.copy(), H=H.copy())
    solver = MultiplicativeUpdate(rounds=1, extrapolated=False)
    assert NMF(4, solver=solver, **parameters).fit(X, W=W, H=H).n_iter_ == theirs.n_iter_


@unconverged
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_the_objective_is_that_of_scikit_learn_or_lower(beta, container):
    X = positive(beta)
    W, H = starts(X, 4)
    parameters = {"solver": "mu", "beta_loss": beta, "init": "custom"}
    theirs = decomposition.NMF(4, **parameters)
    theirs.fit(X, W=W.copy(), H=H.copy())
    ours = NMF(4, **parameters)
    codes = ours.fit_transform(container(X), W=W, H=H)
    # Below 1 there are many minima, and two ways down end in different ones.
    slack = 2e-3 if beta >= 1 else 5e-3
    assert ours.reconstruction_err_ < (1 + slack) * theirs.reconstruction_err_
    model = codes @ ours.components_
    model = np.where(X > 0, np.maximum(model, np.finfo(np.float32).eps), model + 1e-30)
    expected = np.sqrt(2 * divergence(X, model, beta))
    np.testing.assert_allclose(ours.reconstruction_err_, expected, rtol=1e-5)


def test_names_are_those_of_scikit_learn():
    X = positive(0)
    for name, beta in (("frobenius", 2), ("kullback-leibler", 1), ("itakura-saito", 0)):
        model = NMF(2, solver="mu", tol=1e-2, random_state=0)
        named, numbered = (
            clone(model).set_params(beta_loss=b).fit(X).components_ for b in (name, beta)
        )
        np.testing.assert_array_equal(named, numbered)


def test_what_does_not_fit_is_refused_in_the_words_of_scikit_learn():
    X = positive()
    with pytest.raises(ValueError, match=r"Invalid beta_loss parameter: solver 'cd' does not"):
        NMF(2, beta_loss="kullback-leibler").fit(X)
    for container in (np.asarray, sparse.csr_array):
        with pytest.raises(ValueError, match="When beta_loss <= 0 and X contains zeros"):
            NMF(2, solver="mu", beta_loss="itakura-saito").fit(container(X))
        with pytest.raises(ValueError, match=r"Negative values in data passed to NMF \(input X\)"):
            NMF(2, solver="mu", beta_loss=1).fit(container(-X))
    with pytest.warns(UserWarning, match="cannot update zeros present in the initialization"):
        NMF(2, solver="mu", init="nndsvd", tol=1e-2).fit(X)
    for solver in (ALS(), GradientDescent()):
        with pytest.raises(ValueError, match=r"which BetaDivergence does not have.*\['mu'\]"):
            NMF(2, solver=solver, beta_loss=1).fit(X)
    for parameters, words in (
        ({}, "needs positive=True"),
        ({"positive": True, "bias": "both"}, "does not support biases"),
        ({"positive": True, "loss": "huber"}, "needs a loss with 'split'"),
    ):
        with pytest.raises(ValueError, match=words):
            MatrixFactorization(2, solver="mu", **parameters).fit(X)
    with pytest.raises(ValueError, match="Negative values in data passed to solver='mu'"):
        MatrixFactorization(2, solver="mu", positive=True).fit(-X)


# Holes and weights ----------------------------------------------------------------------------


@unconverged
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("alpha", [0, 0.01])
def test_dense_holes_are_what_a_sparse_matrix_does_not_store(beta, alpha):
    X = punch_holes(positive(beta))
    model = NMF(4, solver="mu", beta_loss=beta, alpha_W=alpha, max_iter=40, random_state=0)
    W = model.fit_transform(X)
    twin = clone(model).set_params(unstored="missing")
    np.testing.assert_allclose(twin.fit_transform(store_observed(X)), W, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(twin.components_, model.components_, rtol=1e-5, atol=1e-7)


@unconverged
@pytest.mark.parametrize("beta", BETAS)
def test_without_holes_it_does_not_matter_how_the_data_are_kept(beta):
    X = positive(beta)
    # How many rounds a product is worth depends on what is stored.
    solver = MultiplicativeUpdate(rounds=1)
    model = NMF(4, solver=solver, beta_loss=beta, max_iter=30, random_state=0)
    H = clone(model).fit(X).components_
    for twin, data in (
        (model, sparse.csr_array(X)),
        (model, np.asfortranarray(X)),
        (clone(model).set_params(unstored="missing"), store_observed(X)),
    ):
        found = clone(twin).fit(data).components_
        np.testing.assert_allclose(found, H, rtol=1e-5, atol=1e-7)


@unconverged
@pytest.mark.parametrize("beta", [1, 1.5])
def test_holes_of_sparse_data_with_zeros(beta):
    X = positive(beta)
    X[3, 4] = X[10, 2] = np.nan
    model = NMF(4, solver="mu", beta_loss=beta, max_iter=30, random_state=0)
    W = clone(model).fit_transform(X)
    found = clone(model).fit_transform(sparse.csr_array(X))
    np.testing.assert_allclose(found, W, rtol=1e-5, atol=1e-6)


@unconverged
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("holes", [False, True])
def test_weight_two_is_the_row_twice_and_weight_zero_none(beta, holes):
    X = positive(beta)
    X = punch_holes(X) if holes else X
    weight = np.random.default_rng(0).integers(0, 3, size=len(X))
    model = NMF(4, solver="mu", beta_loss=beta, init="random", alpha_W=1e-3, random_state=0)
    model.set_params(max_iter=25)
    weighted = clone(model).fit(X, sample_weight=weight)
    repeated = clone(model).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(weighted.components_, repeated.components_, rtol=1e-5, atol=1e-7)


@unconverged
@pytest.mark.parametrize("beta", [2, 1, 0.5])
def test_entries_of_weight_zero_are_missing(beta):
    X = positive(beta)
    holed = punch_holes(X)
    model = NMF(4, solver="mu", beta_loss=beta, max_iter=25, random_state=0)
    H = clone(model).fit(X, entry_weight=(~np.isnan(holed)).astype(float)).components_
    np.testing.assert_allclose(H, model.fit(holed).components_, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("beta", [2, 1, 1.5])
def test_what_is_hidden_of_exact_data_is_found(beta):
    rng = np.random.default_rng(0)
    X = (rng.gamma(0.5, size=(120, 3)) + 0.1) @ (rng.gamma(0.5, size=(3, 40)) + 0.1)
    hidden = rng.random(X.shape) < 0.3
    model = NMF(3, solver="mu", beta_loss=beta, tol=1e-6, max_iter=3000, random_state=0)
    W = model.fit_transform(np.where(hidden, np.nan, X))
    error = np.linalg.norm((X - model.inverse_transform(W))[hidden])
    assert error < 0.01 * np.linalg.norm(X[hidden])


@unconverged
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    beta=st.sampled_from([*BETAS, -1, 1.2, 2.5]),
    container=st.sampled_from([*CONTAINERS]),
    alpha=st.sampled_from([0.0, 1e-3, 0.1, 10.0]),
    l1_ratio=st.sampled_from([0.0, 0.5, 1.0]),
    extrapolated=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_the_objective_never_rises(seed, beta, container, alpha, l1_ratio, extrapolated, dtype):
    X = CONTAINERS[container](positive(beta, (15, 12), seed=seed, dtype=dtype))
    W, H = starts(np.zeros((15, 12), dtype), 3, seed)
    unstored = "missing" if container == "stored" else "zero"
    problem = problem_of(X, beta, 3, alpha, alpha, l1_ratio, unstored=unstored)
    solver = MultiplicativeUpdate(extrapolated=extrapolated)
    state = solver.solve(problem, W, np.ascontiguousarray(H.T), max_iter=30, tol=0)
    curve = np.array([problem.value(W, np.ascontiguousarray(H.T)), *state.history])
    assert (np.diff(curve) <= (1e-5 if dtype == np.float32 else 1e-10) * curve[0]).all()
    np.testing.assert_allclose(problem.value(state.W, state.Ht), curve[-1], rtol=1e-3)
    assert state.W.dtype == state.Ht.dtype == dtype
    assert min(state.W.min(), state.Ht.min()) >= 0


# Codes ----------------------------------------------------------------------------------------


@unconverged
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_codes_depend_on_their_row_alone_and_are_no_worse_than_those_of_the_solver(beta, container):
    X = CONTAINERS[container](positive(beta))
    unstored = "missing" if container == "stored" else "zero"
    model = NMF(4, solver="mu", beta_loss=beta, unstored=unstored, random_state=0)
    W = model.fit_transform(X)
    np.testing.assert_array_equal(W, model.transform(X))
    np.testing.assert_allclose(model.transform(X[7:9]), W[7:9], rtol=1e-6, atol=1e-9)
    # Elsewhere a row may have several minima: it then need not find the one of the solver.
    slack = 1e-4 if 1 <= beta <= 2 else 1e-2
    assert 0.5 * model.reconstruction_err_**2 <= (1 + slack) * model.loss_curve_[-1]


@pytest.mark.parametrize("beta", [1, 1.5])
@pytest.mark.parametrize("alpha", [0, 0.01])
def test_codes_are_the_minimum_that_scipy_finds(beta, alpha):
    X = positive(beta)
    model = NMF(3, solver="mu", beta_loss=beta, alpha_W=alpha, tol=1e-3, random_state=0).fit(X)
    H, codes = model.components_, model.transform(X)

    def cost(w, x):
        return divergence(x, w @ H + 1e-12, beta) + alpha * X.shape[1] / 2 * w @ w

    for x, w in zip(X[:8], codes, strict=False):
        best = minimize(cost, w + 0.1, (x,), "L-BFGS-B", bounds=[(0, None)] * 3, tol=1e-12)
        assert cost(w, x) <= best.fun + 1e-5 * abs(best.fun)


@pytest.mark.parametrize("alpha", [0, 0.01])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_codes_of_sparse_counts_need_no_zeros(alpha, dtype, monkeypatch):
    X = np.floor(3 * positive(1, (30, 50), dtype=dtype))
    X[5] = 0
    model = NMF(3, solver="mu", beta_loss=1, alpha_W=alpha, l1_ratio=0.3, tol=1e-2, random_state=0)
    expected = model.fit(X).transform(X)
    monkeypatch.delattr(ZeroFilledObservations, "take")  # which makes rows dense
    W = model.transform(sparse.csr_array(X))
    assert W.dtype == dtype
    tolerance = 1e-6 if dtype == np.float64 else 1e-3
    np.testing.assert_allclose(W, expected, rtol=tolerance, atol=tolerance)
    assert not W[5].any()
    assert not model.transform(sparse.csr_array((3, 50), dtype=dtype)).any()


# Odd input ------------------------------------------------------------------------------------


@unconverged
@pytest.mark.parametrize("beta", [2, 1, 0.5, 1.5, 3])
def test_zero_rows_and_columns_and_nothing_but_zeros(beta):
    X = positive(beta)
    X[3], X[:, 5] = 0, 0
    for container in (np.asarray, sparse.csr_array):
        model = NMF(4, solver="mu", beta_loss=beta, random_state=0)
        W = model.fit_transform(container(X))
        assert np.isfinite(W).all()
        np.testing.assert_allclose(W[3] @ model.components_, 0, atol=1e-3)
        np.testing.assert_allclose(W @ model.components_[:, 5], 0, atol=1e-3)
        nothing = NMF(2, solver="mu", beta_loss=beta).fit(container(np.zeros((5, 4))))
        assert nothing.reconstruction_err_ == 0


@unconverged
@pytest.mark.parametrize("beta", BETAS)
def test_precision_stays(beta):
    X = positive(beta, dtype=np.float32)
    for data in (X, sparse.csr_array(X), punch_holes(X)):
        model = NMF(4, solver="mu", beta_loss=beta, random_state=0, tol=1e-2)
        W = model.fit_transform(data)
        for array in (W, model.components_, model.inverse_transform(W)):
            assert array.dtype == np.float32
            assert np.isfinite(array).all()


# As many components as features leave codes open; a penalty decides.
@minutes_on_reference
@parametrize_with_checks(
    [
        NMF(solver="mu", beta_loss=beta, alpha_W=alpha, max_iter=1000, random_state=0)
        for beta, alpha in ((2, 0.0), (1.5, 1.0))
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
