"""The best columns of many rows, of whose scores there is no more than a block at a time."""

import numpy as np
from sklearn.utils import gen_batches

from sklearn_mf import kernels
from sklearn_mf.objective.factor_model import FactorModel
from sklearn_mf.retrieval.candidates import Candidates
from sklearn_mf.utils._threads import in_threads, n_threads, one_blas_thread, quiet_products

# Of so many rows and columns a thread has scores at a time: they stay in its cache.
ROWS, COLUMNS = 1024, 512


def best_columns(model: FactorModel, W, n, candidates: Candidates):
    """Columns of which rows expect most.

    Parameters
    ----------
    model : FactorModel
        What codes mean.
    W : ndarray of shape (n_rows, n_codes)
        Codes of the rows.
    n : int
        How many columns to find for each.
    candidates : Candidates
        Those that may be found.

    Returns
    -------
    columns : ndarray of int of shape (n_rows, n)
        The best first, of equal ones the lower; -1 where no column is left.
    values : ndarray of shape (n_rows, n)
        Expected data there; NaN where no column is left.
    """
    chosen = candidates.columns
    if model.loss.kinds is None:
        # A mean grows with the model's value: it is asked of the best ones alone.
        left, right = model.factors(W)
        right = right if chosen is None else right[chosen]
        columns, values = best_of_product(left, right, n, candidates.marker)
        with np.errstate(invalid="ignore"):
            values = model.loss.mean(values)
    else:
        columns, values = _best_of_means(model, W, n, candidates)
    return columns if chosen is None else _renumbered(columns, chosen), values


def best_of_product(left, right, n, marker):
    """Columns where each row of ``left @ right.T`` is largest.

    The result is the same for any number of threads, and for a row alone: products by BLAS, whose
    last digits depend on what else is multiplied, only say which columns are looked at again.

    Parameters
    ----------
    left : ndarray of shape (n_rows, k)
        Factor of the rows.
    right : ndarray of shape (n_columns, k)
        Factor of the columns.
    n : int
        How many columns to find for each row.
    marker : callable
        As that of `Candidates`.

    Returns
    -------
    columns : ndarray of int of shape (n_rows, n)
        The best first, of equal ones the lower; -1 where no column is left.
    values : ndarray of shape (n_rows, n)
        Products there; NaN where no column is left.
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
    r"""How far a product by BLAS may be from one by the kernel.

    Each of the two errs by no more than
    :math:`k \varepsilon / 2 \lVert w \rVert \lVert h \rVert`.
    """
    limits = np.finfo(left.dtype)
    with np.errstate(over="ignore"):
        longest = np.sqrt(np.einsum("jk,jk->j", right, right).max(initial=0))
        lengths = np.sqrt(np.einsum("ik,ik->i", left, left))
        # A tenth more for the rounding of these, and what underflows.
        error = 1.1 * limits.eps * lengths * longest + 2 * limits.tiny
        return (left.shape[1] * error).astype(left.dtype)


def _best_of_means(model: FactorModel, W, n, candidates: Candidates):
    """The same where columns have losses of their own, so that only means can be compared."""
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
    """Columns of all that there are, of columns among the chosen ones."""
    return np.where(columns < 0, -1, chosen[columns])
