"""What every loss, penalty and solver must satisfy; and that the checks see what does not."""

import numpy as np
import pytest
from conftest import low_rank, punch_holes, store_observed
from scipy import sparse

from sklearn_mf import kernels
from sklearn_mf.conformance import (
    check_loss,
    check_observations,
    check_penalty,
    check_solver,
)
from sklearn_mf.losses import Absolute, BaseLoss, BetaDivergence, Logistic, Quantile
from sklearn_mf.observations import _base, observe
from sklearn_mf.penalties import BasePenalty, ElasticNet, GroupLasso, Smoothness
from sklearn_mf.solvers import ALS, SGD, Adam, BaseSolver, GradientDescent
from sklearn_mf.utils.discovery import all_losses, all_penalties, all_solvers

LOSSES = [cls() for _, cls in all_losses()]
LOSSES += [Absolute(smoothing=0.5), Quantile(0.9, smoothing=0.3), Logistic(classes=(-1, 1))]
LOSSES += [BetaDivergence(beta) for beta in (0, 0.5, 1, 1.5, 2, 3)]
PENALTIES = [cls(alpha=0.7) for _, cls in all_penalties()]
PENALTIES += [
    ElasticNet(0.0),
    ElasticNet(0.7, l1_ratio=0.3, positive=True),
    GroupLasso(0.7, positive=True),
    GroupLasso(0.7, "rows"),
    GroupLasso(0.7, "rows", positive=True),
    Smoothness(0.7, 1),
    Smoothness(0.7, 3, positive=True),
]
SOLVERS = [cls() for _, cls in all_solvers()]
SOLVERS += [
    Adam(batch_size=10),
    GradientDescent(momentum="auto"),
    ALS(inner="cd"),
    SGD("auto", "adaptive"),
]


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_losses(loss):
    check_loss(loss)


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_penalties(penalty):
    check_penalty(penalty)


# Entry by entry in Python would take half of the time of all; see test_sgd.py for the reference.
TRIED = [s for s in SOLVERS if kernels.IMPLEMENTATION == "compiled" or not isinstance(s, SGD)]


@pytest.mark.parametrize("solver", TRIED, ids=str)
def test_solvers(solver):
    check_solver(solver, max_iter=200, tol=1e-4)


X = punch_holes(low_rank(14, 9))
SPARSE = np.where(np.random.default_rng(3).random(X.shape) < 0.6, 0, low_rank(14, 9))
VIEWS = {
    "complete": (low_rank(14, 9), np.asarray, "zero"),
    "holes": (X, np.asfortranarray, "zero"),
    "stored": (X, store_observed, "missing"),
    "zeros": (SPARSE, sparse.csr_array, "zero"),
}


@pytest.mark.parametrize("entries", [1 << 19, 20], ids=["one block", "many blocks"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", VIEWS)
def test_views(kind, weighted, entries, monkeypatch):
    monkeypatch.setattr(_base, "BLOCK_ENTRIES", entries)
    data, container, unstored = VIEWS[kind]
    weights = {}
    if weighted:
        rng = np.random.default_rng(0)
        weights = {"sample_weight": rng.integers(1, 4, 14).astype(float)}
        if kind != "zeros":
            weights["entry_weight"] = rng.integers(1, 3, data.shape).astype(float)
    view = observe(container(data), unstored=unstored, **weights)
    check_observations(view, data, **weights)


def test_what_solvers_say_that_they_serve():
    few = {"max_iter": 100, "tol": 1e-3}
    assert check_solver(ALS(memory=0), **few) == check_solver(ALS(), **few)


# Losses that are wrong -------------------------------------------------------------------------


class Right(BaseLoss):
    """Of Cauchy; what is wrong with it comes below."""

    def value(self, x, m):
        return 0.5 * np.log1p((x - m) ** 2)

    def gradient(self, x, m):
        return (m - x) / (1 + (x - m) ** 2)

    def quadratic(self, x, m):
        return 1 / (1 + (x - m) ** 2), x


class WrongGradient(Right):
    def gradient(self, x, m):
        return m - x


class BoundTooLow(Right):
    def quadratic(self, x, m):
        weight = 0.5 / (1 + (x - m) ** 2)
        return weight, m - self.gradient(x, m) / weight


class BoundThatDoesNotTouch(Right):
    def quadratic(self, x, m):
        return np.ones_like(m), x


class SumOfAll(Right):
    def value(self, x, m):
        return super().value(x, m).sum()


class Doubles(Right):
    def gradient(self, x, m):
        return super().gradient(x, m).astype(np.float64)


class Writes(Right):
    def value(self, x, m):
        m -= x
        return 0.5 * np.log1p(m**2)


class WrongDegree(Right):
    degree = 2


class WrongMean(Right):
    fits_mean = True


class NoInverse(Right):
    def mean(self, m):
        return 2 * m


def test_a_right_loss_passes():
    check_loss(Right())


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (WrongGradient(), "gradient is not the derivative of value"),
        (BoundTooLow(), "lies below the loss"),
        (BoundThatDoesNotTouch(), "does not touch"),
        (SumOfAll(), r"value returns shape \(\)"),
        (Doubles(), "gradient returns float64 for float32"),
        (Writes(), "value modifies its arguments"),
        (WrongDegree(), "data and model are doubled"),
        (WrongMean(), "the mean of the data"),
        (NoInverse(), "not the inverse of mean"),
        (BaseLoss(), "does not define value"),
        ("squared", "it is not a BaseLoss"),
    ],
)
def test_wrong_losses_are_caught(loss, message):
    with pytest.raises(AssertionError, match=message):
        check_loss(loss)


