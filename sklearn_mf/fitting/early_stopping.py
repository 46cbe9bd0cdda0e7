"""Early stopping when the error of hidden entries no longer decreases."""

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
    """The score of components on entries hidden from their solver.

    Parameters
    ----------
    solver : BaseSolver
        The solver, which computes codes for the components.
    problem : Problem
        The problem with the visible entries.
    held_out : HeldOut
        The visible and the hidden entries.
    """

    def __init__(self, solver, problem: Problem, held_out: HeldOut):
        self.solver, self.problem, self.held_out = solver, problem, held_out
        hidden, columns = held_out.hidden, held_out.columns
        constants = column_constants(problem)[slice(None) if columns is None else columns]
        ones = np.ones((hidden.shape[0], 1), dtype=hidden.dtype)
        self.baseline = hidden.total_loss(ones, constants[:, None], problem.loss)

    def __call__(self, state):
        """Return the D^2 of the hidden entries."""
        has_codes = self.held_out.known is None
        W = self.solver.codes(self.problem, state) if has_codes else None
        error = hidden_loss(self.held_out, self.problem, (W, state.Ht), self.problem.loss)
        return explained_share(error, self.baseline) if np.isfinite(error) else -np.inf


class EarlyStopping(Monitor):
    """Ends a solve when the score of hidden entries stops increasing; restores the best factors.

    Parameters
    ----------
    score : callable
        A function of the state that returns a score; higher is better.
    tol : float
        Smallest increase of the best score within ``n_iter_no_change`` iterations.
    n_iter_no_change : int
        Number of iterations to wait for this increase.
    """

    def __init__(self, score, tol, n_iter_no_change):
        self.score = score
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.best_scores = []  # the best score so far, after every iteration
        self.best = None

    def end(self, state):
        """Score the factors and return whether the best score has stopped increasing."""
        score = self.score(state)
        bests, best = self.best_scores, self.best
        if not bests or score > bests[-1]:
            best = state.W, state.Ht, state.objective
        bests = [*bests, score if best is not self.best else bests[-1]]
        scores = [*state.validation_scores, score]
        # A single assignment, so that Ctrl-C cannot leave scores of other factors.
        state.validation_scores, self.best_scores, self.best = scores, bests, best
        n = self.n_iter_no_change
        return len(bests) > n and not bests[-1] > bests[-1 - n] + self.tol

    def close(self, state):
        """Restore the best factors."""
        if self.best is None:
            return
        state.W, state.Ht, state.objective = self.best
        if self.tol > 0 and not (state.stopped or state.converged or state.interrupted):
            bests, n = self.best_scores, min(self.n_iter_no_change, state.n_iter - 1)
            warn(
                f"early_stopping=True: after max_iter={state.n_iter} iterations the score of "
                f"hidden entries was still increasing: by {bests[-1] - bests[-1 - n]:.2g} in the "
                f"last {n} iterations, with tol={self.tol:g}. Increase max_iter or tol.",
                ConvergenceWarning,
            )
