"""Full-batch gradient descent on both factors."""

from numbers import Real

import numpy as np

from sklearn_mf.solvers._base import SOLVERS, BaseSolver
from sklearn_mf.utils._validation import Interval, StrOptions


@SOLVERS.register
class GradientDescent(BaseSolver):
    """Gradient descent: both factors step against their gradient, at the same time.

    ``W <- W - learning_rate * dW`` and ``H <- H - learning_rate * dH``, with dW and dH
    the derivatives of the objective (a sum over entries, not a mean).

    Parameters
    ----------
    learning_rate : float or "auto", default="auto"
        Length of a step. "auto" halves a step until the objective falls enough, and lets
        the next one grow: it never diverges.
    momentum : float, default=0.0
        Share of the last step that is added to the next, in [0, 1).
    nesterov : bool, default=False
        Whether the gradient is taken where the momentum leads.

    See Also
    --------
    ALS : Needs no step size.

    References
    ----------
    Koren, Y., Bell, R. & Volinsky, C. (2009). Matrix factorization techniques for
    recommender systems. Computer 42(8). :doi:`10.1109/MC.2009.263`

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
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "nesterov": ["boolean"],
    }

    def __init__(self, learning_rate="auto", momentum=0.0, nesterov=False):
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.nesterov = nesterov

    @property
    def advice(self):
        """What to change if the descent diverges."""
        if self.learning_rate == "auto":
            return super().advice
        return f"Lower learning_rate (now {self.learning_rate}), or use learning_rate='auto'."

    def _step(self, problem, state):
        here = _pack(state.W, state.Ht)
        if not state.memory:
            state.memory["velocity"] = np.zeros_like(here)
            state.memory["share"] = 1.0
        carried = self.momentum * state.memory["velocity"]
        base = here + carried if self.nesterov else here
        if self.learning_rate == "auto":
            there = self._automatic_move(problem, state, here, carried, base)
        else:
            there = here + carried - self.learning_rate * _gradient(problem, state, base)
        state.memory["velocity"] = there - here
        state.W, state.Ht = _unpack(there, state)
        return problem.value(state.W, state.Ht)

    def _automatic_move(self, problem, state, here, carried, base):
        """With the momentum if the objective falls; else without it, by Armijo's rule."""
        lengths = _lipschitz_lengths(problem, state)
        share = min(1.0, 2 * state.memory["share"])
        gradient = _gradient(problem, state, base)
        if self.momentum:
            there = here + carried - share * lengths * gradient
            if problem.value(*_unpack(there, state)) <= state.objective:
                return there
        if self.nesterov:
            gradient = _gradient(problem, state, here)
        steepness = problem.squared_length(*_unpack(np.sqrt(lengths) * gradient, state))
        rounding = np.finfo(np.float64).eps * abs(state.objective)
        while share * steepness > rounding:
            there = here - share * lengths * gradient
            goal = state.objective - 0.5 * share * steepness
            if problem.value(*_unpack(there, state)) <= goal:
                state.memory["share"] = share
                return there
            share /= 2
        state.converged = True
        return here


def _lipschitz_lengths(problem, state):
    """Step of each coefficient: the inverse of the curvature along its own factor.

    Exact bounds for the squared loss (Bolte, Sabach & Teboulle 2014, PALM); for both
    factors at once, other losses and weights above one, the caller halves them.
    """
    lengths = []
    for side, factor, other in (
        (problem, state.W, state.Ht),
        (problem.T, state.Ht, state.W),
    ):
        curvature = side.row_curvature(other)
        lengths.append(np.full(factor.size, 1 / curvature if curvature > 0 else 1.0))
    return np.concatenate(lengths).astype(state.W.dtype)


def _pack(W, Ht):
    return np.concatenate([W.ravel(), Ht.ravel()])


def _unpack(packed, state):
    size = state.W.size
    return packed[:size].reshape(state.W.shape), packed[size:].reshape(state.Ht.shape)


def _gradient(problem, state, packed):
    return _pack(*problem.value_and_gradient(*_unpack(packed, state))[1:])
