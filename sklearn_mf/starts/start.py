"""Initialization. Only the factor of the features may be random; W follows from it.

Therefore no initialization depends on the number of samples: a sample with weight two has the same
initialization as two copies of it.
"""

import numpy as np

from sklearn_mf.losses import BaseLoss
from sklearn_mf.objective.constants import first_bias
from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.starts.krylov import leading_directions

INITS = ("svd", "random")

# Number of products of X and its transpose: an initialization need not be accurate.
START_STEPS = 3
MAX_HALVINGS = 30
# Size of random initial components without a known direction, relative to the largest component.
SMALL = 1e-3
# Number of rounding errors of an entry in the mean of its column.
ROUNDING = 10


def start(problem: Problem, init, random_state, bias=None):
    """Return initial factors W and Ht.

    Parameters
    ----------
    problem : Problem
        The problem to be solved.
    init : {"svd", "random"} or ndarray of shape (n_features, n_components)
        The initialization, or the factor of the features itself.
    random_state : RandomState
        Source of random numbers.
    bias : ndarray of shape (n_features,) or None
        Initial biases of the features; None uses their means.

    Returns
    -------
    W : ndarray of shape (n_rows, k)
        Factor of the samples, including a bias column if the samples have one.
    Ht : ndarray of shape (n_columns, k)
        Factor of the features, likewise.
    """
    samples, layout = problem.observations, problem.layout
    unseen = problem.T.observations.row_totals() == 0
    if bias is None:
        bias = first_bias(problem)
    if isinstance(init, str):
        W, Ht = {"svd": _svd, "random": _random}[init](problem, bias, random_state)
        W, Ht = _feasible(problem, W, Ht)
        Ht[unseen] = 0  # solvers do not change features without observed entries
        W = layout.with_row_bias(W, np.zeros_like(W, shape=len(W)))
        Ht = layout.T.with_row_bias(Ht, bias)
        return problem.balanced(*_shrunk(problem, W, Ht))
    Ht = np.array(init, dtype=samples.dtype, order="C")
    Ht[unseen] = 0
    if Ht.shape[1] == problem.n_components:
        Ht = layout.T.with_row_bias(Ht, bias)
    return problem.fold_in(Ht), Ht


def without_saddles(problem: Problem, Ht, random_state):
    """Replace zero components, which no solver can leave, by small random numbers.

    Parameters
    ----------
    problem : Problem
        The problem to be solved.
    Ht : ndarray of shape (n_columns, k)
        Factor of the features, possibly with zero components.
    random_state : RandomState
        Source of random numbers.

    Returns
    -------
    Ht : ndarray of shape (n_columns, k)
        The same array, if no component is zero or if factors must be non-negative.
    """
    lengths = np.linalg.norm(problem.layout.components(Ht), axis=0)
    dead = np.flatnonzero(lengths == 0)
    if not len(dead) or not problem.is_smooth:
        return Ht
    drawn = random_state.standard_normal((len(dead), len(Ht))).T / np.sqrt(len(Ht))
    Ht = Ht.copy()
    Ht[:, dead] = np.sqrt(SMALL) * (lengths.max() or 1.0) * drawn
    return Ht


def _feasible(problem: Problem, W, Ht):
    """Make the initialization non-negative where required, keeping the larger part of each sign.

    This is the initialization of Boutsidis & Gallopoulos 2008
    (:doi:`10.1016/j.patcog.2007.09.010`).
    """
    cut_W, cut_Ht = problem.rows.penalty.positive, problem.columns.penalty.positive
    if not (cut_W or cut_Ht):
        return W, Ht
    upper, lower = (
        (problem.row_weight @ np.maximum(sign * W, 0) ** 2 if cut_W and W.any() else 1)
        * (np.sum(np.maximum(sign * Ht, 0) ** 2, axis=0) if cut_Ht else 1)
        for sign in (1, -1)
    )
    sign = np.where(upper >= lower, 1, -1).astype(Ht.dtype)
    return tuple(
        np.maximum(sign * V, 0) if cut else sign * V for V, cut in ((W, cut_W), (Ht, cut_Ht))
    )


