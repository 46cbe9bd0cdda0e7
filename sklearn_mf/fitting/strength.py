"""How strong the penalty of data with holes must be, and of what rank their model: downhill.

Some entries are hidden, and predicted at one point of the grid of ranks and strengths after the
other, each from the factors of the one before. Ranks are doubled, and at each of them strengths are
left for weaker or stronger ones as long as hidden entries are predicted better.
"""

from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

import numpy as np

from sklearn_mf.fitting.paths import sweeps, widened
from sklearn_mf.starts.start import start
from sklearn_mf.utils._threads import in_threads

# Strengths in units of the deviation of the data, and where to begin. None at all is not among
# them: the last leaves hardly an error where there is no noise, and forgives too large a rank.
# A step must bring a gain. What is clearly worse at one rank is not tried at the next, unless that
# predicts much better.
SHARES = (2, 1, 0.5, 0.25, 0.12, 0.06, 0.03, 0.015, 0.008, 0.004, 0.002, 0.001)
SHARES = (*SHARES, 5e-4, 2.5e-4, 1.2e-4, 6e-5, 3e-5, 1e-5)
FIRST, GAIN, CLEARLY, NEWS = 4, 0.999, 1.04, 0.9
# Where nothing can be hidden, or no alternation tells what hidden entries would say; and of losses
# without a quadratic bound, whose rates run away sooner.
TYPICAL_SHARE, TYPICAL_OF_RATES = 0.1, 0.4
# Sweeps at a point: until the hidden error rests, after a few until it does not fall fast.
FEW_SWEEPS, MOST_SWEEPS, REST, FAST = 3, 30, 5e-3, 0.7
# The largest rank is taken whose mean square is at most so much above the least: a penalty forgives
# too large a rank, and nothing too small a one. Under a weak one the smallest is taken that is
# not so much worse. Ranks are tried until they are worse.
FORGIVEN, WEAK, UNFORGIVEN, RISEN = 1.01, 2.5e-4, 2.0, 1.02
# Up to so many ranks are all tried; of more the last but one is so many times smaller than the
# last, at least.
FEW, CLOSE = 8, 1.75


@dataclass
class Trial:
    """Factors of what is visible at points of the grid, and their errors of what is hidden.

    Attributes
    ----------
    problem_of : callable
        The problem of what is visible, for a rank and a strength.
    hidden : StoredObservations
        What it does not see.
    random_state : RandomState
        Draws starts.
    """

    problem_of: callable
    hidden: object
    random_state: object
    factors: dict = field(default_factory=dict)
    errors: dict = field(default_factory=dict)

    def visit(self, point, source):
        """Go to a rank and the number of a strength, from another point or from the start."""
        rank, index = point
        problem = self.problem_of(rank, SHARES[index])
        if source is None:
            init = "svd" if problem.loss.is_squared else "random"
            path = sweeps(problem, *start(problem, init, self.random_state))
        elif source[1] > index and source[0] == rank:
            path = sweeps(problem, *self.factors[source])
        else:  # components that stronger penalties had shrunk away are found again
            path = sweeps(problem, *widened(problem, *self.factors[source], self.random_state))
        error = np.inf
        for n, (W, Ht) in enumerate(islice(path, MOST_SWEEPS), start=1):
            before, error = error, self._error(problem, W, Ht)
            rests = abs(error - before) <= REST * error
            if rests or (n >= FEW_SWEEPS and not error <= FAST * before):
                break
        self.factors[point], self.errors[point] = (W, Ht), error

    def _error(self, problem, W, Ht):
        with np.errstate(over="ignore", invalid="ignore"):
            error = self.hidden.total_loss(*problem.model_factors(W, Ht), problem.loss)
        return float(error / self.weight) if np.isfinite(error) else np.inf

    @cached_property
    def weight(self):
        """What all hidden entries count together."""
        return self.hidden.total(np.ones_like(self.hidden.values))


def strength_at(trials, rank):
    """The share of the deviation that predicts hidden entries of a rank best.

    Parameters
    ----------
    trials : list of Trial
        In each of them other entries are hidden.
    rank : int
        Number of components.

    Returns
    -------
    share : float
        Between the strengths that were tried.
    """
    slope = Slope(trials)
    return slope.refined(rank, slope.walk(rank, FIRST, None))


