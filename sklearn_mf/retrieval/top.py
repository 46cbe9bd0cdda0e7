"""The best columns of many rows, of which no more is dense than a block of their scores."""

import numpy as np
from sklearn.utils import gen_batches

from sklearn_mf import kernels
from sklearn_mf.objective.factor_model import FactorModel
from sklearn_mf.retrieval.candidates import Candidates
from sklearn_mf.utils._threads import in_threads, n_threads, one_blas_thread, quiet_products

# Scores that a thread has at a time, and the rows that BLAS wants at least.
BLOCK, LEAST_ROWS = 1 << 22, 32


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
        columns, values = best_of_product(left, right, n, candidates.mark)
        with np.errstate(invalid="ignore"):
            values = model.loss.mean(values)
    else:
        columns, values = _best_of_means(model, W, n, candidates)
    return columns if chosen is None else _renumbered(columns, chosen), values


def best_of_product(left, right, n, mark):
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
    mark : callable
        Of scores of shape (n_some, n_columns) and a slice of rows; writes NaN where a column is not
        for a row.

    Returns
    -------
    columns : ndarray of int of shape (n_rows, n)
        The best first, of equal ones the lower; -1 where no column is left.
    values : ndarray of shape (n_rows, n)
        Products there; NaN where no column is left.
    """
    left, right = np.ascontiguousarray(left), np.ascontiguousarray(right)
    slack = _slack(left, right)

    def of_block(rows):
        with quiet_products():
            scores = left[rows] @ right.T
        mark(scores, rows)
        part = scores, slack[rows], left[rows], right
        return kernels.top_columns_of_products(*part, n, n_threads(scores.size))

    return _by_blocks(of_block, left, len(right), n)


def _slack(left, right):
    r"""How far apart two columns may seem whose products are equal.

    Both a product by BLAS and one by the kernel err by no more than
    :math:`k \varepsilon / 2 \lVert w \rVert \lVert h \rVert`, and so twice for either column.
    """
    limits = np.finfo(left.dtype)
    with np.errstate(over="ignore"):
        longest = np.sqrt(np.einsum("jk,jk->j", right, right).max(initial=0))
        lengths = np.sqrt(np.einsum("ik,ik->i", left, left))
        # A tenth more for the rounding of these, and what underflows.
        error = 2.2 * limits.eps * lengths * longest + 4 * limits.tiny
        return (left.shape[1] * error).astype(left.dtype)


def _best_of_means(model: FactorModel, W, n, candidates: Candidates):
    """The same where columns have losses of their own, so that only means can be compared."""
    chosen = slice(None) if candidates.columns is None else candidates.columns

    def of_block(rows):
        scores = np.ascontiguousarray(model.decode(W[rows])[:, chosen])
        candidates.mark(scores, rows)
        return kernels.top_columns(scores, n, n_threads(scores.size))

    return _by_blocks(of_block, W, model.components.shape[1], n)


def _by_blocks(of_block, left, n_columns, n):
    """Columns and values of blocks of rows, one beside the other."""
    size = max(LEAST_ROWS, BLOCK // max(1, n_columns))
    blocks = list(gen_batches(len(left), size))
    columns = np.empty((len(left), n), dtype=np.int64)
    values = np.empty((len(left), n), dtype=left.dtype)

    def write(rows):
        columns[rows], values[rows] = of_block(rows)

    with one_blas_thread():
        in_threads(write, blocks, len(left) * n_columns * left.shape[1])
    return columns, values


def _renumbered(columns, chosen):
    """Columns of all that there are, of columns among the chosen ones."""
    return np.where(columns < 0, -1, chosen[columns])