def _shrunk(problem: Problem, W, Ht):
    """Shrink components until they decrease the cost: counts are not logarithms of rates."""
    if problem.loss.is_squared or not W.any():
        return W, Ht
    best = np.zeros_like(W), Ht
    least = problem.value(*best)
    share = np.ones(Ht.shape[1], dtype=Ht.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(MAX_HALVINGS):
            trial = W * share[0], Ht * share
            cost = problem.value(*trial)
            if cost < least:
                best, least = trial, cost
            elif best[0].any():
                break
            share[: problem.n_components] /= 2
    return best


def zeros(problem: Problem):
    """Return factors of zeros, for solvers that need no initialization."""
    dtype = problem.observations.dtype
    n_rows, n_columns = problem.observations.shape
    return np.zeros((n_rows, problem.width), dtype), np.zeros((n_columns, problem.T.width), dtype)


def _column_weights(observations: ObservedMatrix):
    if observations.column_weight is not None:
        return observations.column_weight
    return np.ones(observations.shape[1], dtype=observations.dtype)


def _random(problem: Problem, bias, random_state):
    """Return a random H and a W of zeros: least squares at a random H would give a large W."""
    samples, k = problem.observations, problem.n_components
    n_rows, n_columns = samples.shape
    ones, model = np.ones((n_rows, 1), dtype=samples.dtype), bias[:, None] + problem.offset
    cost = 2 * samples.total_loss(ones, model, problem.loss)
    # The product of two factors of this scale has the size of X. The smallest value of a loss with
    # a rounded corner may be slightly negative.
    scale = max(0.0, cost / _total_curvature(problem, ones, model)) ** 0.25 / k**0.25
    if problem.loss.is_squared and _is_rounding(samples, cost):
        scale = 0.0
    Ht = scale * random_state.standard_normal((k, n_columns)).T
    W = np.zeros((n_rows, k), dtype=samples.dtype)
    return W, np.ascontiguousarray(Ht, dtype=samples.dtype)


def _total_curvature(problem: Problem, ones, model):
    """Return the number by which a cost is divided to give a square of model values.

    It is usually the number of entries. If model values are logarithms, the costs have the size of
    the data, which is unrelated to that of the model values.
    """
    loss = problem.loss
    if all(type(part).mean is BaseLoss.mean for part in loss.parts):
        return problem.T.observations.row_totals().sum(dtype=np.float64)
    return sum(
        float(bound.row_totals().astype(np.float64) @ problem.row_weight[rows])
        for rows, bound in problem.bounds(ones, model)
    )


def _svd(problem: Problem, bias, random_state):
    """Return leading singular vectors of X, in which biases replace missing entries.

    Missing entries decrease the singular values, which are rescaled by the fraction of observed
    entries.
    """
    features = problem.T.observations
    n_columns = features.shape[0]
    k, dtype = problem.n_components, features.dtype
    offsets = problem.loss.mean(bias + dtype.type(problem.offset))
    found = leading_directions(problem, offsets, START_STEPS, random_state)
    values, vectors = found.values.astype(dtype), found.vectors
    image = problem.observations.product(vectors, offsets)
    # Beyond the rank of X, the singular vectors are rounding errors, and zeros would be a saddle
    # point that no solver can leave. These components are therefore small random numbers.
    unknown = values <= np.sqrt(np.finfo(dtype).eps) * values[0]
    vectors[:, unknown] = random_state.standard_normal((k, n_columns)).T[:, unknown]
    vectors[:, unknown] /= np.sqrt(n_columns)
    image[:, unknown] = 0
    root = np.sqrt(np.where(unknown, SMALL * values[0], values))
    weights = _column_weights(features)
    observed = features.row_totals().sum() / (n_columns * weights.sum())
    if _is_rounding(problem.observations, float(values[0]) ** 2):
        root[:] = 0
    Ht = vectors * (root / np.sqrt(observed))
    W = np.divide(image, root * np.sqrt(observed), out=np.zeros_like(image), where=root > 0)
    return W.astype(dtype), np.ascontiguousarray(Ht, dtype=dtype)


def _is_rounding(observations: ObservedMatrix, squares):
    """Return whether a sum of squares consists of rounding errors of the data.

    Data that are explained by biases need no components: components that fit rounding errors have
    large codes.
    """
    eps = float(np.finfo(observations.dtype).eps)
    return squares <= (ROUNDING * eps) ** 2 * observations.total_squares
