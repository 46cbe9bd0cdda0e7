"""Sparse data whose unstored entries are observed zeros."""

from functools import cached_property

import numpy as np
from scipy import sparse

from sklearn_mf import kernels
from sklearn_mf.observations._base import (
    HeldOut,
    kinds_of_rows,
    multiply,
    times_dense,
    total_weight,
    transposed_kinds,
)
from sklearn_mf.observations.dense import DenseObservations
from sklearn_mf.observations.shared_rows import SharedRows
from sklearn_mf.observations.stored import StoredObservations
from sklearn_mf.utils._hiding import random_block

# Number of entries that may be summed in single precision.
PART = 1 << 16


class ZeroFilledObservations(SharedRows):
    """Sparse data in CSR format whose unstored entries are observed zeros.

    A shared Gram matrix represents the zeros, so that no dense matrix is formed. Only the rows that
    store a NaN, usually few, are converted to dense blocks.
    """

    weights = None
    _has_gram_loss = True

    def __init__(self, X, row_weight=None, column_weight=None, kinds=None):
        super().__init__(X.shape, X.dtype, row_weight, column_weight, kinds)
        self._X = X
        missing = np.isnan(X.data)
        self.complete = not missing.any()
        self.n_observed = X.shape[0] * X.shape[1] - int(missing.sum())
        self._full_rows, self._filled = np.ones(X.shape[0], dtype=bool), X
        if not self.complete:
            # Rows with missing entries are handled by dense blocks. Here, their values must only be
            # finite.
            data = np.where(missing, 0, X.data)
            self._filled = sparse.csr_array((data, X.indices, X.indptr), shape=X.shape)
            self._full_rows[np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))[missing]] = False

    def _transposed(self):
        kinds = transposed_kinds(self.kinds)
        return ZeroFilledObservations(self._X.T.tocsr(), self.column_weight, self.row_weight, kinds)

    @property
    def _row_groups(self):
        return [np.flatnonzero(self._full_rows)] if self._full_rows.any() else []

    def _solve_group(self, rows, design, offsets, ridge):
        operator = kernels.least_squares_operator(design, self.column_weight, ridge)
        solution = self.filled_product(operator)
        if len(rows) < len(solution):
            solution = solution[rows]
        if offsets.any():
            solution -= offsets @ operator
        return solution

    def _group_equations(self, rows, design, offsets):
        weighted = design if self.column_weight is None else design * self.column_weight[:, None]
        moments = self.filled_product(weighted)
        if len(rows) < len(moments):
            moments = moments[rows]
        if offsets.any():
            moments -= offsets @ weighted
        return weighted.T @ design, moments

    def _holed_blocks(self):
        for rows in self.row_chunks(self._single_rows):
            yield rows, self.take(rows)

    def take(self, rows):
        """Return the observations of some rows as a dense block."""
        return DenseObservations(
            self._X[rows].toarray(),
            None,
            None if self.row_weight is None else self.row_weight[rows],
            self.column_weight,
            kinds_of_rows(self.kinds, rows),
        )

    def times(self, factor):
        X = self._X
        X = sparse.csr_array((X.data * self.dtype.type(factor), X.indices, X.indptr), X.shape)
        return ZeroFilledObservations(X, self.row_weight, self.column_weight, self.kinds)

    def hold_out(self, share, rng):
        """Hold out a fraction of the rows, and hide some columns in them.

        If single cells were hidden, nearly every row and column would have missing entries, and
        each of them would be solved as if it were dense. The other columns of the held-out rows are
        known. The hidden cells are a block, as in bi-cross-validation (Owen & Perry 2009,
        :doi:`10.1214/08-AOAS227`); each cell has the same probability to be in it.
        """
        told = multiply(self.row_totals(), self.row_weight)  # rows may have no observed entries
        aside, columns = random_block(self.shape, told, share, rng)
        return self.without_block(~aside, aside, columns)

    def without_block(self, rows, aside, columns):
        """Divide the data if some columns are hidden in held-out rows.

        Parameters
        ----------
        rows : ndarray of bool of shape (n_rows,)
            Rows for the solver.
        aside : ndarray of bool of shape (n_rows,)
            Rows that are held out.
        columns : ndarray of bool of shape (n_columns,)
            Columns that are hidden in these rows.

        Returns
        -------
        held_out : HeldOut
            The visible, the hidden and the known part.
        """
        return HeldOut(
            self._part(rows, np.ones_like(columns)),
            self._part(aside, columns),
            self._part(aside, ~columns),
            columns,
        )

    def _part(self, rows, columns):
        """Return some rows and columns, selected by masks."""
        X = self._X[np.flatnonzero(rows)][:, np.flatnonzero(columns)]
        row_weight = None if self.row_weight is None else self.row_weight[rows]
        kinds = None if self.kinds is None else self.kinds[columns]
        return ZeroFilledObservations(X, row_weight, None, kinds)

    def subset(self, rows):
        row_weight = None if self.row_weight is None else self.row_weight[rows]
        kinds = kinds_of_rows(self.kinds, rows)
        X = _slice(self._X, rows) if isinstance(rows, slice) else self._X[rows]
        return ZeroFilledObservations(X, row_weight, self.column_weight, kinds)

    def each_value(self):
        yield self._X.data[~np.isnan(self._X.data)]
        if self._X.nnz < self.shape[0] * self.shape[1]:
            yield np.zeros(1, dtype=self.dtype)

    def n_in_row(self):
        out = np.full(self.shape[0], self.shape[1])
        for rows, block in self._holed_blocks():
            out[rows] = block.n_in_row()
        return out

    def product(self, dense, offsets, row_offsets=0):
        row_offsets = self._per_row(row_offsets)
        out = self.filled_product(dense)
        if offsets.any():
            out -= offsets @ dense
        if row_offsets.any():
            out -= row_offsets[:, None] * dense.sum(axis=0, dtype=np.float64).astype(self.dtype)
        for rows, block in self._holed_blocks():
            out[rows] = block.product(dense, offsets, row_offsets[rows])
        return out

    def column_sums(self):
        X = self._filled
        per_row = np.ones(self.shape[0]) if self.row_weight is None else self.row_weight
        weighted = X.data * np.repeat(per_row, np.diff(X.indptr))
        return np.bincount(X.indices, weighted, self.shape[1])

    def filled_product(self, dense):
        X = self._filled
        return times_dense((X.indptr, X.indices, X.data, None), dense)

    @cached_property
    def _row_totals(self):
        out = np.full(self.shape[0], total_weight(self.column_weight, self.shape[1], self.dtype))
        for rows, block in self._holed_blocks():
            out[rows] = block.row_totals()
        return out

    @cached_property
    def stored_per_row(self):
        X = self._X
        weight = np.ones(self.shape[1]) if self.column_weight is None else self.column_weight
        per_row = sparse.csr_array((np.ones(X.nnz), X.indices, X.indptr), X.shape) @ weight
        return float(np.average(per_row, weights=self.row_weight))

    # If the loss of a zero equals its model value, sums of the factors represent the zeros -----

    @cached_property
    def _nonzeros(self):
        """The stored entries; rows with missing entries are handled separately, with weight 0."""
        row_weight = self.row_weight
        if not self.complete:
            row_weight = multiply(self._full_rows.astype(self.dtype), row_weight)
        return StoredObservations(self._filled, None, row_weight, self.column_weight)

    @property
    def nonzeros(self):
        return self._nonzeros if self.complete and self.shape[1] else None

    def total_loss(self, W, Ht, loss):
        if not loss.loss_at_zero_equals_model:
            return super().total_loss(W, Ht, loss)
        total = self._sum_of_model(W, self.weighted_sum(Ht))
        for rows, block in self._nonzeros.blocks():
            model = block.model(W[rows], Ht)
            total += block.total(loss.value(block.values, model) - model)
        return total + sum(b.total_loss(W[rows], Ht, loss) for rows, b in self._holed_blocks())

    def split_gradient(self, W, Ht, loss, *, with_loss=False):
        if not loss.loss_at_zero_equals_model:
            return super().split_gradient(W, Ht, loss, with_loss=with_loss)
        up, down = np.zeros_like(W), np.zeros_like(W)
        down[:] = sums = self.weighted_sum(Ht)
        total = self._sum_of_model(W, sums) if with_loss else 0.0
        for rows, block in self._nonzeros.blocks():
            model = block.model(W[rows], Ht)
            if with_loss:
                value, attraction, _ = loss.value_and_split(block.values, model)
                total += block.total(value - model)
            else:
                attraction, _ = loss.split(block.values, model)
            up[rows] = block.pull_rows(attraction, Ht)
        for rows, block in self._holed_blocks():
            part, up[rows], down[rows] = block.split_gradient(
                W[rows], Ht, loss, with_loss=with_loss
            )
            total += part
        return total, up, down

    def _sum_of_model(self, W, sums):
        weight = self._nonzeros.row_weight
        weighted = W if weight is None else weight[:, None] * W
        return float(weighted.sum(axis=0, dtype=np.float64) @ sums)

    def sum_of_squares(self):
        """Return the weighted sum of the squares of complete data."""
        return self._squares

    @cached_property
    def total_squares(self):
        return self._squares + sum(block.total_squares for _, block in self._holed_blocks())

    @cached_property
    def _squares(self):
        with np.errstate(over="ignore"):  # the sum is infinite if it overflows
            return self._sum_of_squares()

    def _sum_of_squares(self):
        X = self._filled
        if self.complete and self.row_weight is None and self.column_weight is None:
            parts = np.split(X.data, range(PART, X.nnz, PART))
            return sum(float(np.dot(part, part)) for part in parts)
        squares = np.square(X.data)
        if self.column_weight is not None:
            squares *= self.column_weight[X.indices]
        row_weight = multiply(self._full_rows.astype(np.float64), self.row_weight)
        return np.dot(squares, np.repeat(row_weight, np.diff(X.indptr)))


def _slice(X, rows):
    """Return some rows of a CSR matrix, copying only the row pointers."""
    start, stop = X.indptr[rows.start], X.indptr[rows.stop]
    entries = slice(start, stop)
    indptr = X.indptr[rows.start : rows.stop + 1] - start
    return sparse.csr_array(
        (X.data[entries], X.indices[entries], indptr), shape=(len(indptr) - 1, X.shape[1])
    )