def rank_and_strength(trials, largest):
    """The rank and the share of the deviation that predict hidden entries best.

    Parameters
    ----------
    trials : list of Trial
        In each of them other entries are hidden.
    largest : int
        Largest rank.

    Returns
    -------
    rank : int
        The largest of those that are nearly as good.
    share : float
        See `strength_at`.
    """
    slope, index, source, worse = Slope(trials), FIRST, None, 0
    lowest = {}  # of every rank the number of its strength
    for rank in _growing(largest):
        index = lowest[rank] = slope.walk(rank, index, source)
        source = rank, index
        errors = [slope.error((rank, index)) for rank, index in lowest.items()]
        worse = worse + 1 if errors[-1] > RISEN * min(errors) else 0
        if worse == 2:
            break
    best = min(lowest, key=lambda rank: slope.error((rank, lowest[rank])))
    for rank in _between(best, sorted(lowest)) if best < largest else ():
        below = max(other for other in lowest if other < rank)
        lowest[rank] = slope.walk(rank, lowest[best], (below, lowest[below]))
    rank = slope.best(lowest)
    return rank, slope.refined(rank, lowest[rank])


class Slope:
    """Mean errors of some trials, which visit a point when it is asked for.

    Parameters
    ----------
    trials : list of Trial
        All of them go the same way.
    """

    def __init__(self, trials):
        self.trials = trials
        self.refused, self.least = set(), np.inf  # numbers of strengths, and an error

    def error(self, point, source=None):
        """Mean error at a point, reached from another one if it is new."""
        if point not in self.trials[0].errors:
            first = self.trials[0]
            work = first.hidden.n_observed * point[0] ** 2
            in_threads(lambda trial: trial.visit(point, source), self.trials, work)
        return np.mean([trial.errors[point] for trial in self.trials])

    def walk(self, rank, index, source):
        """The number of the strength at the bottom, from that of another rank."""
        errors = {index: self.error((rank, index), source)}
        if errors[index] < NEWS * self.least:
            self.refused = set()
        for step in (1, -1):
            begin = index
            while 0 <= index + step < len(SHARES) and index + step not in self.refused:
                new = index + step
                errors[new] = self.error((rank, new), (rank, index))
                if errors[new] >= GAIN * errors[index]:
                    break
                index = new
            if index != begin:
                break
        self.least, limit = errors[index], CLEARLY * errors[index]
        self.refused = {other for other, error in errors.items() if error > limit}
        return index

    def best(self, lowest):
        """The largest of the ranks, at their bottoms, that are nearly as good as any.

        Where hardly any penalty is left to forgive, the smallest of those not much worse.
        """
        errors = {rank: self.error((rank, index)) for rank, index in lowest.items()}
        least = min(errors.values())
        n_hidden = sum(trial.hidden.n_observed for trial in self.trials)
        limit = (FORGIVEN + 0.5 / np.sqrt(n_hidden)) * least
        largest = max(rank for rank, error in errors.items() if error <= limit)
        if SHARES[lowest[largest]] >= WEAK:
            return largest
        return min(rank for rank, error in errors.items() if error <= UNFORGIVEN * least)

    def refined(self, rank, index):
        """The strength at the lowest point of a parabola, of logarithms, around a bottom."""
        around = [i for i in (index - 1, index, index + 1) if 0 <= i < len(SHARES)]
        errors = {i: self.error((rank, i), (rank, index)) for i in around}
        index = min(errors, key=errors.get)
        if not (index - 1 in errors and index + 1 in errors and np.isfinite(sum(errors.values()))):
            return float(SHARES[index])
        logs = np.log([SHARES[i] for i in around])
        curve, slope, _ = np.polyfit(logs - logs[1], [errors[i] for i in around], 2)
        if not curve > 0:
            return float(SHARES[index])
        move = np.clip(-slope / (2 * curve), logs[2] - logs[1], logs[0] - logs[1])
        return float(np.exp(logs[1] + move))


def _growing(largest):
    """Ranks to try: all if they are few, else doubled."""
    if largest <= FEW:
        return range(1, largest + 1)
    doubled = (2**i for i in range(largest.bit_length()))
    return [*(rank for rank in doubled if CLOSE * rank < largest), largest]


def _between(rank, ranks):
    """Ranks halfway from one of those that were tried to its neighbours."""
    at = ranks.index(rank)
    pairs = [ranks[at - 1 : at + 1], ranks[at : at + 2]]
    return [sum(pair) // 2 for pair in pairs if len(pair) == 2 and pair[1] - pair[0] > 1]
