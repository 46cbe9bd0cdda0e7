"""How high a model ranks what was hidden from it, among all that it was not shown."""

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

# Rows by which a model is judged, at most, and while it is fitted.
JUDGED, WATCHED = 5000, 1000
# Scores that are looked at together.
CHUNK = 1 << 19


class HiddenRanks:
    """Ranks of what a solver was not shown: what early stopping looks at.

    Parameters
    ----------
    solver : BaseSolver
        Knows codes for the components.
    problem : Problem
        What the solver sees.
    held_out : HeldOut
        What it does not.
    """

    def __init__(self, solver, problem: Problem, held_out: HeldOut):
        self.solver, self.problem = solver, problem
        self.hidden = held_out.hidden
        self.rows = _some_rows(self.hidden, WATCHED)

    def __call__(self, state):
        """Mean normalized discounted gain of the hidden entries."""
        W = self.solver.codes(self.problem, state)
        visible = self.problem.observations
        gains = discounted_gains(self.problem, (W, state.Ht), (visible, self.hidden), self.rows)
        return float(gains.mean()) if len(gains) else 0.0


def score_of_hidden_ranks(problem: Problem, model: FactorModel):
    """Mean normalized discounted gain where a share of each row is hidden.

    Parameters
    ----------
    problem : Problem
        The rows, in the unit of the model.
    model : FactorModel
        To be judged.

    Returns
    -------
    score : float
        In [0, 1]; NaN, with a warning, where nothing can be hidden.
    """
    problem, Ht = model.fixed(problem)
    visible, hidden = problem.observations.split(HIDDEN_SHARE, hiding_stream(HIDDEN_SEED))
    rows = _some_rows(hidden, JUDGED)
    if not len(rows):
        what = "score is not defined: no row of X has a wanted entry to spare."
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
    """How high hidden entries of some rows are ranked among all columns that are not visible.

    Of an entry at rank r the gain is ``1 / log2(1 + r)``; the sum over a row is divided by what it
    would be, were all of them at the top. Columns with the same score are ahead of it: a model that
    knows nothing gets nothing for it.

    Parameters
    ----------
    problem : Problem
        Knows where biases stand.
    factors : tuple of two ndarrays
        W and Ht.
    parts : tuple of (BackgroundObservations, StoredObservations)
        What is visible, and what is hidden.
    rows : ndarray of int
        Which rows; each has a hidden entry that is wanted.

    Returns
    -------
    gains : ndarray of shape (len(rows),)
        In [0, 1].
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
    """At most so many of the rows with a hidden entry that is wanted, spread over all."""
    wanted = np.bincount(hidden.entry_rows()[hidden.values > 0], minlength=hidden.shape[0])
    rows = np.flatnonzero(wanted)
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.intp)]
