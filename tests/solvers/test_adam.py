"""Adam is the published rule, over whole data and batches, and recovers from any step size."""

import numpy as np
import pytest
from conftest import above_kernels, fit_for, low_rank, punch_holes, store_observed
from scipy import sparse

from sklearn_mf import MatrixFactorization
from sklearn_mf.losses import LOSSES
from sklearn_mf.objective.problem import Problem, Side
from sklearn_mf.observations import observe
from sklearn_mf.penalties import ElasticNet
from sklearn_mf.solvers import ALS, Adam

TOY = np.array([[5.0, 3.0], [3.0, 2.0], [2.0, 1.0], [1.0, 1.0]])
H0 = np.array([[1.0, 0.5], [0.2, -1.0]])


def published_rule(gradient, theta, n_steps, rate, decay=0.0):
    """Algorithm 1 of Kingma & Ba, word by word, with the decay of Loshchilov & Hutter."""
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for t in range(1, n_steps + 1):
        g = gradient(theta)
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
        eta = rate(t - 1)
        theta = theta - eta * decay * theta - eta * m_hat / (np.sqrt(v_hat) + 1e-8)
    return theta


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("schedule", "rate"),
    [
        ("constant", lambda t: 0.02),
        ("cosine", lambda t: 0.01 * (1 + np.cos(np.pi * t / 30))),
    ],
)
def test_it_is_the_published_rule(schedule, rate, decay):
    solver = Adam(0.02, schedule, weight_decay=decay)
    X = TOY + np.array([[0.3, 0.0], [0.0, -0.2], [0.0, 0.4], [0.1, 0.0]])
    alpha = 0.05  # so that the start solves nothing exactly
    sides = Side(ElasticNet(alpha, 0.0)), Side(ElasticNet(alpha, 0.0))
    problem = Problem(observe(X), LOSSES["squared"](), *sides, 2)
    Ht = H0.T.copy()
    state = solver.solve(problem, problem.fold_in(Ht), Ht, max_iter=30, tol=0)
    ridge_W, ridge_H = alpha * 2, alpha * 4
    W = X @ H0.T @ np.linalg.inv(H0 @ H0.T + ridge_W * np.eye(2))

    def gradient(theta):
        W, H = theta[:8].reshape(4, 2), theta[8:].reshape(2, 2)
        error = W @ H - X
        return np.concatenate(
            [(error @ H.T + ridge_W * W).ravel(), (W.T @ error + ridge_H * H).ravel()]
        )

    theta = published_rule(gradient, np.concatenate([W.ravel(), H0.ravel()]), 30, rate, decay)
    np.testing.assert_allclose(state.Ht.T, theta[8:].reshape(2, 2), rtol=1e-6)


def test_toy():
    model = MatrixFactorization(
        2, solver=Adam(learning_rate=0.01), init="random", max_iter=5000, tol=0, random_state=0
    )
    error = model.inverse_transform(model.fit_transform(TOY)) - TOY
    assert np.mean(error**2) < 1e-12


SOLVERS = [
    Adam(),
    Adam(0.05, "constant"),
    Adam(0.05, "cosine"),
    Adam(batch_size=8),
    Adam(batch_size=60, batches="entries"),
    Adam(beta_1=0.5, beta_2=0.99),
]


@above_kernels
@pytest.mark.parametrize("solver", SOLVERS, ids=str)
@pytest.mark.parametrize("bias", [False, "both"])
def test_it_reaches_the_objective_of_als(holed, solver, bias):
    settings = {"bias": bias, "alpha_W": 0.02, "random_state": 0, "init": "svd"}
    als = MatrixFactorization(3, solver="als", tol=1e-9, max_iter=2000, **settings).fit(holed)
    model = MatrixFactorization(3, solver=solver, tol=1e-5, max_iter=2000, **settings).fit(holed)
    assert als.loss_curve_[-1] * (1 - 1e-9) <= model.loss_curve_[-1] < 1.01 * als.loss_curve_[-1]


