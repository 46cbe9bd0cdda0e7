"""How many components data have: as hidden entries tell, or a share of the variance."""

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

# What ``n_components="auto"``, and None where entries are missing, try at most, and on which hidden
# entries; sweeps at a rank.
MOST_COMPONENTS, N_HOLD_OUTS, HIDDEN_SHARE, N_SWEEPS = 50, 5, 0.2, 100
# Under ``alpha_W="auto"`` strengths are tried beside ranks, shares of the deviation, and which of
# them is the first.
FOR_RANKS, FIRST = (0.5, 0.25, 0.12, 0.06, 0.03, 0.01, 0.003, 0.001, 1e-4, 1e-5, 0.0), 0.12
# The standard deviation of normal numbers beside the median of their absolute values.
NORMAL = 1.4826
# Share of the error that is no reason for another component, however sure it is.
NEGLIGIBLE = 1e-3


def rank_of_hidden_entries(paths: Paths, observations: ObservedMatrix, strengths, random_state):
    """The rank that ``n_components="auto"`` means.

    Parameters
    ----------
    paths : Paths
        To be followed.
    observations : ObservedMatrix
        In the unit of the data.
    strengths : tuple of (sequence of Strength, int)
        Which to try, and the index of the first.
    random_state : int, RandomState instance or None
        Hides entries.

    Returns
    -------
    rank : int
        The smallest whose error is within one standard error of the least.
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
    """Which strengths to try where the rank is chosen, and the index of the first."""
    unit = unit_of_shares(objective, observations)
    strengths = [Strength.of_share(share, unit, objective.l1_ratio) for share in FOR_RANKS]
    return strengths, FOR_RANKS.index(FIRST)


def unit_of_shares(objective: Objective, observations: ObservedMatrix):
    """The deviation of the data: strengths that are shares of it make the same model in any.

    Losses that an outlier hardly moves are given for data that have some: their deviation is the
    median one, or a single entry would make the penalty too strong for all others.
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
    """Observations entry by entry, unless that would store zeros."""
    is_sparse = isinstance(observations, ZeroFilledObservations)
    return observations if is_sparse else observations.stored()


def _hold_outs(observations: ObservedMatrix, random_state):
    """Seeds of as many hold-outs as are enough."""
    n_hidden = HIDDEN_SHARE * observations.n_observed
    if isinstance(observations, ZeroFilledObservations):  # of rows, in which some are hidden
        n_hidden *= HIDDEN_COLUMNS
    n_hold_outs = min(n_enough(n_hidden), N_HOLD_OUTS)
    return check_random_state(random_state).randint(2**31 - 1, size=n_hold_outs)


def rank_of_variance(observations: ObservedMatrix, share, is_centred):
    """The smallest rank that has at least a share of the variance of complete data.

    Parameters
    ----------
    observations : DenseObservations
        Complete.
    share : float
        In (0, 1).
    is_centred : bool
        Whether means of the features do not count.

    Returns
    -------
    rank : int
        At least 1.
    """
    X = observations.values
    if is_centred:
        X = X - column_means(observations)
    if observations.row_weight is not None:
        X = X * np.sqrt(observations.row_weight)[:, None]
    squares = np.linalg.svd(X, compute_uv=False).astype(np.float64) ** 2
    shares = np.cumsum(squares) / max(squares.sum(), np.finfo(np.float64).tiny)
    enough = share - max(X.shape) * np.finfo(X.dtype).eps  # sums are rounded
    return min(int(np.searchsorted(shares, enough)) + 1, len(shares))


def of_every_rank(ranks, strengths, results_of, first, n_deciding, least):
    """Results of every rank, under the best of the strengths that it was tried with.

    A strength that suits few components hides those that a weaker one would find, and a rank tells
    which strength it needs. So the ranks are tried under one strength, then strengths at the best
    rank and at the simplest that is nearly as good, in turns, until no turn begins anew.

    Parameters
    ----------
    ranks : sequence
        Ascending.
    strengths : sequence
        The largest first.
    results_of : callable
        Gets ranks and strengths, of which one is alone, and follows the other, and a slice of
        folds; returns an ndarray of shape (n_folds, n_strengths, n_ranks, n_results), the score
        first: NaN where a path had ended.
    first : int
        Index of the strength to begin with.
    n_deciding : int
        Number of folds that are enough to choose a strength.
    least : float
        A difference that is no difference.

    Returns
    -------
    results : ndarray of shape (n_folds, n_ranks, n_results)
        NaN where a path had ended.
    """
    if len(strengths) == 1:
        return results_of(ranks, strengths, slice(None))[:, 0]
    found, lines = [[] for _ in ranks], []
    tried, begun, to_begin = set(), set(), [first]

    def column_of(rank):
        """Results of a rank under all strengths."""
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
    # A rank that was tried under all strengths has an advantage over its neighbours.
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
    # Where the path of the best strength had ended, those of others tell no more.
    ended = lines[_best([line[_best(line)] for line in lines])][..., 0].T
    results[np.isnan(ended)] = np.nan
    return results


def _best(results):
    """Which of some results, each of shape (n_folds, n_results), has the best mean score."""
    means = [result[:, 0].mean() for result in results]
    return int(np.argmax(np.nan_to_num(means, nan=-np.inf)))


def simplest_of_the_best(scores, least=0.0):
    """The first candidate, the simplest first, that is within one standard error of the best.

    That is the standard error of how much worse it is on the same hidden entries, or of the best
    score if that is less, since folds in which a candidate fails are no reason to take it.

    Parameters
    ----------
    scores : ndarray of shape (n_candidates, n_folds)
        NaN where a path had ended.
    least : float
        A difference that is no difference, beside a thousandth of the best score.

    Returns
    -------
    index : int
        Of that candidate.
    """
    best = scores[int(np.nanargmax(scores.mean(axis=1)))]
    losses = best - scores
    errors = np.minimum(losses.std(axis=1), best.std()) / np.sqrt(max(scores.shape[1] - 1, 1))
    least = max(least, NEGLIGIBLE * abs(float(best.mean())))
    return int(np.argmax(losses.mean(axis=1) <= np.maximum(errors, least)))


def simplest_of_the_good(scores):
    """The same within one standard error of the best score itself, which most candidates are."""
    best = scores[int(np.nanargmax(scores.mean(axis=1)))]
    error = best.std() / np.sqrt(max(scores.shape[1] - 1, 1))
    return int(np.argmax(scores.mean(axis=1) >= best.mean() - error))
