"""Early stopping: entries hidden from the solver tell when the model gets no better."""

from dataclasses import replace

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sklearn_mf.objective.constants import column_constants
from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.utils._hiding import hiding_stream
from sklearn_mf.utils._monitors import Monitor
from sklearn_mf.utils._warnings import warn


def explained_share(error, baseline):
    """Share of the loss of constants that a model saves; 1 is perfect, and 0 no better.

    Parameters
    ----------
    error : float
        Loss of the model.
    baseline : float
        Loss of the constants.

    Returns
    -------
    share : float
        ``1 - error / baseline``, the R^2 or D^2.
    """
    return 1 - error / baseline if baseline > 0 else float(error <= baseline)


def hold_out(observations: ObservedMatrix, share, random_state, names):
    """Hide entries, or say why that cannot be.

    Parameters
    ----------
    observations : ObservedMatrix
        The data.
    share : float
        How much of them to hide.
    random_state : int, RandomState instance or None
        Chooses which.
    names : tuple of str
        Who asks, and what to use where that cannot be, for the message.

    Returns
    -------
    held_out : HeldOut
        What a solver may see, and what it is judged by.
    """
    held_out = observations.hold_out(share, hiding_stream(random_state))
    if held_out.hidden.n_observed == 0:
        (name, remedy), (n_samples, n_features) = names, observations.shape
        raise ValueError(
            f"{name} finds nothing to hide in X (n_samples={n_samples}, n_features={n_features}): "
            f"each of {observations.n_observed} entries is the last one of its row or column. "
            f"Use {remedy}."
        )
    return held_out


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

    def __init__(self, solver, problem: Problem, held_out):
        self.solver, self.problem = solver, problem
        self.hidden, self.columns, self.rows = held_out.hidden, slice(None), None
        if held_out.known is not None:
            self.columns = held_out.columns
            self.rows = replace(problem, observations=held_out.known)
        constants = column_constants(problem)[self.columns][:, None]
        ones = np.ones((self.hidden.shape[0], 1), dtype=self.hidden.dtype)
        self.baseline = self.hidden.total_loss(ones, constants, problem.loss)

    def __call__(self, state):
        """D^2 of the hidden entries."""
        if self.rows is None:
            W = self.solver.codes(self.problem, state)
        else:  # rows that the solver has no code of
            W = self.rows.fold_in(state.Ht[~self.columns])
        factors = self.problem.model_factors(W, state.Ht[self.columns])
        error = self.hidden.total_loss(*factors, self.problem.loss)
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
