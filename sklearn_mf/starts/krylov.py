"""Leading singular directions of data, from a block Krylov subspace."""

from dataclasses import dataclass

import numpy as np
from scipy import linalg
from sklearn.utils.extmath import svd_flip

from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import BlockedObservations, DenseObservations, ObservedMatrix
from sklearn_mf.utils._threads import one_blas_thread

# Columns of a block are whole vectors of the kernels, and a share of the rank where each column
# costs the same: a deeper subspace then comes closer in as many multiplications.
VECTOR, SHARE_OF_RANK = 16, 4


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
    problem: Problem, offsets, steps, random_state, *, enough=lambda squares, to_come: False
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
            # Once more, or what was lost in rounding error would stay in.
            block = _orthonormal(block)
            block = _orthonormal(block - basis @ (basis.T @ block))
        known = basis.shape[1]
        if known + block.shape[1] > space.shape[1]:
            space = np.hstack([space, np.empty_like(space)])
        basis = space[:, : known + block.shape[1]]
        basis[:, known:] = block
        block = samples.product_and_back(block, offsets)
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


def _block_size(observations: ObservedMatrix, k):
    """Columns of a block: as many as the rank where a product reads all of X in any case."""
    reads_all = isinstance(observations, DenseObservations | BlockedObservations)
    wanted = k if reads_all else -(-k // SHARE_OF_RANK)
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
