"""Sparse data whose unstored entries are zeros."""

from functools import cached_property

import numpy as np
from scipy import sparse

from sklearn_mf import kernels
from sklearn_mf.observations._base import (
    SharedRows,
    kinds_of_rows,
    multiply,
    times_dense,
    total_weight,
    transposed_kinds,
)
from sklearn_mf.observations.dense import DenseObservations

# Entries that may be summed in single precision.
PART = 1 << 16


class ZeroFilledObservations(SharedRows):
    """Sparse data in CSR layout: what is not stored is zero, and observed.

    The shared Gram matrix stands for the zeros, so that no dense matrix is formed. Only
    the few rows that store a NaN are made dense, in small blocks.
    """

    weights = None

    def __init__(self, X, row_weight=None, column_weight=None, kinds=None):
        super().__init__(X.shape, X.dtype, row_weight, column_weight, kinds)
        self._X = X
        missing = np.isnan(X.data)
        self.complete = not missing.any()
        self.n_observed = X.shape[0] * X.shape[1] - int(missing.sum())
        self._full_rows, self._filled = np.ones(X.shape[0], dtype=bool), X
        if not self.complete:
            # Holed rows are answered by dense blocks; here they need only be finite.
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
        solution = self._filled_product(operator)
        if len(rows) < len(solution):
            solution = solution[rows]
        if offsets.any():
            solution -= offsets @ operator
        return solution

    def _holed_blocks(self):
        for rows in self._row_chunks(self._single_rows):
            yield rows, self.take(rows)

    def blocks(self, entries=None):
        for rows in self._row_chunks(np.arange(self.shape[0]), entries):
            rows = slice(rows[0], rows[-1] + 1)
            yield rows, self.take(rows)

    def take(self, rows):
        """The observations of some rows, made dense."""
        return DenseObservations(
            self._X[rows].toarray(),
            None,
            None if self.row_weight is None else self.row_weight[rows],
            self.column_weight,
            kinds_of_rows(self.kinds, rows),
        )

    def each_value(self):
        yield self._X.data[~np.isnan(self._X.data)]
        if self._X.nnz < self.shape[0] * self.shape[1]:
            yield np.zeros(1, dtype=self.dtype)

    def _row(self, i):
        return self.take(slice(i, i + 1))._row(0)

    def product(self, dense, offsets, row_offsets=0):
        row_offsets = self._per_row(row_offsets)
        out = self._filled_product(dense)
        if offsets.any():
            out -= offsets @ dense
        if row_offsets.any():
            out -= row_offsets[:, None] * dense.sum(axis=0)
        for rows, block in self._holed_blocks():
            out[rows] = block.product(dense, offsets, row_offsets[rows])
        return out

    def _filled_product(self, dense):
        X = self._filled
        return times_dense((X.indptr, X.indices, X.data, None), dense)

    @cached_property
    def _row_totals(self):
        out = np.full(self.shape[0], total_weight(self.column_weight, self.shape[1], self.dtype))
        for rows, block in self._holed_blocks():
            out[rows] = block.row_totals()
        return out

    def total_loss(self, W, Ht, loss):
        if not loss.is_squared:
            return super().total_loss(W, Ht, loss)
        total = self._full_rows_loss(W, Ht)[0]
        for rows, block in self._holed_blocks():
            total += block.total_loss(W[rows], Ht, loss)
        return total

    def loss_and_gradient(self, W, Ht, loss):
        if not loss.is_squared:
            return super().loss_and_gradient(W, Ht, loss)
        total, products, weighted_W, weighted_Ht = self._full_rows_loss(W, Ht)
        W_gradient = W @ (weighted_Ht.T @ Ht) - products
        Ht_gradient = Ht @ (weighted_W.T @ W) - self.T._filled_product(weighted_W)
        if self.column_weight is not None:
            Ht_gradient *= self.column_weight[:, None]
        for rows, block in self._holed_blocks():
            block_total, W_gradient[rows], by_column = block.loss_and_gradient(W[rows], Ht, loss)
            total += block_total
            Ht_gradient += by_column
        return total, W_gradient, Ht_gradient

    def _full_rows_loss(self, W, Ht):
        """1/2 |X - W Ht'|^2 over the full rows, from Gram matrices and one sparse product."""
        row_weight = self._full_rows.astype(self.dtype)
        row_weight = multiply(row_weight, self.row_weight)
        weighted_W = W * row_weight[:, None]
        weighted_Ht = Ht if self.column_weight is None else Ht * self.column_weight[:, None]
        products = self._filled_product(weighted_Ht)
        cross = np.vdot(weighted_W, products)
        model = np.vdot(weighted_W.T @ W, weighted_Ht.T @ Ht)
        # Cancellation can leave a little less than nothing.
        loss = max(0.0, 0.5 * float(self._squares - 2 * cross + model))
        return loss, products, weighted_W, weighted_Ht

    def sum_of_squares(self):
        """Weighted sum of the squares of complete data."""
        return self._squares

    @cached_property
    def _squares(self):
        X = self._filled
        if self.complete and self.row_weight is None and self.column_weight is None:
            parts = np.split(X.data, range(PART, X.nnz, PART))
            return sum(float(np.dot(part, part)) for part in parts)
        squares = np.square(X.data)
        if self.column_weight is not None:
            squares *= self.column_weight[X.indices]
        row_weight = multiply(self._full_rows.astype(np.float64), self.row_weight)
        return np.dot(squares, np.repeat(row_weight, np.diff(X.indptr)))
