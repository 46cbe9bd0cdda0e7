"""Choice of the rank by hidden entries, or by the explained variance."""

from dataclasses import replace

import numpy as np
from sklearn.utils import check_random_state

from sklearn_mf.fitting.hidden import HiddenGroups, hold_out, n_enough
from sklearn_mf.fitting.paths import PRECISION, Paths, follow
from sklearn_mf.losses import Absolute, Huber, Quantile
from sklearn_mf.objective.constants import column_means, first_bias
from sklearn_mf.objective.objective import Objective, Strength
from sklearn_mf.objective.units import Unit
from sklearn_mf.observations import ObservedMatrix, ZeroFilledObservations
from sklearn_mf.utils._hiding import HIDDEN_COLUMNS

# Maximum rank for ``n_components="auto"``, and for None if entries are missing; number of
# hold-outs, their fraction of the entries, and maximum number of sweeps at a rank.
MOST_COMPONENTS, N_HOLD_OUTS, HIDDEN_SHARE, N_SWEEPS = 50, 5, 0.2, 100
# With ``alpha_W="auto"``, these multiples of the standard deviation are tried as strengths; FIRST
# is the first one.
FOR_RANKS, FIRST = (0.5, 0.25, 0.12, 0.06, 0.03, 0.01, 0.003, 0.001, 1e-4, 1e-5, 0.0), 0.12
# Ratio of the standard deviation of normally distributed numbers to the median of their absolute
# values.
NORMAL = 1.4826
# A decrease of the error below this fraction does not justify another component, even if it is
# significant.
NEGLIGIBLE = 1e-3


