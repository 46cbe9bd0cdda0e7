"""Early stopping: entries hidden from the solver tell when the model gets no better."""

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sklearn_mf.fitting.hidden import hidden_loss
from sklearn_mf.fitting.scores import explained_share
from sklearn_mf.objective.constants import column_constants
from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import HeldOut
from sklearn_mf.utils._monitors import Monitor
from sklearn_mf.utils._warnings import warn


class HiddenScore:
    """How well components predict what their solver was not shown.

    Parameters
    ----------
    solver : BaseSolver
        Knows codes for them.
    problem : Problem
        What the solver sees.
    held_out : HeldOut
        What it does not.
    """

    def __init__(self, solver, problem: Problem, held_out: HeldOut):
        self.solver, self.problem, self.held_out = solver, problem, held_out
        hidden, columns = held_out.hidden, held_out.columns
        constants = column_constants(problem)[slice(None) if columns is None else columns]
        ones = np.ones((hidden.shape[0], 1), dtype=hidden.dtype)
        self.baseline = hidden.total_loss(ones, constants[:, None], problem.loss)

    def __call__(self, state):
        """D^2 of the hidden entries."""
        has_codes = self.held_out.known is None
        W = self.solver.codes(self.problem, state) if has_codes else None
        error = hidden_loss(self.held_out, self.problem, (W, state.Ht), self.problem.loss)
        return explained_share(error, self.baseline) if np.isfinite(error) else -np.inf


class EarlyStopping(Monitor):
    """Ends a solve when hidden entries are predicted no better, and goes back to the best.

    Parameters
    ----------
    score : callable
        Gets the state; higher is better.
    tol : float
        What the best score must gain in ``n_iter_no_change`` iterations.
    n_iter_no_change : int
        Iterations to wait for that.
    """

    def __init__(self, score, tol, n_iter_no_change):
        self.score = score
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.best_scores = []  # so far, after every iteration
        self.best = None

    def end(self, state):
        """Score the factors; whether the best has stood still for long enough."""
        score = self.score(state)
        bests, best = self.best_scores, self.best
        if not bests or score > bests[-1]:
            best = state.W, state.Ht, state.objective
        bests = [*bests, score if best is not self.best else bests[-1]]
        scores = [*state.validation_scores, score]
        # In one step, or Ctrl-C might leave the scores of other factors.
        state.validation_scores, self.best_scores, self.best = scores, bests, best
        n = self.n_iter_no_change
        return len(bests) > n and not bests[-1] > bests[-1 - n] + self.tol

    def close(self, state):
        """Put the best factors back."""
        if self.best is None:
            return
        state.W, state.Ht, state.objective = self.best
        if self.tol > 0 and not (state.stopped or state.converged or state.interrupted):
            bests, n = self.best_scores, min(self.n_iter_no_change, state.n_iter - 1)
            warn(
                f"early_stopping=True: after max_iter={state.n_iter} iterations hidden entries "
                f"were still predicted better and better: in the last {n} the score rose by "
                f"{bests[-1] - bests[-1 - n]:.2g}, beside tol={self.tol:g}. Increase max_iter, or "
                "tol.",
                ConvergenceWarning,
            )
