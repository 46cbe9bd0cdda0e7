"""Leading singular directions of data, by a block Krylov method."""

from dataclasses import dataclass

import numpy as np
from scipy import linalg
from sklearn.utils.extmath import svd_flip

from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import BlockedObservations, DenseObservations, ObservedMatrix
from sklearn_mf.utils._threads import one_blas_thread

# The number of columns of a block is a multiple of the vector width of the kernels, and if every
# column has the same cost, a fraction of the rank: a deeper subspace is then more accurate for the
# same cost.
VECTOR, SHARE_OF_RANK = 16, 4


@dataclass(frozen=True)
class Directions:
    """Leading singular values and right singular vectors, and an estimate of the remaining gain.

    Attributes
    ----------
    values : ndarray of shape (k,)
        Singular values in descending order.
    vectors : ndarray of shape (n_columns, k)
        Right singular vectors.
    to_come : float
        Estimated increase of the sum of the squared values by further steps, if the gains continue
        to decrease at the same rate.
    """

    values: np.ndarray
    vectors: np.ndarray
    to_come: float


def leading_directions(
    problem: Problem, offsets, steps, random_state, *, enough=lambda squares, to_come: False
):
    """Return leading singular directions of X minus its offsets, with zeros for missing entries.

    This is a randomized block Krylov method (Musco & Musco 2015, :doi:`10.48550/arXiv.1504.05477`).
    With the same number of products, it is more accurate than power iterations, because it keeps
    the result of each of them. The subspace is that of the features, so its dimension does not
    depend on the number of samples.

    Parameters
    ----------
    problem : Problem
        The data, their weights, and the number of directions.
    offsets : ndarray of shape (n_columns,)
        Numbers that are subtracted from each column.
    steps : int
        Maximum number of products of X and its transpose with as many columns as there are
        directions.
    random_state : RandomState
        Controls the random first block.
    enough : callable
        A function that is called after every step with the sum of the leading squared values and
        the estimated remaining gain. It returns whether to stop.

    Returns
    -------
    directions : Directions
        Singular values and vectors.
    """
    samples, k = problem.observations, problem.n_components
    n_columns = samples.shape[1]
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
            # Orthogonalize again, because rounding errors remain after the first time.
            block = _orthonormal(block)
            block = _orthonormal(block - basis @ (basis.T @ block))
        known = basis.shape[1]
        if known + block.shape[1] > space.shape[1]:
            space = np.hstack([space, np.empty_like(space)])
        basis = space[:, : known + block.shape[1]]
        basis[:, known:] = block
        block = samples.product_and_back(block, offsets)
        # Form X'X in the subspace: its eigenvectors are the best directions of the subspace.
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
    # Signs are arbitrary. They are fixed here, so that they do not depend on rounding errors.
    _, vectors = svd_flip(None, (basis @ leading).T, u_based_decision=False)
    values = np.sqrt(np.maximum(squares[::-1][:k], 0))
    return Directions(values, np.ascontiguousarray(vectors.T), to_come)


def _block_size(observations: ObservedMatrix, k):
    """Return the number of columns of a block: the rank, if a product reads all of X anyway."""
    reads_all = isinstance(observations, DenseObservations | BlockedObservations)
    wanted = k if reads_all else -(-k // SHARE_OF_RANK)
    return min(-(-wanted // VECTOR) * VECTOR, observations.shape[1])


def _rest_of_series(gains):
    """Return the sum of the remaining gains if they decrease like a geometric series.

    The larger of the last two ratios is used, because a single step with an exceptionally large
    gain makes the next gain look small.
    """
    if gains[-1] <= 0:
        return 0.0
    if len(gains) < 3:
        return np.inf
    ratio = max(gains[-1] / gains[-2], gains[-2] / gains[-3])
    return gains[-1] * ratio / (1 - ratio) if 0 < ratio < 1 else np.inf


def _orthonormal(block):
    """Return orthonormal columns with the same span, by the small Gram matrix of a tall block."""
    block = block / np.maximum(np.linalg.norm(block, axis=0), np.finfo(block.dtype).tiny)
    try:
        factor = linalg.cholesky(block.T @ block)
    except linalg.LinAlgError:
        return linalg.qr(block, mode="economic")[0]
    return linalg.solve_triangular(factor, block.T, trans="T", check_finite=False).T
