"""Full-batch gradient descent on both factors."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import linalg

from sklearn_mf.objective.problem import Problem
from sklearn_mf.objective.units import Unit
from sklearn_mf.solvers._base import SOLVERS, BaseSolver, Memory
from sklearn_mf.utils._validation import Interval, Real, StrOptions

# Multiple of the mean eigenvalue that is added to a metric, in units of the machine precision.
DAMPING = 1000
# A step is accepted if it achieves this fraction of the decrease predicted by the gradients
# (Armijo).
ENOUGH = 0.25


@dataclass
class Motion(Memory):
    """The last step, and the state of the step size rule.

    Attributes
    ----------
    velocity : list of two ndarrays
        The last step of each factor.
    share : float
        Step size as a fraction of the one that the curvature allows.
    age : float
        Value of Nesterov's sequence since its last restart.
    """

    velocity: list
    share: float = 1.0
    age: float = 1.0


@SOLVERS.register
class GradientDescent(BaseSolver):
    """Gradient descent: both factors move against their gradients at the same time.

    The updates are ``W <- W - learning_rate * dW`` and ``H <- H - learning_rate * dH``, where dW
    and dH are the derivatives of the objective (a sum over entries, not a mean). L1 penalties and
    non-negative factors are handled after every step by their proximal operators (proximal
    gradient).

    Parameters
    ----------
    learning_rate : float or "auto", default="auto"
        Step size. With "auto", it is derived from the curvature of the objective and halved until
        the objective decreases enough, so that it never diverges.
    momentum : float or "auto", default=0.0
        Fraction of the last step that is added to the next one, in [0, 1). With "auto", it follows
        Nesterov's sequence, which grows towards 1 and restarts when the objective increases; the
        gradient is then evaluated at the extrapolated point.
    nesterov : bool, default=False
        Whether the gradient is evaluated at the point extrapolated by the momentum.
    preconditioned : bool, default=False
        Whether the gradient of each factor is multiplied by the inverse of the Gram matrix of the
        other factor (ScaledGD). The number of iterations then does not depend on the condition
        number of X, and ``learning_rate`` has no unit: 0.5 suits most data. This requires smooth
        penalties and ``positive=False``.

    See Also
    --------
    ALS : Needs no step size.
    LBFGS : Estimates the curvature from previous steps.

    References
    ----------
    Koren, Y., Bell, R. & Volinsky, C. (2009). Matrix factorization techniques for
    recommender systems. Computer 42(8). :doi:`10.1109/MC.2009.263`

    Bolte, J., Sabach, S. & Teboulle, M. (2014). Proximal alternating linearized minimization
    for nonconvex and nonsmooth problems. Mathematical Programming 146.
    :doi:`10.1007/s10107-013-0701-9`

    O'Donoghue, B. & Candes, E. (2015). Adaptive restart for accelerated gradient schemes.
    Foundations of Computational Mathematics 15. :doi:`10.1007/s10208-013-9150-3`

    Tong, T., Ma, C. & Chi, Y. (2021). Accelerating ill-conditioned low-rank matrix estimation
    via scaled gradient descent. JMLR 22(150).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization
    >>> from sklearn_mf.solvers import GradientDescent
    >>> X = np.array([[5.0, 3.0], [3.0, 2.0], [2.0, 1.0], [1.0, 1.0]])
    >>> solver = GradientDescent(learning_rate=0.01)
    >>> model = MatrixFactorization(2, solver=solver, init="random", max_iter=5000, tol=0)
    >>> bool(model.set_params(random_state=0).fit(X).reconstruction_err_ < 1e-5)
    True
    """

    name = "gd"
    window = 10
    _parameter_constraints: dict = {
        "learning_rate": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "momentum": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
        "nesterov": ["boolean"],
        "preconditioned": ["boolean"],
    }

    def __init__(
        self,
        learning_rate: float | Literal["auto"] = "auto",
        momentum: float = 0.0,
        nesterov: bool = False,
        preconditioned: bool = False,
    ):
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.nesterov = nesterov
        self.preconditioned = preconditioned

    def check(self, problem: Problem):
        """Raise a ValueError naming the parameter if the solver does not support the problem."""
        super().check(problem)
        if self.preconditioned and not problem.is_quadratic:
            raise ValueError(
                "GradientDescent(preconditioned=True) needs ridge penalties, with positive=False "
                "and l1_ratio=0. Use preconditioned=False, or solver='als'."
            )

    def unit_of(self, problem: Problem):
        """See `BaseSolver.unit_of`: a learning rate has a unit, unless it is preconditioned."""
        if self.learning_rate != "auto" and not self.preconditioned:
            return Unit()
        return Unit.of_size(problem)

    def _step(self, problem: Problem, state):
        here = state.W, state.Ht
        if state.memory is None:
            state.memory = Motion([np.zeros_like(factor) for factor in here])
        share = self._share_of_velocity(state.memory)
        ahead = here
        if share:
            pairs = zip(here, state.memory.velocity, strict=True)
            ahead = tuple(factor + factor.dtype.type(share) * step for factor, step in pairs)
        looks_ahead = self.nesterov or self.momentum == "auto"
        move = self._automatic_move if self.learning_rate == "auto" else self._fixed_move
        there, objective = move(problem, state, ahead, ahead if looks_ahead else here)
        if self.momentum == "auto" and objective > state.objective:
            state.memory.age = 1.0
        state.memory.velocity = [a - b for a, b in zip(there, here, strict=True)]
        state.W, state.Ht = there
        return objective

    def _share_of_velocity(self, memory):
        """Return the momentum, by Nesterov's sequence since the last restart if it is "auto"."""
        if self.momentum != "auto":
            return self.momentum
        age = memory.age
        memory.age = (1 + np.sqrt(1 + 4 * age**2)) / 2
        return (age - 1) / memory.age

    def _fixed_move(self, problem: Problem, state, ahead, base):
        rates = self.learning_rate, self.learning_rate
        metrics = self._metrics(problem, base)
        there = _moved(problem, ahead, _directions(problem, base, metrics), rates)
        return there, problem.value(*there)

    def _automatic_move(self, problem: Problem, state, ahead, base):
        """Use the momentum if the objective decreases, else take a plain step by Armijo's rule."""
        here, memory = (state.W, state.Ht), state.memory
        metrics = self._metrics(problem, here)
        # In its metric, each factor alone could take a full step; both together take half a step.
        lengths = (0.5, 0.5) if self.preconditioned else _lipschitz_lengths(problem, *here)
        share = min(1.0, 2 * memory.share)
        directions = _directions(problem, base, metrics)
        # A smaller decrease cannot be distinguished from the rounding error of the objective.
        rounding = np.finfo(here[0].dtype).eps * abs(state.objective)
        steps = [share * length for length in lengths]
        there = _moved(problem, ahead, directions, steps)
        if _squared_length(problem, ahead, there, metrics, steps) > rounding:
            objective = problem.value(*there)
            if objective <= state.objective:
                return there, objective
        memory.age = 1.0
        if base[0] is not here[0]:
            directions = _directions(problem, here, metrics)
        while True:
            steps = [share * length for length in lengths]
            there = _moved(problem, here, directions, steps)
            fall = _squared_length(problem, here, there, metrics, steps)
            if not fall > rounding:
                state.converged = True
                return here, state.objective
            objective = problem.value(*there)
            if objective <= state.objective - ENOUGH * fall:
                memory.share = share
                return there, objective
            share /= 2

    def _metrics(self, problem: Problem, factors):
        """Return the metric of either factor, or None for the Euclidean one."""
        if not self.preconditioned:
            return None, None
        return _metric(problem, factors[1]), _metric(problem.T, factors[0])


