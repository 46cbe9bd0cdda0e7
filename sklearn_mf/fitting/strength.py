"""How strong the penalty of data with holes must be, and of what rank their model: downhill.

Some entries are hidden, and predicted at one point of the grid of ranks and strengths after the
other, each from the factors of the best one before. Ranks are doubled as long as that helps, or
other strengths do; then smaller ones are tried under the strength that was found.
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

# Strengths in units of the deviation of the data, each half the one before, and where to begin.
# None at all is not among them: the last leaves hardly an error where there is no noise, and
# forgives too large a rank. A step must bring a gain. Before the rank is settled it ends at the one
# of number LAST: under weaker ones large ranks are slow.
SHARES = tuple(2.0**power for power in range(1, -17, -1))
FIRST, GAIN, LAST, WEAKEST = 4, 0.995, 10, len(SHARES) - 1
# Sweeps at a point: two, and more while the hidden error falls fast.
MOST_SWEEPS, FAST = 30, 0.7
# What mean squares are compared by. Of a rank that is neither clearly worse nor clearly better than
# the best, other strengths are tried; beyond one that is worse, no larger rank. Nor is it where so
# little is left of the error of one component: nothing is noise there, and weak penalties are slow.
NEAR, EXACT = 1.04, 0.01
# Smaller ranks are looked for below those that are not so much worse, and between them and those
# that are, until they differ by such a part.
WORSE, PART = 1.1, 4
# Up to so many ranks are all tried.
FEW = 5


@dataclass
class Trials:
    """Factors of what is visible at points of the grid, and their errors of what is hidden.

    Attributes
    ----------
    problem_of : callable
        The problem of what is visible, for a rank and a strength.
    hidden : StoredObservations
        What it does not see.
    n_trials : int
        How many hold-outs lie along the diagonal of both.
    random_state : RandomState
        Draws starts.
    """

    problem_of: callable
    hidden: object
    n_trials: int
    random_state: object
    factors: dict = field(default_factory=dict)
    errors: dict = field(default_factory=dict)

    def error_at(self, point, source=None):
        """Mean squared error at a rank and the number of a strength.

        If the point is new, it is reached from another one, or from the start.
        """
        if point in self.errors:
            return self.errors[point]
        rank, index = point
        problem = self.problem_of(rank, SHARES[index])
        factors = _nothing(problem) if source is None else self.factors[source]
        if source and source[0] > rank:
            factors = narrowed(problem, *factors, self.n_trials)
        elif not source or source[0] < rank or source[1] < index:
            # Components that stronger penalties had shrunk away are found again.
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
        """What all hidden entries count together."""
        return total_weight(self.hidden)


def _nothing(problem: Problem):
    """Factors without components: biases where they start."""
    shape = problem.observations.shape[0], int(problem.rows.has_bias)
    W = np.zeros(shape, problem.observations.dtype)
    return W, first_bias(problem)[:, None][:, : int(problem.columns.has_bias)]


def strength_at(trials, rank):
    """The share of the deviation that predicts hidden entries of a rank best.

    Parameters
    ----------
    trials : Trials
        In each of them other entries are hidden.
    rank : int
        Number of components.

    Returns
    -------
    share : float
        Between the strengths that were tried.
    Ht : ndarray of shape (n_columns, k)
        The columns' factor of one of the trials nearby.
    """
    slope = Slope(trials)
    slope.visit(rank)
    return slope.refined(rank), slope.start(rank)


def rank_and_strength(trials, largest, is_full):
    """The rank and the share of the deviation that predict hidden entries best.

    Parameters
    ----------
    trials : Trials
        In each of them other entries are hidden.
    largest : int
        Largest rank.
    is_full : bool
        Whether a model of that rank can follow any data.

    Returns
    -------
    rank : int
        The best of those that were tried.
    share : float
        See `strength_at`.
    Ht : ndarray of shape (n_columns, k)
        See `strength_at`.
    """
    slope = Slope(trials)
    slope.ascend(largest, is_full)
    slope.walk(slope.best, (1,), LAST)
    slope.descend()
    rank = slope.chosen()
    return rank, slope.refined(rank), slope.start(rank)


class Slope:
    """Which strength is best at every rank that was tried.

    Parameters
    ----------
    trials : Trials
        What is walked on.
    """

    def __init__(self, trials):
        self.trials, self.lowest = trials, {}  # of every rank the number of its strength

    def error_of(self, rank):
        """The least error of a rank."""
        return self.trials.error_at((rank, self.lowest[rank]))

    @property
    def best(self):
        """The rank of the least error."""
        return min(self.lowest, key=self.error_of)

    def is_near(self, rank, limit):
        """Whether the error of a rank is at most so many times the least."""
        return self.error_of(rank) <= limit * self.error_of(self.best)

    def ascend(self, largest, is_full):
        """Double the rank until that is worse, or hardly an error is left.

        A model that can follow any data is a convex problem, of which smaller ranks say nothing.
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
        """Smaller ranks than those that are not clearly worse than the best, as long as they help.

        Those that were tried before, under another strength, and between them where it matters.
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
        """Try a rank from the best one, and other strengths if it may be better."""
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
        """Weaker penalties up to some number, or else stronger ones, as long as they are better."""
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
        """The best rank; under a penalty that forgives nothing the smallest that is as good."""
        if self.lowest[self.best] < LAST:
            return self.best
        return min(rank for rank in self.lowest if self.is_near(rank, 1 / GAIN))

    def start(self, rank):
        """Where a fit to all entries may start: the columns' factor of the first trial."""
        _, Ht = self.trials.factors[rank, self.lowest[rank]]
        return Ht[: len(Ht) // self.trials.n_trials]

    def refined(self, rank):
        """The strength at the lowest point of a parabola, of logarithms, around a bottom."""
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
