"""Gradient descent: preconditioned, proximal, and with momentum that starts anew."""

import numpy as np
import pytest
from conftest import low_rank

from sklearn_mf import MatrixFactorization
from sklearn_mf.losses import LOSSES
from sklearn_mf.objective.problem import Problem, Side
from sklearn_mf.observations import observe
from sklearn_mf.penalties import ElasticNet
from sklearn_mf.solvers import GradientDescent


def conditioned(condition, n=200, rank=5, share=1.0, seed=0):
    """A matrix of this rank and condition number, and what is observed of it."""
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.normal(size=(n, rank)))[0] for _ in range(2))
    truth = n * U * np.linspace(1, 1 / condition, rank) @ V.T
    return truth, np.where(rng.random((n, n)) < share, truth, np.nan)


class Counting(GradientDescent):
    """Stops at a relative error of 1e-6 and knows how long that took."""

    truth, n_steps = None, 0

    def _step(self, problem, state):
        objective = super()._step(problem, state)
        Counting.n_steps += 1
        # Whatever the unit in which the solver works.
        model, truth = (V / np.linalg.norm(V) for V in (state.W @ state.Ht.T, self.truth))
        state.converged |= bool(np.linalg.norm(model - truth) < 1e-6)
        return objective


def steps_to_the_truth(solver, condition, share, init):
    Counting.truth, X = conditioned(condition, share=share)
    Counting.n_steps = 0
    settings = {"solver": solver, "init": init, "max_iter": 2000, "tol": 0, "random_state": 0}
    MatrixFactorization(5, alpha_W=0.0, **settings).fit(X)
    assert Counting.n_steps < 2000
    return Counting.n_steps


@pytest.mark.parametrize("rate", ["auto", 0.5])
def test_preconditioned_steps_do_not_depend_on_the_condition_of_holed_data(rate):
    solver = Counting(rate, preconditioned=True)
    well, ill = (steps_to_the_truth(solver, condition, 0.4, "svd") for condition in (1, 20))
    assert ill < 1.6 * well


def test_preconditioned_steps_do_not_depend_on_the_condition_of_complete_data():
    solver = Counting(preconditioned=True)
    well, ill = (steps_to_the_truth(solver, condition, 2.0, "random") for condition in (1, 1e4))
    assert ill < 2 * well


def test_plain_steps_do():
    well, ill = (steps_to_the_truth(Counting(), condition, 0.4, "svd") for condition in (1, 4))
    assert ill > 2 * well


def test_momentum_that_starts_anew_needs_fewer_steps():
    plain, fast = (
        steps_to_the_truth(Counting(momentum=momentum), 4, 0.4, "svd") for momentum in (0.0, "auto")
    )
    assert 2 * fast < plain


def test_preconditioned_steps_are_those_of_scaled_gradient_descent():
    X = low_rank(12, 8, rank=3)
    H = np.random.default_rng(1).normal(size=(2, 8))
    solver = GradientDescent(0.5, preconditioned=True)
    W = X @ np.linalg.pinv(H)
    sides = Side(ElasticNet(0.0)), Side(ElasticNet(0.0))
    problem = Problem(observe(X), LOSSES["squared"](), *sides, 2)
    state = solver.solve(problem, W, H.T.copy(), max_iter=4, tol=0)
    for _ in range(4):
        error = W @ H - X
        W, H = (
            W - 0.5 * error @ H.T @ np.linalg.inv(H @ H.T),
            H - 0.5 * np.linalg.inv(W.T @ W) @ W.T @ error,
        )
    np.testing.assert_allclose(state.Ht.T, H, rtol=1e-6)


