"""The exact minimum on complete data: a singular value decomposition, thresholded."""

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import LinearOperator, svds
from sklearn.utils.extmath import svd_flip

from sklearn_mf.solvers._base import SOLVERS, BaseSolver

# Entries up to which X is decomposed itself; beyond, the Gram matrix of its shorter side,
# and where that side is longer than this too, Lanczos iterations.
SMALL = 500 * 500
SHORT_SIDE = 2000


@SOLVERS.register
class Spectral(BaseSolver):
    """Exact minimum for complete data: SVD with a soft-thresholded spectrum.

    Without penalty the model is the truncated singular value decomposition of X, of X
    minus its column means where there is a feature bias. With ridge penalties
    ``r_W = alpha_W * n_features**alpha_scaling`` and
    ``r_H = alpha_H * n_samples**alpha_scaling`` every singular value is lowered by
    ``sqrt(r_W * r_H)``, and dropped below it.

    Serves the squared loss on complete data, dense or sparse, without sample bias, with
    both penalties zero or both positive (with one of them zero there is no minimum: that
    factor grows for ever, the other shrinks).

    See Also
    --------
    ALS : For missing entries, weights and other losses.

    References
    ----------
    Mazumder, R., Hastie, T. & Tibshirani, R. (2010). Spectral regularization algorithms
    for learning large incomplete matrices. JMLR 11, 2287-2322.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization
    >>> from sklearn_mf.solvers import Spectral
    >>> X = np.array([[3.0, 0.0], [0.0, 1.0]])
    >>> model = MatrixFactorization(1, solver=Spectral()).fit(X)
    >>> print(model.components_)
    [[1. 0.]]
    """

    name = "svd"
    requires_loss = ("is_squared",)
    allows_missing = False
    needs_start = False

    @staticmethod
    def obstacle(problem):
        """Why this solver cannot serve the problem; None if it can."""
        if not problem.loss.is_squared:
            return "needs loss='squared'"
        if not problem.observations.complete:
            return "needs complete data without entry weights"
        if problem.rows.has_bias:
            return "needs bias=False or bias='features'"
        if (problem.rows.penalty.ridge > 0) != (problem.columns.penalty.ridge > 0):
            return "needs alpha_W and alpha_H both zero or both positive"
        return None

    def check(self, problem):
        """Raise a ValueError that names the parameter, if the problem is not for this solver."""
        super().check(problem)
        obstacle = self.obstacle(problem)
        if obstacle:
            raise ValueError(f"solver='svd' {obstacle}. Use solver='als'.")

    def _step(self, problem, state):
        k = problem.n_components
        mean = _column_means(problem)
        values, Vt = _decompose(problem, mean)
        # Nothing is missing: the penalty is the same for every row of a factor.
        row_ridge, column_ridge = float(problem.row_ridge[0]), float(problem.T.row_ridge[0])
        kept = np.maximum(values - np.sqrt(row_ridge * column_ridge), 0)
        if row_ridge > 0:
            # Of all splits of the kept spectrum the penalties prefer the balanced one.
            Vt = Vt * (np.sqrt(kept) * (row_ridge / column_ridge) ** 0.25)[:, None]
        dtype = state.Ht.dtype
        Ht = np.zeros_like(state.Ht)
        Ht[:, : len(Vt)] = Vt.T.astype(dtype)
        if problem.columns.has_bias:
            Ht[:, k] = mean
        state.W, state.Ht = problem.fold_in(Ht), Ht
        state.converged = True
        return problem.value(state.W, state.Ht)


def _weights(problem):
    """Sample weights, a column of them."""
    weight = problem.observations.row_weight
    if weight is None:
        weight = np.ones(problem.observations.shape[0], dtype=problem.observations.dtype)
    return weight[:, None]


def _column_means(problem):
    """What is subtracted from each column: its mean where it has a bias, else zero."""
    weights = _weights(problem)
    if not problem.columns.has_bias:
        return np.zeros(problem.observations.shape[1], dtype=weights.dtype)
    nothing = np.zeros(len(weights), dtype=weights.dtype)
    return problem.T.observations.product(weights, nothing)[:, 0] / weights.sum()


def _decompose(problem, mean):
    """Leading singular values and right singular vectors of ``sqrt(weights) * (X - mean)``."""
    n_rows, n_columns = problem.observations.shape
    k = problem.n_components
    if n_rows * n_columns <= SMALL:
        _, values, Vt = linalg.svd(_centred(problem, mean), full_matrices=False)
    elif n_columns <= min(n_rows, SHORT_SIDE) or k >= min(n_rows, n_columns) - 1:
        values, Vt = _from_column_gram(problem, mean)
    elif n_rows <= SHORT_SIDE:
        values, Vt = _from_row_gram(problem, mean)
    else:
        values, Vt = _lanczos(problem, mean)
    values, Vt = values[:k], Vt[:k]
    _, Vt = svd_flip(None, Vt, u_based_decision=False)
    # Beyond the rank of X the vectors are rounding error: components of zero say so.
    known = values > max(n_rows, n_columns) * np.finfo(values.dtype).eps * values[0]
    return values * known, Vt * known[:, None]


def _centred(problem, mean):
    blocks = [block.values - mean for _, block in problem.observations.blocks()]
    return np.sqrt(_weights(problem)) * np.concatenate(blocks)


def _from_column_gram(problem, mean):
    n_columns = problem.observations.shape[1]
    root, gram = np.sqrt(_weights(problem)), np.zeros((n_columns, n_columns))
    for rows, block in problem.observations.blocks():
        centred = root[rows] * (block.values - mean)
        gram += centred.T @ centred
    return _leading_eigenpairs(gram, problem.n_components)


def _from_row_gram(problem, mean):
    features = problem.T.observations
    root, gram = np.sqrt(_weights(problem)).T, np.zeros((features.shape[1],) * 2)
    for columns, block in features.blocks():
        centred = root * (block.values - mean[columns, None])
        gram += centred.T @ centred
    values, Ut = _leading_eigenpairs(gram, problem.n_components)
    nothing = np.zeros(features.shape[1], dtype=features.dtype)
    scaled = np.divide(Ut, values[:, None], out=np.zeros_like(Ut), where=values[:, None] > 0)
    scaled = np.ascontiguousarray((scaled * root).T, dtype=features.dtype)
    return values, features.product(scaled, nothing, mean).T


def _leading_eigenpairs(gram, k):
    """Singular values, and the vectors that belong to them as rows."""
    last = len(gram) - 1
    squares, vectors = linalg.eigh(gram, subset_by_index=(max(0, last - k + 1), last))
    # The square of a matrix knows its singular values to half the digits, no further.
    squares[squares < len(gram) * np.finfo(gram.dtype).eps * squares[-1]] = 0
    return np.sqrt(squares[::-1]), vectors.T[::-1]


def _lanczos(problem, mean):
    samples, features = problem.observations, problem.T.observations
    n_rows, n_columns = samples.shape
    root = np.sqrt(_weights(problem))
    nothing = np.zeros(n_rows, dtype=samples.dtype)

    def forward(vectors):
        vectors = vectors.reshape(n_columns, -1).astype(samples.dtype)
        return root * samples.product(vectors, mean)

    def backward(vectors):
        vectors = root * vectors.reshape(n_rows, -1).astype(samples.dtype)
        return features.product(vectors, nothing, mean)

    operator = LinearOperator(samples.shape, forward, backward, forward, samples.dtype, backward)
    start = np.random.default_rng(0).standard_normal(min(samples.shape))
    _, values, Vt = svds(operator, k=problem.n_components, v0=start.astype(samples.dtype))
    return values[::-1], Vt[::-1]