# Penalties that are wrong ----------------------------------------------------------------------


class Lasso(BasePenalty):
    """Absolute values, as a user would write them; what is wrong with it comes below."""

    separable = "entries"
    degree = 1

    def value(self, V):
        return np.abs(V).sum(axis=1)

    def prox(self, V, step):
        return np.sign(V) * np.maximum(np.abs(V) - step, 0)


class HalfAsMuch(Lasso):
    def prox(self, V, step):
        return super().prox(V, step / 2)


class ForgetsAPart(Lasso):
    def value(self, V):
        return super().value(V) + 0.5 * (V**2).sum(axis=1)


class ComparesRows(Lasso):
    def value(self, V):
        return super().value(V) + np.abs(V.sum())


class ComparesCoefficients(Lasso):
    def value(self, V):
        return np.linalg.norm(V, axis=1)


class CallsItselfFree(Lasso):
    is_free = True


class CallsItselfRound(Lasso):
    is_rotation_invariant = True


class CallsItselfSquare(Lasso):
    degree = 2


class CallsItselfPositive(Lasso):
    positive = True


class Bends(BasePenalty):
    separable = "entries"
    curvature = 1.0

    def value(self, V):
        return (V**2).sum(axis=1)

    def gradient(self, V):
        return 2 * V


class WrongUnit(Lasso):
    def in_unit(self, unit, of_objective):
        return self


def test_a_right_penalty_passes():
    check_penalty(Lasso())


@pytest.mark.parametrize(
    ("penalty", "message"),
    [
        (HalfAsMuch(), "do not agree with value"),
        (ForgetsAPart(), "do not agree with value"),
        (ComparesRows(), "the value of a row depends on other rows"),
        (ComparesCoefficients(), "not a sum over coefficients"),
        (CallsItselfFree(), "its value is not zero"),
        (CallsItselfRound(), "rotations change its value"),
        (CallsItselfSquare(), r"do not multiply its value by c\*\*2"),
        (CallsItselfPositive(), "returns negative numbers"),
        (Bends(), "its curvature of 1 allows"),
        (WrongUnit(), "in_unit"),
    ],
)
def test_wrong_penalties_are_caught(penalty, message):
    with pytest.raises(AssertionError, match=message):
        check_penalty(penalty)


# Solvers that are wrong ------------------------------------------------------------------------


class OneStep(BaseSolver):
    """Does something once, and rests; what is wrong with it comes below."""

    name = "one step"

    def _step(self, problem, state):
        state.converged = True
        return state.objective


class WritesIntoTheStart(OneStep):
    def _step(self, problem, state):
        state.Ht *= 0.5
        return super()._step(problem, state)


class TellsLess(OneStep):
    def _step(self, problem, state):
        return 0.5 * super()._step(problem, state)


class ServesNothing(OneStep):
    requires_loss = ("magic",)


class Unnamed(OneStep):
    def check(self, problem):
        raise ValueError("no")


@pytest.mark.parametrize(
    ("solver", "message"),
    [
        (OneStep(), "can be reached"),
        (WritesIntoTheStart(), "modifies the initial factors"),
        (TellsLess(), "an objective that is not"),
        (ServesNothing(), "supports none of the problems"),
        (Unnamed(), "its refusal does not contain its name"),
        ("als", "it is not a BaseSolver"),
    ],
)
def test_wrong_solvers_are_caught(solver, message):
    with pytest.raises(AssertionError, match=message):
        check_solver(solver)
