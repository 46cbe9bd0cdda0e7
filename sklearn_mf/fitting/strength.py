"""Search for the strength of the penalty and the rank of incomplete data, by descent on a grid.

Some entries are hidden and predicted at points of a grid of ranks and strengths, each fit starting
from the factors of the best previous point. The rank is doubled as long as this, or another
strength, decreases the error. Then smaller ranks are tried with the strength that was found.
"""

from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

import numpy as np

from sklearn_mf.fitting.hidden import total_weight
from sklearn_mf.fitting.paths import sweeps
from sklearn_mf.objective.constants import first_bias
from sklearn_mf.objective.problem import Problem
from sklearn_mf.starts.widened import narrowed, widened

# Strengths relative to the deviation of the data, in powers of two, and the first one that is
# tried. Zero is not among them: without noise, the smallest strength causes hardly any error, and
# it prevents too large a rank. Each step must decrease the error. Before the rank is fixed, the
# search ends at strength number LAST, because large ranks are slow with weaker penalties.
SHARES = tuple(2.0**power for power in range(1, -17, -1))
FIRST, GAIN, LAST, WEAKEST = 4, 0.995, 10, len(SHARES) - 1
# Maximum number of sweeps at a point: two, and more while the hidden error decreases below this
# fraction.
MOST_SWEEPS, FAST = 30, 0.7
# Tolerances of mean squared errors. If the error of a rank is within the factor NEAR of the best
# one, other strengths are tried. Beyond a rank that is worse, no larger ones are tried; nor if the
# error is below EXACT times that of one component, because then there is no noise, and weak
# penalties are slow.
NEAR, EXACT = 1.04, 0.01
# Smaller ranks are tried below those whose error is within this factor, and between these and worse
# ones, until they differ by this fraction.
WORSE, PART = 1.1, 4
# Up to this number of ranks, all are tried.
FEW = 5


@dataclass
class Trials:
    """Fitted factors at points of the grid, and their errors on hidden entries.

    Attributes
    ----------
    problem_of : callable
        A function of a rank and a strength that returns the problem with the visible entries.
    hidden : StoredObservations
        The hidden entries.
    n_trials : int
        Number of hold-outs, stored as blocks along the diagonal.
    random_state : RandomState
        Controls random initializations.
    """

    problem_of: callable
    hidden: object
    n_trials: int
    random_state: object
    factors: dict = field(default_factory=dict)
    errors: dict = field(default_factory=dict)

    def error_at(self, point, source=None):
        """Return the mean squared error at a rank and the index of a strength.

        A new point starts from the factors of another one, or from the initialization.
        """
        if point in self.errors:
            return self.errors[point]
        rank, index = point
        problem = self.problem_of(rank, SHARES[index])
        factors = _nothing(problem) if source is None else self.factors[source]
        if source and source[0] > rank:
            factors = narrowed(problem, *factors, self.n_trials)
        elif not source or source[0] < rank or source[1] < index:
            # Components that stronger penalties had shrunk to zero are recovered.
            factors = widened(problem, *factors, self.random_state, self.n_trials)
        error = np.inf
        for W, Ht in islice(sweeps(problem, *factors), MOST_SWEEPS):
            before, error = error, self._error(problem, W, Ht)
            if not error <= FAST * before:
                break
        self.factors[point], self.errors[point] = (W, Ht), error
        return error

    def _error(self, problem: Problem, W, Ht):
        with np.errstate(over="ignore", invalid="ignore"):
            error = self.hidden.total_loss(*problem.model_factors(W, Ht), problem.loss)
        return float(error / self.weight) if np.isfinite(error) else np.inf

    @cached_property
    def weight(self):
        """Total weight of all hidden entries."""
        return total_weight(self.hidden)


def _nothing(problem: Problem):
    """Return factors without components, with initial biases."""
    shape = problem.observations.shape[0], int(problem.rows.has_bias)
    W = np.zeros(shape, problem.observations.dtype)
    return W, first_bias(problem)[:, None][:, : int(problem.columns.has_bias)]


def strength_at(trials, rank):
    """Return the relative strength that predicts hidden entries best at a rank.

    Parameters
    ----------
    trials : Trials
        Trials that hide different entries.
    rank : int
        Number of components.

    Returns
    -------
    share : float
        The strength, interpolated between those that were tried.
    Ht : ndarray of shape (n_columns, k)
        Factor of the columns of one of the trials, near this strength.
    """
    slope = Slope(trials)
    slope.visit(rank)
    return slope.refined(rank), slope.start(rank)


