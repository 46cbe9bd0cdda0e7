"""Starting points. Only the factor of the features is ever drawn; W follows from it.

So no start depends on how many samples there are: a sample of weight two starts as the
same sample twice would.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg
from sklearn.utils.extmath import svd_flip

from sklearn_mf.observations import DenseObservations
from sklearn_mf.penalties import Ridge
from sklearn_mf.utils._threads import one_blas_thread

INITS = ("svd", "random")

# Products of the spectral start with X and back: it is a start, not an answer.
START_STEPS = 3
MAX_HALVINGS = 30
# Beside the largest component, what starts at random where nothing is known of its direction.
SMALL = 1e-3
# Rounding errors of an entry in its column's mean.
ROUNDING = 10
# Columns of a block are whole vectors of the kernels, and a share of the rank where each column
# costs the same: a deeper subspace then comes closer in as many multiplications.
VECTOR, SHARE_OF_RANK = 16, 4


def start(problem, init, random_state, bias=None):
    """First W and Ht.

    Parameters
    ----------
    problem : Problem
        What is to be solved.
    init : {"svd", "random"} or ndarray of shape (n_features, n_components)
        How to start, or the features' factor itself.
    random_state : RandomState
        Source of random numbers.
    bias : ndarray of shape (n_features,) or None
        Where the biases of the features start, if not at their means.

    Returns
    -------
    W : ndarray of shape (n_rows, k)
        The samples' factor, a bias column included where the samples have one.
    Ht : ndarray of shape (n_columns, k)
        The features' factor, likewise.
    """
    samples, layout = problem.observations, problem.layout
    unseen = problem.T.observations.row_totals() == 0
    if bias is None:
        bias = first_bias(problem)
    if isinstance(init, str):
        W, Ht = {"svd": _svd, "random": _random}[init](problem, bias, random_state)
        W, Ht = _feasible(problem, W, Ht)
        Ht[unseen] = 0  # no solver would move what nothing is known of
        W = layout.with_row_bias(W, np.zeros_like(W, shape=len(W)))
        Ht = layout.T.with_row_bias(Ht, bias)
        return problem.balanced(*_shrunk(problem, W, Ht))
    Ht = np.array(init, dtype=samples.dtype, order="C")
    Ht[unseen] = 0
    if Ht.shape[1] == problem.n_components:
        Ht = layout.T.with_row_bias(Ht, bias)
    return problem.fold_in(Ht), Ht


def without_saddles(problem, Ht, random_state):
    """A features' factor whose components of zeros, which no solver leaves, are small numbers.

    Parameters
    ----------
    problem : Problem
        What is to be solved.
    Ht : ndarray of shape (n_columns, k)
        The features' factor of data that needed fewer components.
    random_state : RandomState
        Source of random numbers.

    Returns
    -------
    Ht : ndarray of shape (n_columns, k)
        Itself, where no component is zero, or factors may not be negative.
    """
    lengths = np.linalg.norm(problem.layout.components(Ht), axis=0)
    dead = np.flatnonzero(lengths == 0)
    if not len(dead) or not problem.is_smooth:
        return Ht
    drawn = random_state.standard_normal((len(dead), len(Ht))).T / np.sqrt(len(Ht))
    Ht = Ht.copy()
    Ht[:, dead] = np.sqrt(SMALL) * (lengths.max() or 1.0) * drawn
    return Ht


def first_bias(problem):
    """Mean of each feature as a bias; zero where nothing is observed, or there is no bias."""
    samples = problem.observations
    bias = np.zeros(samples.shape[1], dtype=samples.dtype)
    if problem.columns.has_bias:
        seen = problem.T.observations.row_totals() > 0
        bias[seen] = (problem.loss.from_mean(column_means(samples)) - problem.offset)[seen]
    return bias


def _feasible(problem, W, Ht):
    """The start, what may not be negative cut off: of each component the larger half is kept.

    As the start of Boutsidis & Gallopoulos 2008 (:doi:`10.1016/j.patcog.2007.09.010`).
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


def _shrunk(problem, W, Ht):
    """The start, its components shrunk to where they help: counts are no logarithms of rates."""
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


def column_means(observations):
    """Mean of what is observed in each column; 0 where nothing is.

    Parameters
    ----------
    observations : ObservedMatrix
        The data.

    Returns
    -------
    means : ndarray of shape (n_columns,)
        Weighted means.
    """
    totals = observations.T.row_totals()
    sums = observations.column_sums().astype(observations.dtype)
    return np.divide(sums, totals, out=np.zeros_like(sums), where=totals > 0)


