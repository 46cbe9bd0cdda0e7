"""Initial factors with more or fewer components, from factors of another rank.

New components are computed separately from the residuals of the others: they are the leading
singular directions of the residuals.
"""

from dataclasses import replace

import numpy as np

from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import StoredObservations, gradient_of

# Number of products with the residuals: they are cheaper than the sweeps that they save.
STEPS = 5
# Tables with at most this number of columns or entries are decomposed exactly.
FEW_COLUMNS, FEW_ENTRIES = 64, 1 << 18
# Fraction of the average over all rows that is added to the squared norm of a new component in a
# row.
SHRINKAGE = 0.1
# Components below this fraction of the data were shrunk by a larger penalty. Alternation would
# recover small ones slowly, and zeros never.
GONE = 1e-3


def widened(problem: Problem, W, Ht, random_state, n_blocks=1):
    """Return factors for a problem from those with fewer components or a larger penalty.

    Parameters
    ----------
    problem : Problem
        A problem with the same observations.
    W, Ht : ndarray of shape (n_rows, k), (n_columns, k)
        Initial factors.
    random_state : RandomState
        Controls the random start of the search for new components.
    n_blocks : int, default=1
        Number of blocks along the diagonal of the observations; each gets its own components.

    Returns
    -------
    W, Ht : ndarray
        Factors with the number of components of the problem: the old ones and new ones.
    """
    parts = _parts(problem, W, Ht)
    sizes = np.prod([np.linalg.norm(components, axis=0) for components, _ in parts], axis=0)
    kept = sizes > GONE * np.sqrt(problem.observations.total_squares)
    n_new = problem.n_components - int(kept.sum())
    if n_new == 0:
        return W, Ht
    parts = [(components[:, kept], bias) for components, bias in parts]
    old = replace(problem, n_components=problem.n_components - n_new)
    factors = tuple(np.hstack(part) for part in parts)
    new = _directions(old, factors, n_new, (n_blocks, random_state))
    return tuple(
        np.hstack([components, found, bias])
        for (components, bias), found in zip(parts, new, strict=True)
    )


def narrowed(problem: Problem, W, Ht, n_blocks=1):
    """Return factors for a problem from those with more components, keeping the largest ones.

    Parameters
    ----------
    problem : Problem
        A problem with the same observations.
    W, Ht : ndarray of shape (n_rows, k), (n_columns, k)
        Initial factors.
    n_blocks : int, default=1
        As in `widened`.

    Returns
    -------
    W, Ht : ndarray
        Factors with the number of components of the problem, and unchanged biases.
    """
    parts, after = _parts(problem, W, Ht), problem.n_components
    bases, triangles = zip(
        *(np.linalg.qr(V.reshape(n_blocks, -1, V.shape[1])) for V, _ in parts), strict=True
    )
    left, sizes, right = np.linalg.svd(triangles[0] @ triangles[1].swapaxes(1, 2))
    roots = np.sqrt(sizes[:, None, :after])
    turned = left[..., :after] * roots, right.swapaxes(1, 2)[..., :after] * roots
    return tuple(
        np.hstack([(basis @ turn).reshape(-1, after), bias])
        for basis, turn, (_, bias) in zip(bases, turned, parts, strict=True)
    )


def _parts(problem: Problem, W, Ht):
    """Return components and biases of factors with another number of components."""
    layout = replace(problem.layout, n_components=Ht.shape[1] - problem.columns.has_bias)
    return [layout.split(V) for V in (W, Ht)]


def _directions(problem: Problem, factors, n_new, search):
    """Return the leading singular directions of the residuals."""
    samples, factors = problem.observations, problem.model_factors(*factors)
    if isinstance(samples, StoredObservations):
        slopes = gradient_of(
            problem.loss.at(samples.kinds), samples.values, samples.model(*factors)
        )
        weights = np.ones_like(slopes) if samples.weights is None else samples.weights
        V, images = _leading(samples.matrix(-slopes), n_new, *search)
        squares = samples.matrix(weights) @ V**2
    else:
        V, images = _leading(_Residuals(samples, factors, problem.loss), n_new, *search)
        squares = np.tile((V**2).sum(axis=0), (len(images), 1))
    U = _regressed(images, squares, V)
    # Entries of both factors get the same size, as the penalties prefer.
    size = np.sqrt(np.linalg.norm(U, axis=0) * (len(V) / len(U)) ** 0.5)
    size += np.finfo(V.dtype).tiny
    return U / size, V * size