def rank_and_strength(trials, largest, is_full):
    """Return the rank and the relative strength that predict hidden entries best.

    Parameters
    ----------
    trials : Trials
        Trials that hide different entries.
    largest : int
        Largest rank.
    is_full : bool
        Whether a model with the largest rank can fit any data.

    Returns
    -------
    rank : int
        The best rank among those that were tried.
    share : float
        The strength; see `strength_at`.
    Ht : ndarray of shape (n_columns, k)
        The factor of the columns; see `strength_at`.
    """
    slope = Slope(trials)
    slope.ascend(largest, is_full)
    slope.walk(slope.best, (1,), LAST)
    slope.descend()
    rank = slope.chosen()
    return rank, slope.refined(rank), slope.start(rank)


class Slope:
    """The best strength for each rank that was tried.

    Parameters
    ----------
    trials : Trials
        The trials.
    """

    def __init__(self, trials):
        self.trials, self.lowest = trials, {}  # rank: index of its best strength

    def error_of(self, rank):
        """Return the smallest error of a rank."""
        return self.trials.error_at((rank, self.lowest[rank]))

    @property
    def best(self):
        """Return the rank with the smallest error."""
        return min(self.lowest, key=self.error_of)

    def is_near(self, rank, limit):
        """Return whether the error of a rank is within this factor of the smallest error."""
        return self.error_of(rank) <= limit * self.error_of(self.best)

    def ascend(self, largest, is_full):
        """Double the rank until the error increases, or is nearly zero.

        If a model can fit any data, the problem is convex, and smaller ranks are not informative.
        """
        ranks = [largest >> halvings for halvings in range(largest.bit_length())]
        if largest <= FEW:
            ranks = [*range(largest, 0, -1)]
        rank = ranks.pop()
        self.visit(rank)
        enough = EXACT * self.error_of(rank)
        while ranks and self.error_of(self.best) > enough:
            if not self.is_near(rank, NEAR):
                ranks = ranks[:is_full]
            if ranks:
                rank = ranks.pop()
                self.visit(rank)

    def descend(self):
        """Try smaller ranks below those that are not clearly worse than the best.

        These are the ranks tried before with another strength, and ranks between them if necessary.
        """
        while True:
            enough = min(rank for rank in self.lowest if self.is_near(rank, WORSE))
            below = max((rank for rank in self.lowest if rank < enough), default=0)
            if below == 0:
                break
            self.visit(below)
            if self.is_near(below, WORSE):
                continue
            if enough - below <= max(1, enough // PART):
                break
            self.visit((below + enough) // 2)

    def visit(self, rank):
        """Try a rank, starting from the best one, and other strengths if it may be better."""
        if not self.lowest:
            self.lowest[rank] = FIRST
            self.trials.error_at((rank, FIRST))
            self.walk(rank)
            return
        best = self.best
        index, least = self.lowest[best], self.error_of(best)
        error = self.trials.error_at((rank, index), (best, index))
        if rank not in self.lowest or error < self.error_of(rank):
            self.lowest[rank] = index
        if least <= NEAR * error and error <= NEAR * least:
            self.walk(rank, (1, -1) if error > least else (1,), LAST)

    def walk(self, rank, sides=(1, -1), last=WEAKEST):
        """Try weaker penalties up to some index, or stronger ones, as long as they are better."""
        begin = self.lowest[rank]
        for side in sides:
            index = begin + side
            while 0 <= index <= last:
                error = self.trials.error_at((rank, index), (rank, index - side))
                if not error < GAIN * self.error_of(rank):
                    break
                self.lowest[rank] = index
                index += side
            if self.lowest[rank] != begin:
                break

    def chosen(self):
        """Return the best rank; with the weakest penalty, the smallest rank that is as good."""
        if self.lowest[self.best] < LAST:
            return self.best
        return min(rank for rank in self.lowest if self.is_near(rank, 1 / GAIN))

    def start(self, rank):
        """Return the initialization of a fit to all entries, from the first trial."""
        _, Ht = self.trials.factors[rank, self.lowest[rank]]
        return Ht[: len(Ht) // self.trials.n_trials]

    def refined(self, rank):
        """Return the minimum of a parabola, in logarithms, through the best strengths."""
        self.walk(rank)
        index = self.lowest[rank]
        if not 0 < index < WEAKEST:
            return SHARES[index]
        around = range(index - 1, index + 2)
        errors = [self.trials.error_at((rank, other), (rank, index)) for other in around]
        stronger, here, weaker = errors
        curve = stronger - 2 * here + weaker
        if not 0 < curve < np.inf:
            return SHARES[index]
        return float(SHARES[index] * 2.0 ** np.clip((weaker - stronger) / (2 * curve), -1, 1))
