"""Every solver finds the optimum that an independent calculation knows."""

import numpy as np
import pytest
from conftest import fit_for, low_rank, minutes_on_reference, punch_holes, store_observed
from grids import pairwise
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import approx_fprime
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.exceptions import ConvergenceWarning

from sklearn_mf import MatrixFactorization
from sklearn_mf.losses import LOSSES, BaseLoss
from sklearn_mf.objective.problem import Problem, Side
from sklearn_mf.observations import observe
from sklearn_mf.penalties import ElasticNet, Ridge
from sklearn_mf.solvers import ALS, GradientDescent, Spectral, spectral
from sklearn_mf.solvers._base import SOLVERS, BaseSolver
from sklearn_mf.starts.start import start
from sklearn_mf.utils.discovery import all_losses

BIASES = [False, "features", "samples", "both"]
TOY = np.array([[5.0, 3.0], [3.0, 2.0], [2.0, 1.0], [1.0, 1.0]])


def reconstruction(model, X, **fit_parameters):
    return model.inverse_transform(model.fit_transform(X, **fit_parameters))


def objective(model, X, W, sample_weight=None, entry_weight=None):
    """The documented formula, entry by entry, for a model without penalized biases."""
    sample = np.ones(len(X)) if sample_weight is None else sample_weight
    entry = np.ones_like(X) if entry_weight is None else entry_weight
    entry = entry * ~np.isnan(X)
    error = np.nan_to_num(X) - model.inverse_transform(W)
    data = 0.5 * (sample[:, None] * entry * error**2).sum()
    n, m = entry.sum(axis=1), sample @ entry
    g, a_W = model.alpha_scaling, model.alpha_W
    a_H = a_W if model.alpha_H == "same" else model.alpha_H
    rows = (sample * n**g * (W**2).sum(axis=1)).sum()
    columns = (m**g * (model.components_**2).sum(axis=0)).sum()
    return data + 0.5 * a_W * rows + 0.5 * a_H * columns


