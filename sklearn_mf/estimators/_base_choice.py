"""What the parameters of MatrixFactorization leave to the data: the rank, and the penalty."""

from sklearn_mf.fitting.automatic import (
    Choice,
    chosen_by_hidden_entries,
    share_missing,
    typical_strength,
)
from sklearn_mf.fitting.paths import Paths
from sklearn_mf.fitting.ranks import rank_of_hidden_entries, rank_of_variance, strengths_for_ranks
from sklearn_mf.objective.objective import NOTHING, Objective
from sklearn_mf.observations import DenseObservations, ObservedMatrix
from sklearn_mf.solvers import ALS
from sklearn_mf.utils._validation import Integral, RealNotInt


def choose(estimator, objective: Objective, observations: ObservedMatrix, is_warm_start):
    """Rank and strength of the penalties, as parameters and data say.

    Parameters
    ----------
    estimator : MatrixFactorization
        Its parameters are valid.
    objective : Objective
        At the strength of the parameters, or of the last fit.
    observations : ObservedMatrix
        The data.
    is_warm_start : bool
        Whether a fit goes on from the last one: what that has chosen holds.

    Returns
    -------
    choice : Choice
        With a start where hidden entries have chosen.
    """
    is_auto = estimator.alpha_W == "auto"
    if is_warm_start and is_auto and estimator.n_components is None:
        return Choice(estimator.n_components_, objective.strength)
    if is_warm_start or not is_auto:
        return Choice(_rank(estimator, objective, observations), objective.strength)
    if share_missing(observations) == 0:
        return Choice(_rank(estimator, objective, observations), NOTHING)
    is_free = estimator.n_components is None and isinstance(estimator.init, str)
    rank = None if is_free else _rank(estimator, objective, observations)
    seed = estimator.random_state
    choice = chosen_by_hidden_entries(objective, observations, rank, seed)
    if choice is not None:
        return choice
    rank = _rank(estimator, objective, observations) if rank is None else rank
    return Choice(rank, typical_strength(objective, observations))


def check_n_components(n_components, shape):
    """The rank that is asked for; where that depends on all data, as if it were not given."""
    most = min(shape)
    if not isinstance(n_components, Integral):
        return min(10, most)
    if n_components > most:
        sides = "min(n_samples, n_features)" if len(shape) == 2 else "n_features"
        raise ValueError(
            f"n_components={n_components} is too large: it must be at most {sides}={most}."
        )
    return n_components


def _rank(estimator, objective: Objective, observations: ObservedMatrix):
    n_components = estimator.n_components
    if n_components == "auto":
        paths, strengths = _paths(estimator, objective, observations), ([objective.strength], 0)
        if estimator.alpha_W == "auto":
            strengths = strengths_for_ranks(objective, observations)
        return rank_of_hidden_entries(paths, observations, strengths, estimator.random_state)
    if not isinstance(n_components, RealNotInt):
        return check_n_components(n_components, observations.shape)
    dense = isinstance(observations, DenseObservations) and observations.complete
    if not (dense and objective.loss.is_squared) or objective.has_sample_bias:
        raise ValueError(
            f"n_components={n_components} is a share of the variance of dense, not sparse and "
            "complete X without entry weights, under the squared loss and without sample bias. Use "
            "n_components='auto', or RankSearchCV."
        )
    return rank_of_variance(observations, n_components, objective.bias == "features")


def _paths(estimator, objective: Objective, observations: ObservedMatrix):
    """Paths along which hidden entries choose a rank; an error where none tells."""
    solves = estimator.solver in ("auto", "als") or isinstance(estimator.solver, ALS)
    paths = Paths.of(estimator, objective, observations) if solves else None
    if paths is None:
        raise ValueError(
            "n_components='auto' needs what alternating least squares solves exactly: "
            "solver='auto' or 'als', a loss with a quadratic bound, positive=False, "
            "l1_ratio=0, a named init, and no early_stopping or warm_start. Use RankSearchCV, "
            "or an int."
        )
    return paths