def column_constants(problem):
    """Model value of each column that costs least if it is all there is.

    Parameters
    ----------
    problem : Problem
        The data and the loss; its penalties do not matter.

    Returns
    -------
    constants : ndarray of shape (n_columns,)
        Under the squared loss the means, under that of a median the medians.
    """
    samples = problem.observations
    if problem.loss.fits_mean:
        return problem.loss.from_mean(column_means(samples))
    free = Ridge(0.0)
    alone = replace(
        problem,
        rows=replace(problem.rows, penalty=free, has_bias=False),
        columns=replace(problem.columns, penalty=free, has_bias=True, bias_ridge=0.0),
        n_components=0,
        offset=0.0,
    )
    return alone.T.fold_in(np.zeros((samples.shape[0], 0), dtype=samples.dtype))[:, 0]


def overall_constant(problem):
    """One model value for all observed entries, from which biases are counted."""
    samples, loss = problem.observations, problem.loss
    totals = samples.T.row_totals().astype(np.float64)
    if loss.fits_mean and loss.kinds is None:
        return float(loss.from_mean(np.dot(column_means(samples), totals) / totals.sum()))
    constants = column_constants(problem)
    if loss.kinds is None:
        return float(np.dot(constants, totals) / totals.sum())
    return _cheapest_constant(problem, constants, totals)


def _cheapest_constant(problem, constants, totals):
    """Of all columns' mean constant, and those of the columns with one loss, what costs least.

    The mean of numbers and logarithms may be beyond what their losses can tell.
    """
    samples, loss = problem.observations, problem.loss
    groups = [np.full(len(totals), True), *(loss.kinds == kind for kind in np.unique(loss.kinds))]
    ones = np.ones((samples.shape[0], 1), dtype=samples.dtype)
    means, costs = [], []
    for group in groups:
        if totals[group].any():
            means.append(np.average(constants[group], weights=totals[group]))
            model = np.full((samples.shape[1], 1), means[-1], dtype=samples.dtype)
            with np.errstate(over="ignore", invalid="ignore"):
                costs.append(samples.total_loss(ones, model, loss))
    return float(means[np.argmin(np.nan_to_num(costs, nan=np.inf))])


def zeros(problem):
    """Factors of zeros, for solvers that need no start."""
    dtype = problem.observations.dtype
    n_rows, n_columns = problem.observations.shape
    return np.zeros((n_rows, problem.width), dtype), np.zeros((n_columns, problem.T.width), dtype)


def _column_weights(observations):
    if observations.column_weight is not None:
        return observations.column_weight
    return np.ones(observations.shape[1], dtype=observations.dtype)


def _random(problem, bias, random_state):
    """H drawn, W zero: least squares at an H that knows nothing of X would be large."""
    samples, k = problem.observations, problem.n_components
    n_rows, n_columns = samples.shape
    ones = np.ones((n_rows, 1), dtype=samples.dtype)
    at_bias = samples.total_loss(ones, bias[:, None] + problem.offset, problem.loss)
    mean_square = 2 * at_bias / problem.T.observations.row_totals().sum(dtype=np.float64)
    # Two factors of this scale give model values of the size of X. A rounded corner may lie a
    # little below zero.
    scale = max(0.0, mean_square) ** 0.25 / k**0.25
    if problem.loss.is_squared and _is_rounding(samples, 2 * at_bias):
        scale = 0.0
    Ht = scale * random_state.standard_normal((k, n_columns)).T
    W = np.zeros((n_rows, k), dtype=samples.dtype)
    return W, np.ascontiguousarray(Ht, dtype=samples.dtype)


def _svd(problem, bias, random_state):
    """Leading singular vectors of X, missing entries at the mean of their bias.

    What is missing makes singular values small; the share observed scales them back.
    """
    features = problem.T.observations
    n_columns = features.shape[0]
    k, dtype = problem.n_components, features.dtype
    offsets = problem.loss.mean(bias + dtype.type(problem.offset))
    found = leading_directions(problem, offsets, START_STEPS, random_state)
    values, vectors = found.values.astype(dtype), found.vectors
    image = problem.observations.product(vectors, offsets)
    # Beyond the rank of X the vectors are rounding error, and a factor of zeros would be a
    # saddle point that no solver leaves: those components start at random, small.
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


def _is_rounding(observations, squares):
    """Whether a sum of squares is nothing but rounding error of the data.

    What biases explain needs no components: those that fit rounding error give large codes.
    """
    eps = float(np.finfo(observations.dtype).eps)
    return squares <= (ROUNDING * eps) ** 2 * observations.total_squares


