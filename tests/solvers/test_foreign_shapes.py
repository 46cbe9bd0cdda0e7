"""Solvers and losses of users: what they return is looked at before a kernel follows it."""

import numpy as np
import pytest
from conftest import low_rank, punch_holes, store_observed

from sklearn_mf import MatrixFactorization
from sklearn_mf.losses import BaseLoss, Squared
from sklearn_mf.solvers import BaseSolver

X = punch_holes(low_rank(30, 12, 2), 0.3)
CONTAINERS = [np.asarray, store_observed]


class Wrong(BaseSolver):
    """Makes of the factors what it is told."""

    name = "wrong"

    def __init__(self, change, evaluate):
        self.change, self.evaluate = change, evaluate

    def _step(self, problem, state):
        state.W, state.Ht = self.change(state.W, state.Ht)
        return problem.value(state.W, state.Ht) if self.evaluate else 1.0


CHANGES = {
    "narrow": lambda W, Ht: (W[:, :1], Ht[:, :1]),
    "narrow W": lambda W, Ht: (W[:, :1], Ht),
    "narrow Ht": lambda W, Ht: (W, Ht[:, :1]),
    "wide": lambda W, Ht: (np.hstack([W, W]), np.hstack([Ht, Ht])),
    "short W": lambda W, Ht: (W[:3], Ht),
    "short Ht": lambda W, Ht: (W, Ht[:3]),
    "exchanged": lambda W, Ht: (Ht, W),
    "transposed": lambda W, Ht: (W, Ht.T),
    "a number": lambda W, Ht: (W, Ht[0, 0]),
    "one vector": lambda W, Ht: (W, Ht.ravel()),
}


@pytest.mark.parametrize("evaluate", [False, True])
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("change", CHANGES)
def test_factors_of_other_shapes_are_refused(change, container, evaluate):
    model = MatrixFactorization(
        2, solver=Wrong(CHANGES[change], evaluate), unstored="missing", random_state=0
    )
    if container is np.asarray:
        model.set_params(unstored="zero")
    with pytest.raises(ValueError, match="has shape|of shape" if evaluate else "^Wrong"):
        model.fit(container(X))


class Bad(BaseLoss):
    """Squares, but for one answer."""

    name = "bad"

    def __init__(self, method, change):
        self.method, self.change = method, change

    def _answer(self, method, numbers):
        return self.change(numbers) if method == self.method else numbers

    def value(self, x, m):
        return self._answer("value", 0.5 * (x - m) ** 2)

    def gradient(self, x, m):
        return self._answer("gradient", m - x)

    def quadratic(self, x, m):
        return self._answer("weight", np.ones_like(m)), self._answer("target", x)


SHAPES = {
    "one number": lambda a: a.ravel()[:1],
    "a float": lambda a: 1.0,
    "too few": lambda a: a[1:],
    "flat and more": lambda a: np.ones(a.size + 3, a.dtype),
}
VALUES = {
    "NaN": lambda a: np.full_like(a, np.nan),
    "one NaN": lambda a: np.where(np.arange(a.size).reshape(a.shape) < a.size // 2, np.nan, a),
    "negative": lambda a: -a,
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("change", SHAPES)
@pytest.mark.parametrize("method", ["value", "gradient", "weight", "target"])
def test_answers_of_losses_of_other_shapes_are_refused(method, change, container):
    loss = Bad(method, SHAPES[change])
    solver = "als" if method in ("weight", "target") else "gd"
    model = MatrixFactorization(2, loss=loss, solver=solver, random_state=0, max_iter=3, tol=0)
    model.set_params(unstored="zero" if container is np.asarray else "missing")
    with pytest.raises(ValueError, match=r"^Bad\.(value|gradient|quadratic) returned"):
        model.fit(container(X))


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("change", VALUES)
@pytest.mark.parametrize("solver", ["als", "sgd"])
def test_weights_that_are_no_weights_are_refused(change, container, solver):
    loss = Bad("weight", VALUES[change])
    model = MatrixFactorization(2, loss=loss, solver=solver, random_state=0, max_iter=3, tol=0)
    model.set_params(unstored="zero" if container is np.asarray else "missing")
    with pytest.raises(ValueError, match=r"^Bad\.quadratic returned the weight .*"):
        model.fit(container(X))


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_loss_may_answer_in_double_precision(container):
    double = Bad("weight", lambda a: a.astype(np.float64))
    shorts = []
    for loss in (double, Squared()):
        model = MatrixFactorization(2, loss=loss, solver="als", random_state=0, max_iter=40)
        model.set_params(unstored="zero" if container is np.asarray else "missing", alpha_W=0.1)
        shorts.append(
            model.fit(container(X.astype(np.float32))).inverse_transform(
                model.transform(container(X.astype(np.float32)))
            )
        )
    np.testing.assert_allclose(*shorts, atol=0.05)