def rank_of_hidden_entries(paths: Paths, observations: ObservedMatrix, strengths, random_state):
    """Return the rank for ``n_components="auto"``.

    Parameters
    ----------
    paths : Paths
        The paths.
    observations : ObservedMatrix
        The data, in their own unit.
    strengths : tuple of (sequence of Strength, int)
        Strengths to try, and the index of the first one.
    random_state : int, RandomState instance or None
        Controls which entries are hidden.

    Returns
    -------
    rank : int
        The smallest rank whose error is within one standard error of the smallest error.
    """
    ranks = np.arange(1, min(*observations.shape, MOST_COMPONENTS) + 1)
    if len(ranks) == 1:
        return 1
    strengths, first = strengths
    least = (PRECISION * unit_of_shares(paths.objective, observations).size) ** 2
    observations = paths.unit.observations(observations)
    seeds = _hold_outs(observations, random_state)
    n_groups = -(-N_HOLD_OUTS // len(seeds))
    work = observations.n_observed * int(ranks[-1]) ** 2

    def results_of(ranks, strengths, folds):
        def along_path(seed):
            names = "n_components='auto'", "an int"
            held_out = hold_out(observations, HIDDEN_SHARE, seed, names)
            parts = of_entries(held_out.visible), HiddenGroups(held_out, n_groups)
            scores, _ = paths.results(parts, (ranks, strengths), N_SWEEPS, seed)
            return np.moveaxis(scores, -1, 0)

        return np.concatenate(follow(along_path, seeds[folds], work))[..., None]

    results = of_every_rank(ranks, strengths, results_of, first, len(seeds), least)
    return int(ranks[simplest_of_the_best(results[..., 0].T, least)])


def strengths_for_ranks(objective: Objective, observations: ObservedMatrix):
    """Return the strengths to try with the ranks, and the index of the first one."""
    unit = unit_of_shares(objective, observations)
    strengths = [Strength.of_share(share, unit, objective.l1_ratio) for share in FOR_RANKS]
    return strengths, FOR_RANKS.index(FIRST)


def unit_of_shares(objective: Objective, observations: ObservedMatrix):
    """Return the deviation of the data, the unit of relative strengths.

    Robust losses are used for data with outliers. For them it is the median absolute deviation,
    because a single outlier would make the penalty too strong for all other entries.
    """
    problem, loss = objective.problem(observations, 1), objective.loss
    unit = Unit.of_size(problem)
    is_robust = all(isinstance(part, Absolute | Quantile | Huber) for part in loss.parts)
    if not is_robust or isinstance(observations, ZeroFilledObservations):
        return unit
    entries = observations.stored()
    bias = first_bias(problem) + entries.dtype.type(problem.offset)
    deviations = np.abs(entries.values - bias[entries.indices])
    median = NORMAL * float(np.median(deviations))
    return replace(unit, size=median) if 0 < median < unit.size else unit


def of_entries(observations: ObservedMatrix):
    """Return the observations as single entries, unless this would store zeros."""
    is_sparse = isinstance(observations, ZeroFilledObservations)
    return observations if is_sparse else observations.stored()


def _hold_outs(observations: ObservedMatrix, random_state):
    """Return seeds of as many hold-outs as are enough."""
    n_hidden = HIDDEN_SHARE * observations.n_observed
    if isinstance(observations, ZeroFilledObservations):  # hold-outs hide blocks of rows
        n_hidden *= HIDDEN_COLUMNS
    n_hold_outs = min(n_enough(n_hidden), N_HOLD_OUTS)
    return check_random_state(random_state).randint(2**31 - 1, size=n_hold_outs)


def rank_of_variance(observations: ObservedMatrix, share, is_centred):
    """Return the smallest rank that explains a fraction of the variance of complete data.

    Parameters
    ----------
    observations : DenseObservations
        Complete data.
    share : float
        The fraction, in (0, 1).
    is_centred : bool
        Whether the means of the features are subtracted.

    Returns
    -------
    rank : int
        The rank, at least 1.
    """
    X = observations.values
    if is_centred:
        X = X - column_means(observations)
    if observations.row_weight is not None:
        X = X * np.sqrt(observations.row_weight)[:, None]
    squares = np.linalg.svd(X, compute_uv=False).astype(np.float64) ** 2
    shares = np.cumsum(squares) / max(squares.sum(), np.finfo(np.float64).tiny)
    enough = share - max(X.shape) * np.finfo(X.dtype).eps  # tolerance for rounding errors
    return min(int(np.searchsorted(shares, enough)) + 1, len(shares))


def of_every_rank(ranks, strengths, results_of, first, n_deciding, least):
    """Return the results of every rank with the best strength among those tried with it.

    A strength that suits few components hides those that a weaker one would find, and the best
    strength depends on the rank. Therefore the ranks are tried with one strength, and the strengths
    with the best rank and with the simplest rank that is nearly as good, alternately, until nothing
    new remains.

    Parameters
    ----------
    ranks : sequence
        Ranks in ascending order.
    strengths : sequence
        Strengths in descending order.
    results_of : callable
        A function of ranks and strengths (one of them a single value), and of a slice of folds. It
        returns an ndarray of shape (n_folds, n_strengths, n_ranks, n_results). The first result is
        the score, NaN after the end of a path.
    first : int
        Index of the first strength.
    n_deciding : int
        Number of folds that are enough to choose a strength.
    least : float
        Differences below this number are ignored.

    Returns
    -------
    results : ndarray of shape (n_folds, n_ranks, n_results)
        The results; NaN after the end of a path.
    """
    if len(strengths) == 1:
        return results_of(ranks, strengths, slice(None))[:, 0]
    found, lines = [[] for _ in ranks], []
    tried, begun, to_begin = set(), set(), [first]

    def column_of(rank):
        """Return the results of a rank with all strengths."""
        tried.add(rank)
        column = results_of(ranks[rank : rank + 1], strengths, slice(n_deciding))[:, :, 0]
        if len(column) == len(found[rank][0]):
            found[rank] += list(column.swapaxes(0, 1))
        return column.swapaxes(0, 1)

    while to_begin:
        index = to_begin.pop()
        begun.add(index)
        line = results_of(ranks, strengths[index : index + 1], slice(None))[:, 0].swapaxes(0, 1)
        lines.append(line)
        for of_rank, results in zip(found, line, strict=True):
            of_rank.append(results)
        promising = {_best(line), simplest_of_the_good(line[..., 0])}
        to_begin += {_best(column_of(rank)) for rank in promising - tried} - begun - {*to_begin}
    # A rank that was tried with all strengths has an advantage over its neighbors.
    n_folds = len(found[0][0])
    while n_deciding >= n_folds:
        scores = np.stack([of_rank[_best(of_rank)][:, 0] for of_rank in found])
        winner = simplest_of_the_best(scores, least)
        untried = {winner - 1, winner, winner + 1} & {*range(len(ranks))} - tried
        if not untried:
            break
        for rank in untried:
            column_of(rank)
    results = np.stack([of_rank[_best(of_rank)] for of_rank in found], axis=1)
    # If the path of the best strength has ended, the results of other strengths are not used.
    ended = lines[_best([line[_best(line)] for line in lines])][..., 0].T
    results[np.isnan(ended)] = np.nan
    return results


def _best(results):
    """Return the index of the results, of shape (n_folds, n_results), with the best mean score."""
    means = [result[:, 0].mean() for result in results]
    return int(np.argmax(np.nan_to_num(means, nan=-np.inf)))


def simplest_of_the_best(scores, least=0.0):
    """Return the first candidate, in order of complexity, within one standard error of the best.

    This is the standard error of its mean difference from the best score on the same hidden
    entries, or of the best score itself if that is smaller: a candidate that fails in some folds
    should not profit from its variance.

    Parameters
    ----------
    scores : ndarray of shape (n_candidates, n_folds)
        Scores; NaN after the end of a path.
    least : float
        Differences below this number, or below a thousandth of the best score, are ignored.

    Returns
    -------
    index : int
        Index of the candidate.
    """
    best = scores[int(np.nanargmax(scores.mean(axis=1)))]
    losses = best - scores
    errors = np.minimum(losses.std(axis=1), best.std()) / np.sqrt(max(scores.shape[1] - 1, 1))
    least = max(least, NEGLIGIBLE * abs(float(best.mean())))
    return int(np.argmax(losses.mean(axis=1) <= np.maximum(errors, least)))


def simplest_of_the_good(scores):
    """Return the first candidate within one standard error of the best score itself."""
    best = scores[int(np.nanargmax(scores.mean(axis=1)))]
    error = best.std() / np.sqrt(max(scores.shape[1] - 1, 1))
    return int(np.argmax(scores.mean(axis=1) >= best.mean() - error))