@dataclass(frozen=True)
class Directions:
    """Leading singular values and right singular vectors, and how much better they became.

    Attributes
    ----------
    values : ndarray of shape (k,)
        Singular values, largest first.
    vectors : ndarray of shape (n_columns, k)
        Right singular vectors.
    to_come : float
        What more steps would add to the sum of the squared values, if the gains go on
        shrinking as they did.
    """

    values: np.ndarray
    vectors: np.ndarray
    to_come: float


def leading_directions(
    problem, offsets, steps, random_state, *, enough=lambda squares, to_come: False
):
    """Leading singular directions of X less its offsets, missing entries zero.

    A randomized block Krylov subspace (Musco & Musco 2015, :doi:`10.48550/arXiv.1504.05477`):
    with as many products it comes closer than power iterations, since it keeps what each
    of them has found. It is built on the features' side, so that it depends on the number
    of samples no more than the data do.

    Parameters
    ----------
    problem : Problem
        The data, their weights, and how many directions.
    offsets : ndarray of shape (n_columns,)
        Subtracted from each column.
    steps : int
        Products of X and its transpose with as many columns as there are directions, at most.
    random_state : RandomState
        Draws the first block.
    enough : callable
        Asked after every step, with the sum of the leading squared values and what is to
        come, whether to stop.

    Returns
    -------
    directions : Directions
        Values and vectors.
    """
    samples, features = problem.observations, problem.T.observations
    n_rows, n_columns = samples.shape
    k = problem.n_components
    no_offsets = np.zeros(n_rows, dtype=samples.dtype)
    size = _block_size(samples, k)
    block = random_state.standard_normal((n_columns, size)).astype(samples.dtype)
    space = np.empty((n_columns, 4 * size), dtype=samples.dtype, order="F")
    basis, projected = space[:, :0], np.zeros((0, 0))
    gains = []
    for _ in range(steps * -(-k // size)):
        block = block[:, : n_columns - basis.shape[1]]
        if block.shape[1] == 0:
            break
        with one_blas_thread():
            # Once more, or what was lost in rounding error would stay in.
            block = _orthonormal(block)
            block = _orthonormal(block - basis @ (basis.T @ block))
        known = basis.shape[1]
        if known + block.shape[1] > space.shape[1]:
            space = np.hstack([space, np.empty_like(space)])
        basis = space[:, : known + block.shape[1]]
        basis[:, known:] = block
        image = samples.product(block, offsets)
        if features.column_weight is not None:
            image *= features.column_weight[:, None]
        block = features.product(image, no_offsets, offsets)
        # X'X within the subspace; its eigenvectors are the best directions there.
        with one_blas_thread():
            border = basis.T @ block
            block = block - basis @ border
            projected = np.pad(projected, (0, basis.shape[1] - known))
            projected[:, known:], projected[known:, :known] = border, border[:known].T
            if len(projected) < min(k, n_columns):
                continue
            squares, rotation = linalg.eigh(projected)
        gains.append(np.sum(squares[::-1][:k]) - sum(gains))
        to_come = _rest_of_series(gains)
        if enough(sum(gains), to_come):
            break
    leading = rotation[:, ::-1][:, :k].astype(samples.dtype)
    # Signs are arbitrary: fixed here, or rounding error would choose them.
    _, vectors = svd_flip(None, (basis @ leading).T, u_based_decision=False)
    values = np.sqrt(np.maximum(squares[::-1][:k], 0))
    return Directions(values, np.ascontiguousarray(vectors.T), to_come)


def _block_size(observations, k):
    """Columns of a block: as many as the rank where a product reads all of X in any case."""
    wanted = k if isinstance(observations, DenseObservations) else -(-k // SHARE_OF_RANK)
    return min(-(-wanted // VECTOR) * VECTOR, observations.shape[1])


def _rest_of_series(gains):
    """What gains that shrink like a geometric series still add up to.

    The slower of the last two ratios counts: a step that finds large directions is followed
    by one that looks small beside it, and is not.
    """
    if gains[-1] <= 0:
        return 0.0
    if len(gains) < 3:
        return np.inf
    ratio = max(gains[-1] / gains[-2], gains[-2] / gains[-3])
    return gains[-1] * ratio / (1 - ratio) if 0 < ratio < 1 else np.inf


def _orthonormal(block):
    """Orthonormal columns that span those of a tall block; its Gram matrix is small and fast."""
    block = block / np.maximum(np.linalg.norm(block, axis=0), np.finfo(block.dtype).tiny)
    try:
        factor = linalg.cholesky(block.T @ block)
    except linalg.LinAlgError:
        return linalg.qr(block, mode="economic")[0]
    return linalg.solve_triangular(factor, block.T, trans="T", check_finite=False).T