class _Residuals:
    """The residuals of sparse data with observed zeros, which are never formed as a whole."""

    def __init__(self, samples, factors, loss):
        self._samples, self._factors, self._loss = samples, factors, loss
        self._is_sum = loss.is_squared and samples.complete
        self.shape, self.dtype = samples.shape, samples.dtype

    @property
    def T(self):
        """The same with rows and columns exchanged."""
        return _Residuals(self._samples.T, self._factors[::-1], self._loss)

    def __matmul__(self, V):
        W, Ht = self._factors
        if self._is_sum:  # of a sparse matrix and a low-rank matrix
            return self._samples.product(V, np.zeros_like(V, shape=len(V))) - W @ (Ht.T @ V)
        out = np.empty_like(V, shape=(self.shape[0], V.shape[1]))
        for rows, block in self._samples.blocks():
            slopes = gradient_of(self._loss.at(block.kinds), block.values, block.model(W[rows], Ht))
            out[rows] = -block.pull_rows(slopes, V)
        return out


def _leading(residuals, n_vectors, n_blocks, random_state):
    """Return right singular vectors from a block Krylov subspace (Musco & Musco 2015), and images.

    The images are the products of the residuals with these vectors. The blocks along the diagonal
    are independent.
    """
    n_columns = residuals.shape[1] // n_blocks
    is_small = n_columns <= FEW_COLUMNS and residuals.shape[0] * n_columns <= FEW_ENTRIES
    if is_small and not isinstance(residuals, _Residuals):
        return _leading_of_few(residuals, n_vectors, n_blocks)

    def times(matrix, stacked):
        """Return the product with each block."""
        return (matrix @ stacked.reshape(-1, n_vectors)).reshape(n_blocks, -1, n_vectors)

    block = random_state.standard_normal((n_blocks, n_columns, n_vectors)).astype(residuals.dtype)
    basis, _ = np.linalg.qr(block)
    images = times(residuals, basis)
    for _ in range(1, min(STEPS, n_columns // n_vectors)):
        block = times(residuals.T, images[..., -n_vectors:])
        for _ in range(2):  # twice, because rounding errors remain after the first time
            block -= basis @ (basis.swapaxes(1, 2) @ block)
        block, _ = np.linalg.qr(block)
        basis = np.concatenate([basis, block], axis=2)
        images = np.concatenate([images, times(residuals, block)], axis=2)
    _, rotation = np.linalg.eigh(images.swapaxes(1, 2) @ images)
    leading = rotation[..., ::-1][..., :n_vectors]
    return (basis @ leading).reshape(-1, n_vectors), (images @ leading).reshape(-1, n_vectors)


def _leading_of_few(residuals, n_vectors, n_blocks):
    """Return the same for small tables by Gram matrices, which are faster than a search."""
    n_rows, n_columns = residuals.shape[0], residuals.shape[1] // n_blocks
    dense = np.zeros((n_blocks, n_rows // n_blocks, n_columns), residuals.dtype)
    rows = np.repeat(np.arange(n_rows), np.diff(residuals.indptr))
    dense.reshape(n_rows, -1)[rows, residuals.indices % n_columns] = residuals.data
    _, vectors = np.linalg.eigh(dense.swapaxes(1, 2) @ dense)
    leading = vectors[..., ::-1][..., :n_vectors]
    return leading.reshape(-1, n_vectors), (dense @ leading).reshape(-1, n_vectors)


def _regressed(images, squares, V):
    """Regress each row of residuals on each column of V separately, at its observed entries.

    Rows with little information on a column are shrunk, because otherwise rounding errors would
    dominate.
    """
    return images / (squares + SHRINKAGE * squares.mean(axis=0) + np.finfo(V.dtype).tiny)
