"""The exact minimum for complete data: a truncated or soft-thresholded SVD."""

from typing import Literal

import numpy as np
from scipy import linalg

from sklearn_mf.objective.canonical_form import Spectrum, positive_signs
from sklearn_mf.objective.constants import column_means
from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import DenseObservations, ObservedMatrix
from sklearn_mf.solvers._base import SOLVERS, BaseSolver
from sklearn_mf.starts.krylov import leading_directions
from sklearn_mf.utils._validation import Integral, Interval, StrOptions

# Maximum number of entries of an X that is decomposed itself, and maximum length of the shorter
# side for which its Gram matrix is used.
SMALL = 500 * 500
# With at least this ratio of rows to columns the Gram matrix is faster. It gives singular values
# that are not much smaller than the largest one to nine digits or more.
TALL, CLEAR = 5, 1e-3
SHORT_SIDE = 2000
GRAM_ENTRIES = 1 << 20
# A Krylov subspace is tried first if the rank is at most this fraction of the shorter side. It has
# converged when further steps would decrease the squared error by less than this fraction. The
# fraction is smaller if the Gram matrix is the alternative, which is used after steps that cost
# half as much.
SMALL_RANK = 0.1
STEPS, ACCURACY = 12, 3e-4
STEPS_BEFORE_GRAM, ACCURACY_BEFORE_GRAM = 4, 1e-5
# The mean is subtracted from the sum of squares only if this fraction of the sum remains.
LEAST_VARIANCE = 0.01


