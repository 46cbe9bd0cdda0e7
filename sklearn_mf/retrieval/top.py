"""The best columns of many rows, computed without storing all scores at once."""

import numpy as np
from sklearn.utils import gen_batches

from sklearn_mf import kernels
from sklearn_mf.objective.factor_model import FactorModel
from sklearn_mf.retrieval.candidates import Candidates
from sklearn_mf.utils._threads import in_threads, n_threads, one_blas_thread, quiet_products

# Number of rows and columns whose scores a thread computes at a time, so that they stay in its
# cache.
ROWS, COLUMNS = 1024, 512


def best_columns(model: FactorModel, W, n, candidates: Candidates):
    """Return the columns with the largest predictions for each row.

    Parameters
    ----------
    model : FactorModel
        The model that predicts from codes.
    W : ndarray of shape (n_rows, n_codes)
        Codes of the rows.
    n : int
        Number of columns to return for each row.
    candidates : Candidates
        The columns that may be returned.

    Returns
    -------
    columns : ndarray of int of shape (n_rows, n)
        The best columns first; among equal ones, the lower index comes first. -1 if there are
        fewer.
    values : ndarray of shape (n_rows, n)
        Predictions for these columns; NaN if there are fewer.
    """
    chosen = candidates.columns
    if model.loss.kinds is None:
        # The mean increases with the model value, so it is computed for the best columns only.
        left, right = model.factors(W)
        right = right if chosen is None else right[chosen]
        columns, values = best_of_product(left, right, n, candidates.marker)
        with np.errstate(invalid="ignore"):
            values = model.loss.mean(values)
    else:
        columns, values = _best_of_means(model, W, n, candidates)
    return columns if chosen is None else _renumbered(columns, chosen), values


def best_of_product(left, right, n, marker):
    """Return the columns with the largest entries in each row of ``left @ right.T``.

    The result does not depend on the number of threads, nor on the other rows: the last digits of
    BLAS products depend on the shapes of both factors, so BLAS only selects the columns whose
    products are then computed by a kernel.

    Parameters
    ----------
    left : ndarray of shape (n_rows, k)
        Factor of the rows.
    right : ndarray of shape (n_columns, k)
        Factor of the columns.
    n : int
        Number of columns to return for each row.
    marker : callable
        A function as returned by `Candidates.marker`.

    Returns
    -------
    columns : ndarray of int of shape (n_rows, n)
        The best columns first; among equal ones, the lower index comes first. -1 if there are
        fewer.
    values : ndarray of shape (n_rows, n)
        Products for these columns; NaN if there are fewer.
    """
    left, right = np.ascontiguousarray(left), np.ascontiguousarray(right)
    slack = _slack(left, right)
    columns = np.full((len(left), n), -1, dtype=np.int64)
    values = np.full((len(left), n), np.nan, dtype=left.dtype)

    def of_block(rows):
        mark, some = marker(rows), left[rows]
        memory = np.empty(len(some) * min(COLUMNS, len(right)), dtype=left.dtype)
        found = columns[rows], values[rows]
        for part in gen_batches(len(right), COLUMNS):
            few = right[part]
            scores = memory[: len(some) * len(few)].reshape(len(some), len(few))
            np.matmul(some, few.T, out=scores)
            mark(scores, part)
            kernels.offer_products(scores, part.start, slack[rows], some, right, *found, 1)
        kernels.sort_rankings(*found)

    work = left.size * len(right)
    with one_blas_thread(), quiet_products():
        share = -(-len(left) // n_threads(work))
        in_threads(of_block, gen_batches(len(left), max(1, min(ROWS, share))), work)
    return columns, values


def _slack(left, right):
    r"""Return how much a product by BLAS may differ from one by the kernel.

    The error of each of the two is at most :math:`k \varepsilon / 2 \lVert w \rVert \lVert h
    \rVert`.
    """
    limits = np.finfo(left.dtype)
    with np.errstate(over="ignore"):
        longest = np.sqrt(np.einsum("jk,jk->j", right, right).max(initial=0))
        lengths = np.sqrt(np.einsum("ik,ik->i", left, left))
        # The additional tenth covers the rounding errors of this bound, and underflow.
        error = 1.1 * limits.eps * lengths * longest + 2 * limits.tiny
        return (left.shape[1] * error).astype(left.dtype)


def _best_of_means(model: FactorModel, W, n, candidates: Candidates):
    """Return the best columns if columns have different losses, so that only means compare."""
    n_features = model.components.shape[1]
    chosen = np.arange(n_features) if candidates.columns is None else candidates.columns
    columns = np.empty((len(W), n), dtype=np.int64)
    values = np.empty((len(W), n), dtype=W.dtype)
    for rows in gen_batches(len(W), max(1, ROWS * COLUMNS // n_features)):
        scores = np.ascontiguousarray(model.decode(W[rows])[:, chosen])
        candidates.marker(rows)(scores, slice(0, len(chosen)))
        columns[rows], values[rows] = kernels.top_columns(scores, n, n_threads(scores.size))
    return columns, values


def _renumbered(columns, chosen):
    """Convert indices among the candidates to indices among all columns."""
    return np.where(columns < 0, -1, chosen[columns])
