"""What every view of the data answers, and what follows from it for all of them."""

from functools import cached_property

import numpy as np

from sklearn_mf import kernels
from sklearn_mf.utils._threads import n_threads

BLOCK_ENTRIES = 1 << 19


def block_entries(entries=None):
    """Entries of a block of rows: what is asked for, or so many that temporaries stay small."""
    return entries or BLOCK_ENTRIES


class ObservedMatrix:
    """Base of the views: rows to be predicted from columns.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns.
    dtype : dtype
        Of the data, float32 or float64.
    row_weight, column_weight : ndarray or None
        What a row and what a column counts for. A row's own weight does not change its
        solution; the weights of the columns do.
    complete : bool
        Whether every cell is observed, with entry weight one.
    """

    def __init__(self, shape, dtype, row_weight, column_weight):
        self.shape, self.dtype = shape, dtype
        self.row_weight = row_weight
        self.column_weight = column_weight

    # What the storage classes answer -------------------------------------------------

    @cached_property
    def T(self):
        """The same observations, rows and columns exchanged."""
        transposed = self._transposed()
        transposed.__dict__["T"] = self
        return transposed

    def blocks(self, entries=None):
        """Yield (slice of rows, their observations), for work in little memory.

        A block has about ``entries`` entries, by default so many that temporaries of
        elementwise work stay at a few megabytes.
        """
        raise NotImplementedError

    def product(self, dense, offsets, row_offsets=0):
        """Sum over observed j of ``e_ij * (x_ij - offsets_j - row_offsets_i) * dense_j``."""
        raise NotImplementedError

    def row_totals(self):
        """Sum over observed j of ``e_ij`` times the column's weight, for every row i."""
        return self._row_totals

    # What follows for all of them -----------------------------------------------------

    def solve_rows(self, design, offsets, ridge, penalized):
        """Weighted ridge regression of every row on the design; see ``kernels.solve_rows``.

        Singular rows take their minimum-norm solution.
        """
        solution, status = self._solve_rows(design, offsets, ridge, penalized)
        if np.any(status < 0):
            raise MemoryError("No memory for the scratch space of the row solver.")
        for i in np.flatnonzero(status):
            columns, targets, weights = self._row(i)
            operator = kernels.least_squares_operator(
                design[columns], weights, ridge[i] * penalized
            )
            solution[i] = (targets - offsets[columns]) @ operator
        return solution

    def total_loss(self, W, Ht, loss):
        """Weighted sum of a loss over the observed entries, at model values ``W @ Ht.T``."""
        return sum(
            block.total(loss.value(block.values, block.model(W[rows], Ht)))
            for rows, block in self.blocks()
        )

    def loss_and_gradient(self, W, Ht, loss):
        """`total_loss` and its derivatives with respect to W, per unit of row weight, and Ht."""
        total, W_gradient, Ht_gradient = 0.0, np.zeros_like(W), np.zeros_like(Ht)
        for rows, block in self.blocks():
            model = block.model(W[rows], Ht)
            total += block.total(loss.value(block.values, model))
            by_row, by_column = block.pull_back(loss.gradient(block.values, model), W[rows], Ht)
            W_gradient[rows] = by_row
            Ht_gradient += by_column
        return total, W_gradient, Ht_gradient


class SharedRows(ObservedMatrix):
    """Rows without a hole share one factorization; the others are solved one by one."""

    def _per_row(self, value):
        return np.broadcast_to(np.asarray(value, dtype=self.dtype), self.shape[:1])

    def _row_chunks(self, rows, entries=None):
        """Split row numbers so that a dense block of each part stays small."""
        step = max(1, block_entries(entries) // self.shape[1])
        return np.split(rows, range(step, len(rows), step)) if len(rows) else []

    def _holed_blocks(self):
        for rows in self._row_chunks(np.flatnonzero(~self._full_rows)):
            yield rows, self.take(rows)

    def _solve_rows(self, design, offsets, ridge, penalized):
        shared = self._full_rows & (self.weights is None)
        if not shared.any():
            return self._solve_each_row(design, offsets, ridge, penalized)
        # Complete rows count the same entries, so their ridge is the same too.
        operator = kernels.least_squares_operator(
            design, self.column_weight, ridge[shared.argmax()] * penalized
        )
        solution = self.product(operator, offsets)
        status = np.zeros(len(solution), dtype=np.int32)
        for rows, block in self._holed_blocks():
            solution[rows], status[rows] = block._solve_each_row(
                design, offsets, ridge[rows], penalized
            )
        return solution, status

    def _solve_each_row(self, design, offsets, ridge, penalized):
        solution = np.empty((self.shape[0], design.shape[1]), dtype=self.dtype)
        status = np.zeros(len(solution), dtype=np.int32)
        for rows, block in self._holed_blocks():
            solution[rows], status[rows] = block._solve_each_row(
                design, offsets, ridge[rows], penalized
            )
        return solution, status


def multiply(a, b):
    """Product of two weights, either of which may be None for one."""
    if a is None or b is None:
        return b if a is None else a
    return a * b


def total_weight(weight, size, dtype):
    """Sum of weights, None standing for ones."""
    return dtype.type(size) if weight is None else weight.sum(dtype=np.float64).astype(dtype)


def times_dense(X, dense):
    """Product of a CSR matrix and a tall array, in parallel."""
    dense = np.ascontiguousarray(dense)
    threads = n_threads(X.nnz * dense.shape[1])
    return kernels.sparse_times_dense(X.indptr, X.indices, X.data, dense, threads)
