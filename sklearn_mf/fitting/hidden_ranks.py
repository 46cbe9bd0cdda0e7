"""Ranks of hidden entries among all unstored columns."""

from dataclasses import replace

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from sklearn_mf.fitting.scores import HIDDEN_SEED, HIDDEN_SHARE
from sklearn_mf.fitting.threads import threads_for
from sklearn_mf.objective.factor_model import FactorModel
from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import HeldOut, StoredObservations
from sklearn_mf.utils._hiding import hiding_stream
from sklearn_mf.utils._threads import in_threads, one_blas_thread, quiet_products
from sklearn_mf.utils._warnings import warn

# Maximum number of rows for a score, and for scores during a fit.
JUDGED, WATCHED = 5000, 1000
# Number of scores that are computed together.
CHUNK = 1 << 19


class HiddenRanks:
    """The ranks of hidden entries, as the score of early stopping.

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
        self.solver, self.problem = solver, problem
        self.hidden = held_out.hidden
        self.rows = _some_rows(self.hidden, WATCHED)

    def __call__(self, state):
        """Return the mean normalized discounted cumulative gain of the hidden entries."""
        W = self.solver.codes(self.problem, state)
        visible = self.problem.observations
        gains = discounted_gains(self.problem, (W, state.Ht), (visible, self.hidden), self.rows)
        return float(gains.mean()) if len(gains) else 0.0


def score_of_hidden_ranks(problem: Problem, model: FactorModel):
    """Return the mean normalized discounted cumulative gain if a part of each row is hidden.

    Parameters
    ----------
    problem : Problem
        The rows, in the unit of the model.
    model : FactorModel
        The model to be scored.

    Returns
    -------
    score : float
        A score in [0, 1]; NaN, with a warning, if nothing can be hidden.
    """
    problem, Ht = model.fixed(problem)
    visible, hidden = problem.observations.split(HIDDEN_SHARE, hiding_stream(HIDDEN_SEED))
    rows = _some_rows(hidden, JUDGED)
    if not len(rows):
        what = "score is not defined: no row of X has two positive entries, so none can be hidden."
        warn(f"{what} Score rows with more entries.", UndefinedMetricWarning)
        return float("nan")
    visible = visible.subset(rows)
    part = replace(problem, observations=visible)
    with threads_for(visible), quiet_products():
        W = model.solve(part, Ht)
        parts = visible, hidden.take(rows)
        gains = discounted_gains(part, (W, Ht), parts, np.arange(len(rows)))
    return float(gains.mean())


def discounted_gains(problem: Problem, factors, parts, rows):
    """Return how high the hidden entries of some rows are ranked among all columns not visible.

    The gain of an entry at rank r is ``1 / log2(1 + r)``. The sum over a row is divided by its
    largest possible value. Columns with equal scores are ranked ahead of the entry, so that a
    constant model has no gain.

    Parameters
    ----------
    problem : Problem
        The problem, which defines the positions of the biases.
    factors : tuple of two ndarrays
        The factors W and Ht.
    parts : tuple of (BackgroundObservations, StoredObservations)
        The visible and the hidden entries.
    rows : ndarray of int
        Indices of the rows; each must have a positive hidden entry.

    Returns
    -------
    gains : ndarray of shape (len(rows),)
        The gains, in [0, 1].
    """
    left, right = problem.model_factors(*factors)
    gains = np.empty(len(rows))
    step = max(1, CHUNK // max(1, len(right)))

    def judge(start):
        some = slice(start, start + step)
        scores = left[rows[some]] @ right.T
        for number, row in enumerate(rows[some]):
            gains[start + number] = _gain(scores[number], *(part.of_row(row) for part in parts))

    with one_blas_thread():
        in_threads(judge, range(0, len(rows), step), len(rows) * right.size)
    return gains


def _gain(scores, visible, hidden):
    columns, values = hidden
    at = scores[columns[values > 0]]
    scores[visible[0]] = -np.inf
    ranks = np.count_nonzero(scores >= at[:, None], axis=1)
    best = np.arange(1, len(at) + 1)
    return np.sum(1 / np.log2(1 + ranks)) / np.sum(1 / np.log2(1 + best))


def _some_rows(hidden: StoredObservations, most):
    """Return at most this number of rows with a positive hidden entry, evenly spaced."""
    wanted = np.bincount(hidden.entry_rows()[hidden.values > 0], minlength=hidden.shape[0])
    rows = np.flatnonzero(wanted)
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.intp)]
