"""A solver that the package does not know, written from its documentation."""

import numpy as np
import pytest
from conftest import low_rank, punch_holes

from sklearn_mf import MatrixFactorization
from sklearn_mf.conformance import check_solver
from sklearn_mf.penalties import GroupLasso, Smoothness
from sklearn_mf.solvers import BaseSolver


class PlainDescent(BaseSolver):
    """Proximal gradient descent in steps of one length, halved where the objective rises."""

    name = "plain descent"
    window = 10

    def __init__(self, rate=0.1):
        self.rate = rate

    def _step(self, problem, state):
        rate = state.memory or self.rate
        _, W_slope, Ht_slope = problem.value_and_gradient(state.W, state.Ht)
        while rate > 1e-12:
            moved = state.W - rate * W_slope, state.Ht - rate * Ht_slope
            W, Ht = problem.prox(*moved, rate, rate)
            objective = problem.value(W, Ht)
            if objective <= state.objective:
                state.W, state.Ht, state.memory = W, Ht, 2 * rate
                return objective
            rate /= 2
        state.converged = True
        return state.objective


def test_it_is_a_solver():
    served = check_solver(PlainDescent())
    assert len(served) >= 20  # every loss and every penalty


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("penalty", [None, GroupLasso(0.02), Smoothness(0.05)], ids=str)
@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_it_comes_where_others_come(loss, penalty):
    X = punch_holes(low_rank(25, 12, rank=2, noise=0.3), share=0.2)
    settings = {"loss": loss, "penalty": penalty, "alpha_W": 0.05, "random_state": 0}
    expected = MatrixFactorization(2, **settings, max_iter=500).fit(X)
    model = MatrixFactorization(2, solver=PlainDescent(), **settings, max_iter=2000, tol=1e-7)
    model.fit(X)
    assert (np.diff(model.loss_curve_) <= 0).all()
    assert model.loss_curve_[-1] < 1.01 * expected.loss_curve_[-1]