@pytest.mark.parametrize("scaling", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("bias", [False, "features"])
def test_the_objective_is_the_documented_one(holed, bias, scaling):
    rng = np.random.default_rng(0)
    weights = {
        "sample_weight": rng.random(len(holed)) + 0.5,
        "entry_weight": rng.random(holed.shape) + 0.5,
    }
    model = MatrixFactorization(
        3, bias=bias, alpha_W=0.02, alpha_H=0.05, alpha_scaling=scaling, solver="als", tol=1e-10
    )
    W = model.set_params(max_iter=20_000).fit_transform(holed, **weights)
    np.testing.assert_allclose(
        model.loss_curve_[-1], objective(model, holed, W, **weights), rtol=1e-6
    )


@pytest.mark.parametrize("loss", [cls() for _, cls in all_losses()], ids=str)
@pytest.mark.parametrize("kind", ["dense", "stored", "zero-filled"])
@pytest.mark.parametrize("row_bias", [False, True])
@pytest.mark.parametrize("column_bias", [False, True])
def test_gradients_of_the_objective(loss, kind, row_bias, column_bias):
    rng = np.random.default_rng(0)
    X, weight = fit_for(loss, low_rank(5, 4, 2)), rng.random(5) + 0.5
    data = {
        "dense": punch_holes(X),
        "stored": store_observed(punch_holes(X)),
        "zero-filled": sparse.csr_array(X),
    }[kind]
    unstored = "missing" if kind == "stored" else "zero"
    problem = Problem(
        observe(data, unstored=unstored, sample_weight=weight),
        loss,
        rows=Side(Ridge(0.3), row_bias, bias_ridge=0.3),
        columns=Side(Ridge(0.2), column_bias),
        n_components=2,
        alpha_scaling=0.7,
        offset=0.4,
    )
    W, Ht = rng.normal(size=(5, 2 + row_bias)), rng.normal(size=(4, 2 + column_bias))
    value, W_gradient, Ht_gradient = problem.value_and_gradient(W, Ht)
    numeric_W = approx_fprime(
        W.ravel(), lambda w: problem.value(w.reshape(W.shape), Ht), 1e-7
    ).reshape(W.shape)
    numeric_Ht = approx_fprime(
        Ht.ravel(), lambda h: problem.value(W, h.reshape(Ht.shape)), 1e-7
    ).reshape(Ht.shape)
    np.testing.assert_allclose(value, problem.value(W, Ht), rtol=1e-12)
    np.testing.assert_allclose(value, problem.T.value(Ht, W), rtol=1e-10)
    np.testing.assert_allclose(weight[:, None] * W_gradient, numeric_W, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(Ht_gradient, numeric_Ht, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("solver", ["svd", "als"])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_without_penalty_complete_data_give_the_truncated_svd(complete, solver, container):
    model = MatrixFactorization(3, solver=solver, tol=1e-12, max_iter=5000, random_state=0)
    svd = TruncatedSVD(3, algorithm="arpack")
    expected = svd.inverse_transform(svd.fit_transform(complete))
    np.testing.assert_allclose(reconstruction(model, container(complete)), expected, atol=1e-5)


@pytest.mark.parametrize("solver", ["svd", "als"])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_without_penalty_a_feature_bias_gives_pca(complete, solver, container):
    X = complete + 7
    model = MatrixFactorization(
        3, bias="features", solver=solver, tol=1e-13, max_iter=5000, random_state=0
    )
    pca = PCA(3)
    expected = pca.inverse_transform(pca.fit_transform(X))
    np.testing.assert_allclose(reconstruction(model, container(X)), expected, atol=1e-4)


def test_spectral_components_and_codes_are_those_of_pca(complete):
    model, pca = MatrixFactorization(3, bias="features").fit(complete), PCA(3).fit(complete)
    assert isinstance(model.solver_, Spectral)
    np.testing.assert_allclose(model.components_, pca.components_, atol=1e-10)
    np.testing.assert_allclose(model.transform(complete), pca.transform(complete), atol=1e-9)


@pytest.mark.parametrize("solver", ["svd", "als", "gd"])
@pytest.mark.parametrize("scaling", [0.0, 1.0])
def test_ridge_on_complete_data_is_the_soft_thresholded_svd(complete, solver, scaling):
    model = MatrixFactorization(
        6, alpha_W=0.4, alpha_H=0.1, alpha_scaling=scaling, solver=solver, tol=1e-13
    )
    n, p = complete.shape
    threshold = np.sqrt(0.4 * p**scaling * 0.1 * n**scaling)
    U, s, Vt = np.linalg.svd(complete, full_matrices=False)
    kept = np.maximum(s - threshold, 0)[:6]
    expected = U[:, :6] * kept @ Vt[:6]
    model.set_params(max_iter=20_000, random_state=0)
    np.testing.assert_allclose(reconstruction(model, complete), expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(40, 12), (12, 40), (40, 40)])
@pytest.mark.parametrize("way", ["whole", "gram", "lanczos"])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_every_way_to_decompose_gives_the_weighted_pca(monkeypatch, shape, way, container):
    X = low_rank(*shape, rank=6, noise=0.5)
    weight = np.random.default_rng(0).integers(0, 3, shape[0]).astype(float)
    monkeypatch.setattr(spectral, "SMALL", X.size if way == "whole" else 0)
    monkeypatch.setattr(spectral, "SHORT_SIDE", 40 if way == "gram" else 0)
    model = MatrixFactorization(3, bias="features", solver="svd")
    model.fit(container(X), sample_weight=weight)
    pca = PCA(3).fit(np.repeat(X, weight.astype(int), axis=0))
    np.testing.assert_allclose(
        model.inverse_transform(model.transform(X)),
        pca.inverse_transform(pca.transform(X)),
        atol=1e-6,
    )


@minutes_on_reference
@pytest.mark.parametrize("noise", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("gram", [False, True])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_a_krylov_subspace_keeps_its_promise(monkeypatch, container, gram, noise):
    X = low_rank(700, 500, rank=8, noise=noise)
    monkeypatch.setattr(spectral, "SHORT_SIDE", 500 if gram else 0)
    model = MatrixFactorization(20, solver="svd").fit(container(X))
    smallest = np.sum(np.linalg.svd(X, compute_uv=False)[20:] ** 2)
    allowed = 1e-5 if gram else 3e-4
    error = np.sum((X - model.inverse_transform(model.transform(X))) ** 2)
    assert error < (1 + allowed) * smallest
    np.testing.assert_allclose(model.reconstruction_err_**2, error, rtol=1e-6)


def test_more_products_come_closer():
    X = low_rank(600, 500, rank=8, noise=5.0)
    errors = [
        MatrixFactorization(10, solver=Spectral(n_iter=n)).fit(X).reconstruction_err_
        for n in (1, 2, 4, 8)
    ]
    assert (np.diff(errors) < 0).all()


def test_spectral_leaves_components_beyond_the_rank_at_zero():
    X = low_rank(noise=0.0, rank=2)
    model = MatrixFactorization(4, solver="svd").fit(X)
    assert not model.components_[2:].any()
    np.testing.assert_allclose(reconstruction(model, X), X, atol=1e-10)


@minutes_on_reference
@pytest.mark.parametrize(
    ("bias", "alpha", "loss"),
    pairwise(BIASES, [0.0, 0.1], [name for name in LOSSES if hasattr(LOSSES[name], "quadratic")]),
)
def test_als_never_raises_the_objective(holed, bias, alpha, loss):
    model = MatrixFactorization(
        3, loss=loss, bias=bias, alpha_W=alpha, solver="als", tol=0, max_iter=60, random_state=0
    )
    curve = np.array(model.fit(fit_for(loss, holed)).loss_curve_)
    assert (np.diff(curve) <= 1e-9 * curve[0]).all()


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    share=st.floats(0, 0.9),
    alpha=st.sampled_from([0.0, 1e-3, 0.5]),
    bias=st.sampled_from(BIASES),
    seed=st.integers(0, 1000),
)
@pytest.mark.filterwarnings("ignore:.*no observed entry:UserWarning")
@pytest.mark.filterwarnings("ignore:.*fewer observed entries:UserWarning")
def test_als_descends_and_stays_finite_on_any_pattern(shape, share, alpha, bias, seed):
    rng = np.random.default_rng(seed)
    X = np.where(rng.random(shape) < share, np.nan, rng.normal(size=shape))
    X[0, 0] = 1.0
    model = MatrixFactorization(
        min(2, *shape), bias=bias, alpha_W=alpha, solver="als", tol=0, max_iter=15, random_state=0
    )
    W = model.fit_transform(X)
    curve = np.array(model.loss_curve_)
    assert np.isfinite(W).all()
    assert np.isfinite(model.components_).all()
    assert (np.diff(curve) <= 1e-7 * max(curve[0], np.nansum(X**2))).all()


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize(
    "solver",
    [
        GradientDescent(),
        GradientDescent(momentum=0.9),
        GradientDescent(momentum=0.9, nesterov=True),
        GradientDescent(learning_rate=1e-3, momentum=0.8),
    ],
    ids=str,
)
def test_gradient_descent_reaches_the_objective_of_als(holed, solver, bias):
    settings = {"bias": bias, "alpha_W": 0.02, "random_state": 0, "tol": 1e-8, "max_iter": 20_000}
    als = MatrixFactorization(3, solver="als", **settings).fit(holed)
    model = MatrixFactorization(3, solver=solver, **settings).fit(holed)
    assert model.loss_curve_[-1] < 1.01 * als.loss_curve_[-1]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("nesterov", [False, True])
def test_automatic_gradient_descent_never_raises_the_objective(holed, momentum, nesterov):
    solver = GradientDescent(momentum=momentum, nesterov=nesterov)
    model = MatrixFactorization(3, solver=solver, tol=0, max_iter=300, init="random")
    curve = np.array(model.set_params(random_state=0).fit(holed).loss_curve_)
    assert (np.diff(curve) <= 1e-12 * curve[0]).all()


def test_gradient_descent_is_the_textbook_rule():
    W, H = np.ones((len(TOY), 2)), np.array([[1.0, 0.5], [0.2, -1.0]])
    sides = Side(ElasticNet(0.0)), Side(ElasticNet(0.0))
    problem = Problem(observe(TOY), LOSSES["squared"](), *sides, 2)
    solver = GradientDescent(learning_rate=0.01)
    state = solver.solve(problem, W.copy(), H.T.copy(), max_iter=3, tol=0)
    for _ in range(3):
        error = W @ H - TOY
        W, H = W - 0.01 * error @ H.T, H - 0.01 * W.T @ error
    np.testing.assert_allclose(state.Ht.T, H, rtol=1e-12)
    np.testing.assert_allclose(state.W, W, rtol=1e-12)


def test_toy_by_gradient_descent_and_by_als():
    descent = MatrixFactorization(
        2, solver=GradientDescent(learning_rate=0.01), init="random", max_iter=5000, tol=0
    )
    als = MatrixFactorization(2, solver="als", init="random", max_iter=49, tol=0)
    for model in (descent, als):
        model.set_params(random_state=0)
        assert np.mean((reconstruction(model, TOY) - TOY) ** 2) < 1e-10


@pytest.mark.parametrize("alpha", [0.0, 1e-8])
@pytest.mark.parametrize("seed", range(3))
def test_hidden_entries_of_noise_free_data_are_recovered(seed, alpha):
    X = low_rank(200, 60, rank=4, noise=0.0, seed=seed)
    hidden = np.random.default_rng(seed + 100).random(X.shape) < 0.7
    model = MatrixFactorization(4, alpha_W=alpha, random_state=seed, max_iter=500)
    filled = reconstruction(model, np.where(hidden, np.nan, X))
    error = np.sqrt(np.mean((filled - X)[hidden] ** 2))
    assert error < 0.01 * X[hidden].std()


def test_balanced_factors_are_the_same_model_at_the_least_penalty(holed):
    rng = np.random.default_rng(0)
    problem = Problem(
        observe(holed),
        LOSSES["squared"](),
        Side(Ridge(0.3), True, bias_ridge=0.3),
        Side(Ridge(0.2), True, bias_ridge=0.2),
        2,
    )
    W, Ht = rng.normal(size=(30, 3)), rng.normal(size=(20, 3))
    balanced_W, balanced_Ht = problem.balanced(W, Ht)
    np.testing.assert_allclose(balanced_W[:, :2] @ balanced_Ht[:, :2].T, W[:, :2] @ Ht[:, :2].T)
    best = problem.value(balanced_W, balanced_Ht)
    for scale in (0.9, 1.1):
        other_W, other_Ht = balanced_W.copy(), balanced_Ht.copy()
        other_W[:, 0] *= scale
        other_Ht[:, 0] /= scale
        assert best < problem.value(other_W, other_Ht)


@pytest.mark.parametrize("init", ["random", "svd"])
def test_starts_do_not_depend_on_repetition_of_rows(init):
    X, weight = punch_holes(low_rank()), np.arange(30) % 3
    common = {
        "loss": LOSSES["squared"](),
        "rows": Side(Ridge(0.1)),
        "columns": Side(Ridge(0.1), has_bias=True),
        "n_components": 3,
    }
    weighted = Problem(observe(X, sample_weight=weight.astype(float)), **common)
    repeated = Problem(observe(np.repeat(X, weight, axis=0)), **common)
    _, Ht = start(weighted, init, np.random.RandomState(0))
    _, expected = start(repeated, init, np.random.RandomState(0))
    np.testing.assert_allclose(Ht, expected, atol=1e-8)


def test_tol_zero_runs_all_iterations_and_a_short_run_warns(holed):
    model = MatrixFactorization(3, solver="als", alpha_W=0.0, max_iter=7, tol=0).fit(holed)
    assert model.n_iter_ == len(model.loss_curve_) == 7
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        model.set_params(max_iter=2, tol=1e-12).fit(holed)


def test_verbose_prints_the_objective(holed, capsys):
    model = MatrixFactorization(3, solver="als", max_iter=4, tol=0, verbose=2).fit(holed)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert f"{model.loss_curve_[1]:.6e}" in lines[0]


class Interrupted(BaseSolver):
    """Two steps of ALS, then Ctrl-C."""

    name = "interrupted"

    def _step(self, problem, state):
        if state.n_iter == 2:
            raise KeyboardInterrupt
        return ALS()._step(problem, state)


def test_an_interrupted_fit_keeps_the_factors_of_the_last_iteration(holed):
    model = MatrixFactorization(3, solver=Interrupted(), random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(holed)
    expected = MatrixFactorization(3, solver="als", max_iter=2, tol=0, random_state=0).fit(holed)
    assert model.n_iter_ == 2
    np.testing.assert_array_equal(model.transform(holed), expected.transform(holed))


class InterruptedAtOnce(BaseSolver):
    """Ctrl-C before the first step is done."""

    name = "interrupted at once"

    def _step(self, problem, state):
        raise KeyboardInterrupt


def test_an_interruption_before_the_first_iteration_keeps_the_last_fit(holed):
    model = MatrixFactorization(3, solver="als", random_state=0).fit(holed)
    components = model.components_
    with pytest.raises(KeyboardInterrupt):
        model.set_params(solver=InterruptedAtOnce()).fit(holed)
    assert model.components_ is components


class OwnLoop(BaseSolver):
    """As a library would run it: one call for all iterations, ended by what it is told."""

    name = "own loop"

    def _run(self, problem, state, record):
        als = ALS()
        while True:
            if record(als._step(problem, state)):
                break


class Giving(BaseSolver):
    """A library that ends by itself after three iterations."""

    name = "giving"

    def _run(self, problem, state, record):
        for _ in range(3):
            record(ALS()._step(problem, state))
        state.converged = True


@pytest.mark.parametrize("limits", [{"max_iter": 5, "tol": 0}, {"max_iter": 500, "tol": 1e-6}])
def test_a_solver_with_a_loop_of_its_own_is_stopped_like_the_others(holed, limits):
    own = MatrixFactorization(3, solver=OwnLoop(), random_state=0, **limits).fit(holed)
    expected = MatrixFactorization(3, solver="als", random_state=0, **limits).fit(holed)
    assert own.loss_curve_ == expected.loss_curve_
    np.testing.assert_array_equal(own.components_, expected.components_)


def test_a_solver_may_end_by_itself(holed):
    assert MatrixFactorization(3, solver=Giving()).fit(holed).n_iter_ == 3


class Drawing(BaseSolver):
    """Shows what it was given to draw from."""

    name = "drawing"

    drawn = None

    def _step(self, problem, state):
        state.converged = True
        Drawing.drawn = state.random_state.random_sample()
        return state.objective


def test_a_solver_draws_after_the_start_from_the_same_source(holed):
    settings = {"solver": Drawing(), "alpha_W": 0.0, "init": "random", "random_state": 5}
    MatrixFactorization(3, **settings).fit(holed)
    rng = np.random.RandomState(5)
    rng.standard_normal((3, 20))  # the start
    assert Drawing.drawn == rng.random_sample()


class Broken(BaseSolver):
    """Returns what no solver should."""

    name = "broken"

    def __init__(self, where="W"):
        self.where = where

    def _step(self, problem, state):
        broken = np.full_like(getattr(state, self.where), np.nan)
        setattr(state, self.where, broken)
        return state.objective


@pytest.mark.parametrize("where", ["W", "Ht"])
def test_no_solver_returns_nan(holed, where):
    with pytest.raises(ValueError, match="'broken' diverged in iteration 1"):
        MatrixFactorization(3, solver=Broken(where)).fit(holed)


class Cauchy(BaseLoss):
    """A loss of the user's own, not registered."""

    def value(self, x, m):
        return 0.5 * np.log1p((x - m) ** 2)

    def gradient(self, x, m):
        return (m - x) / (1 + (x - m) ** 2)

    def quadratic(self, x, m):
        return 1 / (1 + (x - m) ** 2), x


@pytest.mark.parametrize("solver", ["als", "gd"])
def test_a_loss_of_the_users_own_works(holed, solver):
    model = MatrixFactorization(2, loss=Cauchy(), alpha_W=0.01, solver=solver, max_iter=3000)
    W = model.set_params(random_state=0).fit_transform(holed)
    curve = np.array(model.loss_curve_)
    assert (np.diff(curve) <= 1e-9 * curve[0]).all()
    np.testing.assert_array_equal(W, model.transform(holed))


@pytest.mark.parametrize("init", ["random", "svd"])
@pytest.mark.parametrize("solver", ["als", "gd", "sgd"])
def test_components_of_a_feature_without_entries_are_zero(holed, solver, init):
    X = holed.copy()
    X[:, 4] = np.nan
    model = MatrixFactorization(3, solver=solver, init=init, random_state=0, max_iter=2000)
    with pytest.warns(UserWarning, match="1 of 20 features have no observed entry"):
        model.fit(X)
    assert not model.components_[:, 4].any()


def test_huber_ignores_gross_outliers():
    X = low_rank(60, 30, rank=2, noise=0.05)
    rng = np.random.default_rng(0)
    dirty = X + np.where(rng.random(X.shape) < 0.05, 50, 0)
    settings = {"alpha_W": 0.01, "solver": "als", "max_iter": 1000, "random_state": 0}
    error = {
        loss: np.sqrt(np.mean((reconstruction(model, dirty) - X) ** 2))
        for loss in ("squared", "huber")
        for model in [MatrixFactorization(2, loss=loss, **settings)]
    }
    assert error["huber"] < error["squared"] / 3


def test_the_registered_solvers_are_those_of_the_documentation():
    assert {name: cls.__name__ for name, cls in SOLVERS.items()} == {
        "adam": "Adam",
        "als": "ALS",
        "cd": "CoordinateDescent",
        "gd": "GradientDescent",
        "lbfgs": "LBFGS",
        "mu": "MultiplicativeUpdate",
        "sgd": "SGD",
        "svd": "Spectral",
    }