def _metric(problem: Problem, other):
    """Return the curvature along the rows of a factor, regularized so that it can be inverted."""
    metric = problem.row_metric(other).astype(np.float64)
    mean = np.trace(metric) / len(metric) or 1.0
    return metric + DAMPING * np.finfo(other.dtype).eps * mean * np.eye(len(metric))


def _directions(problem: Problem, factors, metrics):
    _, *gradients = problem.value_and_gradient(*factors)
    return [
        gradient
        if metric is None
        else linalg.solve(metric, gradient.T, assume_a="pos").T.astype(gradient.dtype)
        for gradient, metric in zip(gradients, metrics, strict=True)
    ]


def _moved(problem: Problem, start, directions, steps):
    """Move the factors against the directions and apply the proximal operators."""
    moved = [
        factor - factor.dtype.type(step) * direction
        for factor, direction, step in zip(start, directions, steps, strict=True)
    ]
    return problem.prox(*moved, *steps)


def _squared_length(problem: Problem, here, there, metrics, steps):
    """Return the squared length of a move in its metrics, divided by its steps.

    This is the decrease that the gradients predict: ``<gradient, move>`` if the penalties are
    smooth, and a lower bound otherwise (Beck & Teboulle 2009, Lemma 2.3, :doi:`10.1137/080716542`).
    """
    moves = [before - after for before, after in zip(here, there, strict=True)]
    slopes = [
        (move if metric is None else move @ metric) / step
        for move, metric, step in zip(moves, metrics, steps, strict=True)
    ]
    return problem.inner_product(moves, slopes)


def _lipschitz_lengths(problem: Problem, W, Ht):
    """Return the step size of each factor: the inverse of the curvature along it.

    The bounds are exact for the squared loss (Bolte, Sabach & Teboulle 2014, PALM). For both
    factors at once, other losses and weights above one, the caller halves them.
    """
    curvatures = problem.row_curvature(Ht), problem.T.row_curvature(W)
    return [1 / curvature if curvature > 0 else 1.0 for curvature in curvatures]