@pytest.mark.parametrize("batches", ["rows", "entries"])
@pytest.mark.parametrize("kind", ["dense", "stored", "zero-filled"])
@pytest.mark.parametrize("scaling", [0.5, 1.0])
def test_batches_add_up_to_the_whole(kind, batches, scaling):
    X = punch_holes(low_rank())
    data, unstored = {
        "dense": (X, "zero"),
        "stored": (store_observed(X), "missing"),
        "zero-filled": (sparse.csr_array(np.nan_to_num(X)), "zero"),
    }[kind]
    rng = np.random.default_rng(0)
    problem = Problem(
        observe(data, unstored=unstored, sample_weight=rng.integers(1, 3, 30).astype(float)),
        LOSSES["squared"](),
        rows=Side(ElasticNet(0.3), True, bias_ridge=0.3),
        columns=Side(ElasticNet(0.2)),
        n_components=2,
        alpha_scaling=scaling,
    )
    W, Ht = rng.normal(size=(30, 3)), rng.normal(size=(20, 2))
    total, W_gradient, Ht_gradient = 0.0, np.zeros_like(W), np.zeros_like(Ht)
    seen = np.zeros(30)
    for rows, part in problem.batches(batches, 7, np.random.RandomState(0)):
        value, by_row, by_column = part.value_and_gradient(W[rows], Ht)
        total += value
        W_gradient[rows] += by_row
        Ht_gradient += by_column
        seen[rows] += 1
    expected, *gradients = problem.value_and_gradient(W, Ht)
    assert seen.min() >= 1
    np.testing.assert_allclose(total, expected)
    np.testing.assert_allclose(W_gradient, gradients[0], atol=1e-9)
    np.testing.assert_allclose(Ht_gradient, gradients[1], atol=1e-9)


@pytest.mark.parametrize("batches", ["rows", "entries"])
def test_batches_are_drawn_from_the_random_state(holed, batches):
    def components(seed):
        solver = Adam(schedule="constant", batch_size=5, batches=batches)
        model = MatrixFactorization(3, solver=solver, max_iter=5, tol=0, init="svd")
        return model.set_params(random_state=seed).fit(holed).components_

    np.testing.assert_array_equal(components(0), components(0))
    assert not np.allclose(components(0), components(1))


@pytest.mark.parametrize("batch_size", [None, 8])
@pytest.mark.parametrize("loss", ["squared", "huber", "logistic", "poisson"])
def test_the_adaptive_schedule_recovers_and_never_rises(loss, batch_size):
    X = punch_holes(fit_for(loss, low_rank(mean=0.5)))
    settings = {"loss": loss, "alpha_W": 0.05, "random_state": 0, "max_iter": 3000, "tol": 1e-5}
    usual, mad = (
        MatrixFactorization(2, solver=Adam(rate, batch_size=batch_size), **settings).fit(X)
        for rate in (0.05, 50.0)
    )
    assert (np.diff(mad.loss_curve_) <= 0).all()
    assert mad.loss_curve_[-1] < 1.02 * usual.loss_curve_[-1]


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_other_schedules_say_that_the_learning_rate_is_too_large(holed, schedule):
    model = MatrixFactorization(3, solver=Adam(100.0, schedule), random_state=0)
    with pytest.raises(ValueError, match=r"diverged.*Lower learning_rate \(now 100.0\)"):
        model.fit(holed)


@pytest.mark.parametrize("solver", [Adam(), Adam(batch_size=8)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weight_zero_is_a_row_less_and_float32_stays(holed, solver, dtype):
    X = holed.astype(dtype)
    model = MatrixFactorization(3, solver=solver, alpha_W=0.1, max_iter=20, tol=0, random_state=0)
    model.fit(X, sample_weight=(np.arange(30) != 4).astype(dtype))
    assert model.components_.dtype == dtype
    assert np.isfinite(model.transform(X)).all()


def test_decay_pulls_towards_zero(holed):
    def size(decay):
        solver = Adam(0.05, "constant", weight_decay=decay)
        sides = Side(ElasticNet(0.0)), Side(ElasticNet(0.0))
        problem = Problem(observe(holed), LOSSES["squared"](), *sides, 3)
        Ht = np.random.default_rng(0).normal(size=(holed.shape[1], 3))
        state = solver.solve(problem, problem.fold_in(Ht), Ht, max_iter=300, tol=0)
        return np.linalg.norm(state.Ht)

    assert size(3.0) < 0.9 * size(0.0)


def test_als_is_not_needed_for_counts():
    X = np.random.default_rng(0).poisson(np.exp(low_rank(60, 20, 2) / 2)).astype(float)
    adam = MatrixFactorization(2, loss="poisson", alpha_W=0.02, solver="adam", random_state=0)
    descent = MatrixFactorization(2, loss="poisson", alpha_W=0.02, solver="gd", random_state=0)
    curves = [m.set_params(max_iter=5000, tol=1e-7).fit(X).loss_curve_ for m in (adam, descent)]
    assert curves[0][-1] == pytest.approx(curves[1][-1], rel=0.01)
    with pytest.raises(ValueError, match="quadratic"):
        MatrixFactorization(2, loss="poisson", solver=ALS()).fit(X)
