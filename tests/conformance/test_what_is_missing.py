"""What is missing of a user's own loss or solver is said in words."""

import numpy as np
import pytest

from sklearn_mf import MatrixFactorization
from sklearn_mf.conformance import check_loss, check_solver
from sklearn_mf.losses import BaseLoss
from sklearn_mf.solvers import BaseSolver


class LogCosh(BaseLoss):
    def value(self, x, m):
        with np.errstate(invalid="ignore"):
            return np.logaddexp(x - m, m - x) - float(np.log(2))

    def gradient(self, x, m):
        return np.tanh(m - x)


class Telling(LogCosh):
    def value(self, x, m):
        return np.logaddexp(x - m, m - x) - float(np.log(2))


class Wide(LogCosh):
    def value(self, x, m):
        with np.errstate(invalid="ignore"):
            return np.logaddexp(x - m, m - x) - np.log(2)


class Nameless(BaseSolver):
    def _step(self, problem, state):
        return problem.value(state.W, state.Ht)


class Idle(BaseSolver):
    name = "idle"


def test_a_loss_that_is_silent_and_keeps_the_type_passes():
    check_loss(LogCosh())


def test_a_loss_that_tells_of_missing_values_hears_how_not_to():
    with pytest.raises(AssertionError, match=r"Telling.*value lets NumPy.*np\.errstate"):
        check_loss(Telling())


def test_a_loss_that_widens_single_precision_hears_why():
    with pytest.raises(AssertionError, match=r"float64 for float32.*float\(np\.log\(2\)\)"):
        check_loss(Wide())


def test_a_solver_without_a_name_hears_that_it_has_none():
    with pytest.raises(AssertionError, match=r"Nameless\(\): it has no name"):
        check_solver(Nameless())
    with pytest.raises(ValueError, match=r"solver=Nameless\(\) has no name"):
        MatrixFactorization(1, solver=Nameless()).fit(np.ones((4, 3)))


def test_a_solver_without_a_step_hears_that_it_has_none():
    with pytest.raises(AssertionError, match=r"Idle\(\): it defines neither _step"):
        check_solver(Idle())