def test_a_proximal_step_is_the_textbooks():
    X = low_rank(12, 8, rank=3, mean=1.0)
    H = np.abs(np.random.default_rng(1).normal(size=(2, 8)))
    settings = {"alpha_W": 0.1, "l1_ratio": 0.6, "positive": "H", "alpha_scaling": 0.0}
    solver = GradientDescent(0.01)
    model = MatrixFactorization(2, init=H, solver=solver, max_iter=4, tol=0, **settings).fit(X)
    ridge, l1 = 0.04, 0.06
    sides = Side(ElasticNet(0.1, 0.6)), Side(ElasticNet(0.1, 0.6))
    W = Problem(observe(X), LOSSES["squared"](), *sides, 2, alpha_scaling=0.0).fold_in(H.T.copy())
    for _ in range(4):
        error = W @ H - X
        W, H = W - 0.01 * (error @ H.T + ridge * W), H - 0.01 * (W.T @ error + ridge * H)
        W = np.sign(W) * np.maximum(np.abs(W) - 0.01 * l1, 0)
        H = np.maximum(H - 0.01 * l1, 0)
    np.testing.assert_allclose(model.components_, H, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("parameters", [{"positive": "W"}, {"l1_ratio": 0.5, "alpha_W": 0.1}])
def test_preconditioned_steps_serve_smooth_penalties_alone(holed, parameters):
    model = MatrixFactorization(3, solver=GradientDescent(preconditioned=True), **parameters)
    with pytest.raises(ValueError, match=r"preconditioned=True.*positive=False and l1_ratio=0"):
        model.fit(holed)


@pytest.mark.parametrize("kind", ["plain", "weighted", "biased", "zero-filled"])
def test_losses_and_gradients_of_complete_data_are_those_of_the_residual(kind):
    rng = np.random.default_rng(0)
    X = low_rank(40, 25, rank=3, mean=2.0)
    if kind == "zero-filled":
        X[rng.random(X.shape) < 0.6] = 0
    weight = rng.integers(0, 3, 40).astype(float) if kind == "weighted" else None
    bias = kind == "biased"
    problem = Problem(
        observe(X, sample_weight=weight),
        LOSSES["squared"](),
        Side(ElasticNet(0.1, 0.0), bias, bias_ridge=0.3),
        Side(ElasticNet(0.2, 0.0), bias),
        3,
        offset=0.7 * bias,
    )
    W, Ht = rng.normal(size=(40, 3 + bias)), rng.normal(size=(25, 3 + bias))
    s = np.ones(40) if weight is None else weight
    residual = W[:, :3] @ Ht[:, :3].T - X
    if bias:
        residual = residual + W[:, 3:] + Ht[:, 3] + 0.7
    value = 0.5 * s @ (residual**2).sum(axis=1)
    value += 0.05 * 25 * s @ (W[:, :3] ** 2).sum(axis=1) + 0.1 * s.sum() * (Ht[:, :3] ** 2).sum()
    W_gradient = residual @ Ht[:, :3] + 2.5 * W[:, :3]
    Ht_gradient = (residual * s[:, None]).T @ W[:, :3] + 0.2 * s.sum() * Ht[:, :3]
    if bias:
        value += 0.15 * 25 * (W[:, 3] ** 2).sum()
        W_gradient = np.column_stack([W_gradient, residual.sum(axis=1) + 7.5 * W[:, 3]])
        Ht_gradient = np.column_stack([Ht_gradient, residual.sum(axis=0)])
    found = problem.value_and_gradient(W, Ht)
    np.testing.assert_allclose(found[0], value)
    np.testing.assert_allclose(found[1], W_gradient, atol=1e-9)
    np.testing.assert_allclose(found[2], Ht_gradient, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("noise", [1e-2, 1e-5, 1e-9, 0.0])
def test_small_losses_beside_large_data_keep_their_digits(noise, dtype):
    rng = np.random.default_rng(0)
    W, Ht = (rng.integers(-3, 4, size=(n, 2)).astype(dtype) for n in (40, 30))
    X = (W @ Ht.T + noise * rng.normal(size=(40, 30))).astype(dtype)
    problem = Problem(observe(X), LOSSES["squared"](), Side(ElasticNet(0)), Side(ElasticNet(0)), 2)
    exact = 0.5 * np.sum((X.astype(np.float64) - W.astype(np.float64) @ Ht.T) ** 2)
    np.testing.assert_allclose(problem.value(W, Ht), exact, rtol=2e-2, atol=1e-30)


def test_holes_and_weights_are_met_with_momentum_too(holed):
    rng = np.random.default_rng(0)
    weight = rng.integers(0, 3, len(holed))
    settings = {"alpha_W": 0.02, "max_iter": 40, "tol": 0, "random_state": 0}
    for solver in (
        GradientDescent(momentum="auto"),
        GradientDescent(preconditioned=True),
        GradientDescent(momentum=0.5, nesterov=True),
    ):
        weighted = MatrixFactorization(3, solver=solver, **settings)
        repeated = MatrixFactorization(3, solver=solver, **settings)
        weighted.fit(holed, sample_weight=weight)
        repeated.fit(np.repeat(holed, weight, axis=0))
        np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-8)
