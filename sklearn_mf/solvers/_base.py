"""The loop that all solvers share: stopping, the curve, the guard against divergence."""

import warnings
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from sklearn_mf.utils._registry import Registry

SOLVERS = Registry("solver")

# An objective this many times its start is beyond repair, though not yet infinite.
DIVERGED = 1e8


@dataclass
class State:
    """Where a solver is. It changes from iteration to iteration, and records itself.

    Attributes
    ----------
    W : ndarray of shape (n_samples, k)
        The samples' factor, their bias last where they have one.
    Ht : ndarray of shape (n_features, k)
        The features' factor, likewise.
    objective : float
        At these factors.
    loss : float or None
        Its part without penalties, at the fold-in, where the solver knows it.
    history : list of float
        The objective after every iteration.
    seconds : list of float
        Time since the start, after every iteration.
    converged : bool
        Whether the stopping rule was met.
    interrupted : bool
        Whether the user pressed Ctrl-C; the factors are those of the last iteration.
    memory : dict
        What a solver carries from one step to the next.
    """

    W: np.ndarray
    Ht: np.ndarray
    objective: float
    loss: float | None = None
    history: list = field(default_factory=list)
    seconds: list = field(default_factory=list)
    converged: bool = False
    interrupted: bool = False
    memory: dict = field(default_factory=dict)

    @property
    def n_iter(self):
        """Iterations done."""
        return len(self.history)


class BaseSolver(BaseEstimator):
    """Base of all solvers. A solver adds ``name`` and a short ``_step``.

    ``_step(problem, state)`` replaces ``state.W`` and ``state.Ht`` by better factors (never
    writing into the old ones, so that an interrupted step loses nothing) and returns the
    objective there.

    Attributes
    ----------
    name : str
        Under which strings find the solver.
    requires_loss : tuple of str
        Methods that the loss must have, or attributes of it that must be true.
    window : int
        Iterations over which the decrease is judged: more for solvers of many short steps.
    allows_missing : bool
        Whether the data may have holes.
    needs_start : bool
        Whether the factors that are handed in matter.
    advice : str
        What to change if the solver diverges.
    """

    requires_loss = ("gradient",)
    allows_missing = True
    needs_start = True
    window = 1
    advice = "Scale X, or raise alpha_W and alpha_H."

    def solve(self, problem, W, Ht, *, max_iter=200, tol=1e-4, verbose=0):
        """Minimise the objective of a problem.

        Parameters
        ----------
        problem : Problem
            What to minimise.
        W : ndarray of shape (n_samples, k)
            Where to start.
        Ht : ndarray of shape (n_features, k)
            Where to start.
        max_iter : int, default=200
            Iterations at most.
        tol : float, default=1e-4
            Stop when the objective falls by less than this share of itself. 0: never.
        verbose : int, default=0
            Print the objective of every ``verbose``-th iteration; 0 for silence.

        Returns
        -------
        state : State
            The factors and how they came about. Codes are not this W, but the fold-in at the
            final H.

        Raises
        ------
        ValueError
            If the solver cannot serve the problem, or diverges.
        """
        self.check(problem)
        began = perf_counter()
        with np.errstate(over="ignore", invalid="ignore"):
            first, scale = self._scale(problem, W, Ht)
            state = State(W, Ht, first)
            if self.needs_start:
                self._guard(state, scale)
            n_done, last = 0, Ht
            try:
                while state.n_iter < max_iter and not state.converged:
                    n_done, last = state.n_iter, state.Ht
                    state.objective = self._step(problem, state)
                    self._guard(state, scale)
                    state.history.append(state.objective)
                    state.seconds.append(perf_counter() - began)
                    state.converged = state.converged or self._has_stalled(state, first, scale, tol)
                    if verbose and (state.n_iter % verbose == 0 or state.converged):
                        print(f"[{self.name}] {state.n_iter:5d}  objective {state.objective:.6e}")
            except KeyboardInterrupt:
                state.interrupted = True
                if state.n_iter == n_done:  # in a step that may have moved the factors already
                    state.Ht, state.loss = last, None
        if tol > 0 and not (state.converged or state.interrupted):
            warnings.warn(
                f"solver={self.name!r} did not converge in max_iter={max_iter} iterations. "
                "Increase max_iter, or tol.",
                ConvergenceWarning,
                stacklevel=4,
            )
        return state

    def check(self, problem):
        """Raise a ValueError that names the parameter, if the problem is not for this solver."""
        missing = [need for need in self.requires_loss if not getattr(problem.loss, need, False)]
        if missing:
            others = sorted(
                name
                for name, cls in SOLVERS.items()
                if all(getattr(problem.loss, need, False) for need in cls.requires_loss)
            )
            culprit = next(p for p in problem.loss.parts if not getattr(p, missing[0], False))
            raise ValueError(
                f"solver={self.name!r} needs a loss with {missing[0]!r}, which "
                f"{type(culprit).__name__} has not. Use one of solver={others}."
            )

    def _step(self, problem, state):
        raise NotImplementedError

    def _scale(self, problem, W, Ht):
        """Objective at the start, and without components: the scale of all that follows."""
        if not self.needs_start:
            return np.inf, np.inf
        first = problem.value(W, Ht)
        return first, max(first, problem.value(np.zeros_like(W), Ht)) if W.any() else first

    def _has_stalled(self, state, first, scale, tol):
        if tol == 0 or state.n_iter < self.window:
            return False
        before = first if state.n_iter == self.window else state.history[-1 - self.window]
        # Below rounding error the decrease says nothing any more.
        floor = np.finfo(np.float64).eps * scale
        return before - state.objective <= tol * max(state.objective, floor)

    def _guard(self, state, scale):
        finite = (
            np.isfinite(state.objective)
            and np.isfinite(state.W.sum())
            and np.isfinite(state.Ht.sum())
        )
        if finite and not state.objective > DIVERGED * scale:
            return
        raise ValueError(
            f"solver={self.name!r} diverged in iteration {state.n_iter + 1}: the objective is "
            f"{state.objective:.3g}, without any component it is {scale:.3g}. {self.advice}"
        )