@SOLVERS.register
class Spectral(BaseSolver):
    """Exact minimum for complete data: an SVD with soft-thresholded singular values.

    Without penalties, the model is the truncated singular value decomposition of X, or of X minus
    its column means if there is a feature bias. With ridge penalties of strength ``r_W = alpha_W *
    n_features**alpha_scaling`` and ``r_H = alpha_H * n_samples**alpha_scaling``, every singular
    value is reduced by ``sqrt(r_W * r_H)``, and those below this threshold are set to zero.

    A small X is decomposed exactly. For a large X and a small rank, a randomized block Krylov
    method reaches the smallest squared error up to a relative error of 3e-4 (1e-5 if the shorter
    side of X has at most 2,000 entries) with few products with X.

    The solver requires the squared loss, complete data (dense or sparse), no sample bias, and
    either no penalties or positive penalties on both factors. With a penalty on one factor only,
    there is no minimum: the other factor grows without bound while the penalized one shrinks.

    Parameters
    ----------
    n_iter : int or "auto", default="auto"
        Number of products with X and its transpose in the Krylov method. With "auto", it iterates
        until the error no longer decreases.

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
    requires_penalty = ("is_elastic",)
    allows_missing = False
    needs_start = False
    _parameter_constraints: dict = {
        "n_iter": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")]
    }

    def __init__(self, n_iter: int | Literal["auto"] = "auto"):
        self.n_iter = n_iter

    @staticmethod
    def obstacle(problem: Problem):
        """Return why this solver does not support the problem, or None."""
        if not problem.loss.is_squared:
            return "needs loss='squared'"
        if not problem.observations.complete:
            return "needs complete data without entry weights"
        if problem.rows.has_bias:
            return "needs bias=False or bias='features'"
        if not problem.is_elastic:
            return "needs ridge penalties"
        if not problem.is_smooth:
            return "needs positive=False and l1_ratio=0"
        if (problem.rows.penalty.ridge > 0) != (problem.columns.penalty.ridge > 0):
            return "needs alpha_W and alpha_H both zero or both positive"
        return None

    def check(self, problem: Problem):
        """Raise a ValueError naming the parameter if the solver does not support the problem."""
        super().check(problem)
        obstacle = self.obstacle(problem)
        if obstacle:
            raise ValueError(f"solver='svd' {obstacle}. Use solver='als' instead.")

    def _step(self, problem: Problem, state):
        mean = np.zeros(problem.observations.shape[1], dtype=state.Ht.dtype)
        if problem.columns.has_bias:
            mean = column_means(problem.observations)
        values, Vt, squares = _decompose(problem, mean, self.n_iter)
        # The data are complete, so the penalty is the same for every row of a factor.
        row_ridge, column_ridge = (
            side.rows.penalty.ridge * float(side.penalty_scale[0]) for side in (problem, problem.T)
        )
        threshold = np.sqrt(row_ridge * column_ridge)
        kept = np.maximum(values - threshold, 0)
        if row_ridge > 0:
            # Among all ways to split the spectrum between the factors, the penalties prefer the
            # balanced one.
            Vt = Vt * (np.sqrt(kept) * (row_ridge / column_ridge) ** 0.25)[:, None]
        Ht = np.zeros_like(state.Ht)
        components, bias = problem.layout.split(Ht)
        components[:, : len(Vt)] = Vt.T
        bias[:] = mean[:, None]
        state.Ht, state.converged = Ht, True
        left = max(0.0, squares - np.sum(kept * (2 * values - kept)))
        if left > np.sqrt(np.finfo(state.Ht.dtype).eps) * squares:
            state.loss = 0.5 * left  # the difference is accurate enough
        state.spectrum = Spectrum(np.square(kept, dtype=np.float64), float(squares))
        return 0.5 * left + threshold * np.sum(kept)


def _weights(problem: Problem):
    """Return the sample weights as a column."""
    weight = problem.observations.row_weight
    if weight is None:
        weight = np.ones(problem.observations.shape[0], dtype=problem.observations.dtype)
    return weight[:, None]


def _decompose(problem: Problem, mean, n_iter):
    """Return leading singular values and right singular vectors of the centered data.

    The rows are multiplied by the root of their weight. The sum of squares is returned as well.
    """
    n_rows, n_columns = problem.observations.shape
    k, shorter = problem.n_components, min(n_rows, n_columns)
    found = None
    if n_rows * n_columns <= SMALL:
        found = _from_all_entries(problem, mean, is_tall=n_rows >= TALL * n_columns)
    elif shorter > SHORT_SIDE or k <= SMALL_RANK * shorter:
        found = _from_subspace(problem, mean, n_iter)
    if found is None:
        way = _from_column_gram if n_columns <= n_rows else _from_row_gram
        found = way(problem, mean)
    values, Vt, squares = found
    values, Vt = values[:k], Vt[:k]
    Vt = Vt * positive_signs(Vt.T)[:, None]
    # Beyond the rank of X, the singular vectors are rounding errors: they become zero components.
    known = values > max(n_rows, n_columns) * np.finfo(values.dtype).eps * values[0]
    return values * known, Vt * known[:, None], squares


def _from_all_entries(problem: Problem, mean, is_tall):
    """Decompose a small table, by the Gram matrix of its columns if that is accurate enough."""
    centred = np.concatenate([block.values - mean for _, block in problem.observations.blocks()])
    if problem.observations.row_weight is not None:
        centred *= np.sqrt(_weights(problem))
    if is_tall:
        wide = centred.astype(np.float64, copy=False)
        gram = wide.T @ wide
        values, Vt = _leading_eigenpairs(gram, problem.n_components)
        if values[-1] > CLEAR * values[0]:
            return values.astype(mean.dtype), Vt.astype(mean.dtype), np.trace(gram)
    _, values, Vt = linalg.svd(centred, full_matrices=False)
    return values, Vt, np.sum(values**2)


def _from_column_gram(problem: Problem, mean):
    gram = _gram(problem.observations, np.sqrt(_weights(problem)), mean)
    return *_leading_eigenpairs(gram, problem.n_components), np.trace(gram)


def _from_row_gram(problem: Problem, mean):
    features = problem.T.observations
    root = np.sqrt(_weights(problem))
    gram = np.zeros((features.shape[1],) * 2)
    for columns, block in features.blocks(GRAM_ENTRIES):
        centred = block.values - mean[columns, None]
        gram += centred.T @ centred
    gram *= root * root.T
    values, Ut = _leading_eigenpairs(gram, problem.n_components)
    nothing = np.zeros(features.shape[1], dtype=features.dtype)
    scaled = np.divide(Ut, values[:, None], out=np.zeros_like(Ut), where=values[:, None] > 0)
    scaled = np.ascontiguousarray(scaled.T * root, dtype=features.dtype)
    return values, features.product(scaled, nothing, mean).T, np.trace(gram)


def _gram(observations: ObservedMatrix, root, mean):
    """Return the Gram matrix of the centered columns, with rows multiplied by their root."""
    if isinstance(observations, DenseObservations) and observations.row_weight is None:
        # Subtract the mean from the Gram matrix of X, unless little would remain.
        gram = (observations.values.T @ observations.values).astype(np.float64)
        raw = np.trace(gram)
        gram -= len(root) * np.outer(mean, mean.astype(np.float64))
        if np.trace(gram) > LEAST_VARIANCE * raw:
            return gram
    gram = np.zeros((observations.shape[1],) * 2)
    for rows, block in observations.blocks(GRAM_ENTRIES):
        centred = root[rows] * (block.values - mean)
        gram += centred.T @ centred
    return gram


def _leading_eigenpairs(gram, k):
    """Return the leading singular values, and their vectors as rows."""
    last = len(gram) - 1
    squares, vectors = linalg.eigh(gram, subset_by_index=(max(0, last - k + 1), last))
    # A Gram matrix determines the singular values only to half the digits.
    squares[squares < len(gram) * np.finfo(gram.dtype).eps * squares[-1]] = 0
    return np.sqrt(squares[::-1]), vectors.T[::-1]


def _from_subspace(problem: Problem, mean, n_iter):
    """Decompose by a Krylov method; return None if a Gram matrix is better."""
    has_gram = min(problem.observations.shape) <= SHORT_SIDE
    steps, accuracy = STEPS, ACCURACY
    if has_gram:
        steps, accuracy = STEPS_BEFORE_GRAM, ACCURACY_BEFORE_GRAM
    if n_iter != "auto":
        steps, accuracy, has_gram = n_iter, 0.0, False
    squares = _sum_of_squares(problem, mean)

    def enough(explained, to_come):
        return to_come <= accuracy * max(squares - explained, 0)

    found = leading_directions(problem, mean, steps, np.random.RandomState(0), enough=enough)
    if has_gram and not enough(np.sum(found.values**2), found.to_come):
        return None
    return found.values, found.vectors.T, squares


def _sum_of_squares(problem: Problem, mean):
    raw = problem.observations.sum_of_squares()
    squares = raw - float(_weights(problem).sum()) * np.sum(np.square(mean, dtype=np.float64))
    if squares > LEAST_VARIANCE * raw:
        return squares
    ones = np.ones((problem.observations.shape[0], 1), dtype=mean.dtype)
    return 2 * problem.observations.total_loss(ones, mean[:, None], problem.loss)
