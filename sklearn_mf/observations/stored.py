"""Sparse data whose stored entries are the observed ones."""

from functools import cached_property

import numpy as np
from scipy import sparse

from sklearn_mf import kernels
from sklearn_mf.observations._base import (
    HeldOut,
    ObservedMatrix,
    as_type,
    block_entries,
    multiply,
    times_dense,
)
from sklearn_mf.systems import RowSystems
from sklearn_mf.utils._hiding import may_be_hidden, random_share, random_share_of_rows
from sklearn_mf.utils._threads import n_threads_for_entries


class StoredObservations(ObservedMatrix):
    """Sparse data in CSR format whose unstored entries are missing."""

    def __init__(self, X, weights=None, row_weight=None, column_weight=None, kinds=None):
        super().__init__(X.shape, X.dtype, row_weight, column_weight, kinds)
        self.indptr, self.indices = X.indptr, X.indices
        self.values = X.data
        self.weights = weights
        self.n_observed = len(X.data)

    @property
    def stored_per_row(self):
        return self.n_observed / max(1, self.shape[0])

    def _transposed(self):
        sides = self.column_weight, self.row_weight
        if self.weights is None and self.kinds is None:
            return StoredObservations(self.matrix(self.values).T.tocsr(), None, *sides)
        # The order of the entries by column is computed once and applied to data and weights.
        order = sparse.csr_array(
            (np.arange(self.n_observed), self.indices, self.indptr), shape=self.shape
        ).T.tocsr()
        X = sparse.csr_array((self.values[order.data], order.indices, order.indptr), order.shape)
        weights = None if self.weights is None else self.weights[order.data]
        kinds = None if self.kinds is None else self.kinds[order.data]
        return StoredObservations(X, weights, *sides, kinds)

    def matrix(self, data):
        """Return numbers in the layout of ``values`` as a sparse matrix."""
        return sparse.csr_array((data, self.indices, self.indptr), shape=self.shape)

    def blocks(self, entries=None):
        if self.n_observed <= block_entries(entries):
            yield slice(0, self.shape[0]), self
            return
        limits = np.arange(0, max(1, self.n_observed), block_entries(entries))
        starts = np.unique(np.searchsorted(self.indptr, limits, side="right") - 1)
        starts[0] = 0  # this is correct for rows without entries, too
        for start, stop in zip(starts, [*starts[1:], self.shape[0]], strict=True):
            rows = slice(int(start), int(stop))
            yield rows, self.take(rows)

    def take(self, rows):
        """Return the observations of some rows: a view if ``rows`` is a slice."""
        if isinstance(rows, slice):
            start, stop = self.indptr[rows.start], self.indptr[rows.stop]
            entries = slice(start, stop)
            indptr = self.indptr[rows.start : rows.stop + 1] - start
        else:
            counts = np.diff(self.indptr)[rows]
            indptr = np.concatenate([[0], np.cumsum(counts)]).astype(self.indptr.dtype)
            entries = np.repeat(self.indptr[rows] - indptr[:-1], counts) + np.arange(indptr[-1])
        X = sparse.csr_array(
            (self.values[entries], self.indices[entries], indptr),
            shape=(len(indptr) - 1, self.shape[1]),
        )
        return StoredObservations(
            X,
            None if self.weights is None else self.weights[entries],
            None if self.row_weight is None else self.row_weight[rows],
            self.column_weight,
            None if self.kinds is None else self.kinds[entries],
        )

    def stored(self):
        """Return these observations, which are single entries already."""
        return self

    @staticmethod
    def stacked(parts):
        """Return several groups of rows, stacked vertically."""
        X = sparse.vstack([part.matrix(part.values) for part in parts], format="csr")
        weights, row_weight, kinds = (
            None if any(part is None for part in numbers) else np.concatenate(numbers)
            for numbers in zip(*((p.weights, p.row_weight, p.kinds) for p in parts), strict=True)
        )
        return StoredObservations(X, weights, row_weight, parts[0].column_weight, kinds)

    def repeated(self, times):
        """Return the same observations several times, as blocks along the diagonal of a table.

        The factors of this table are those of the single tables, stacked vertically.
        """
        (n_rows, n_columns), first = self.shape, np.arange(times)[:, None]
        starts = (self.indptr[:-1] + first * self.n_observed).ravel()
        indptr = np.append(starts, times * self.n_observed)
        indices = (self.indices + first * n_columns).ravel()
        kind = np.int32 if max(indptr[-1], times * n_columns) < 1 << 31 else np.int64
        sides = self.row_weight, self.column_weight
        values, *others = (
            None if numbers is None else np.tile(numbers, times)
            for numbers in (self.values, self.weights, *sides, self.kinds)
        )
        X = sparse.csr_array(
            (values, indices.astype(kind), indptr.astype(kind)),
            shape=(times * n_rows, times * n_columns),
        )
        return StoredObservations(X, *others)

    def times(self, factor):
        sides = self.row_weight, self.column_weight
        X = self.matrix(self.values * self.dtype.type(factor))
        return StoredObservations(X, self.weights, *sides, self.kinds)

    def in_short(self, precision):
        """Return single-precision data if the rounding errors are a small enough fraction."""
        with np.errstate(over="ignore", invalid="ignore"):
            lost = np.abs(self.values.astype(np.float32) - self.values).max(initial=0)
        if not lost <= precision * np.std(self.values):
            return self
        return self._of_type(np.float32)

    def in_double(self):
        """Return the same observations in double precision."""
        return self if self.dtype == np.float64 else self._of_type(np.float64)

    def _of_type(self, dtype):
        values, *weights = as_type(
            dtype, self.values, self.weights, self.row_weight, self.column_weight
        )
        return StoredObservations(self.matrix(values), *weights, self.kinds)

    def stored_parts(self, rows):
        if len(rows):
            yield rows, self.take(rows)

    def reweighted(self, targets, weights):
        """Return the same entries with other targets, and weights multiplied by these."""
        weights = multiply(self.weights, weights.astype(self.dtype, copy=False))
        return StoredObservations(
            self.matrix(targets), weights, self.row_weight, self.column_weight
        )

    def split(self, share, rng):
        """Return two parts of the entries: visible ones, and a random fraction to hide."""
        hidden = random_share_of_rows(self.entry_rows(), share, rng)
        return self.only(~hidden), self.only(hidden)

    def deal(self, size, rng):
        """Yield random parts with at most this number of entries; rows keep their indices."""
        rows = self.entry_rows()
        order = rng.permutation(self.n_observed)
        for first in range(0, len(order), size):
            there = np.sort(order[first : first + size])
            counts = np.bincount(rows[there], minlength=self.shape[0])
            indptr = np.concatenate([[0], np.cumsum(counts)]).astype(self.indptr.dtype)
            X = sparse.csr_array((self.values[there], self.indices[there], indptr), self.shape)
            weights = None if self.weights is None else self.weights[there]
            kinds = None if self.kinds is None else self.kinds[there]
            yield StoredObservations(X, weights, self.row_weight, self.column_weight, kinds)

    def hold_out(self, share, rng):
        rows, counted = self.entry_rows(), np.ones(self.n_observed, dtype=bool)
        if self.row_weight is not None:
            counted = self.row_weight[rows] > 0
        n_in_row = np.bincount(rows[counted], minlength=self.shape[0])
        n_in_column = np.bincount(self.indices[counted], minlength=self.shape[1])
        hidden = counted & (n_in_row[rows] > 1) & (n_in_column[self.indices] > 1)
        hidden[hidden] = random_share(np.count_nonzero(hidden), share, rng)
        hidden[hidden] = may_be_hidden(rows[hidden], self.indices[hidden], n_in_row, n_in_column)
        return HeldOut(self.only(~hidden), self.only(hidden))

    def only(self, mask):
        """Return the entries selected by a mask in the layout of ``values``."""
        X, weights = keep_entries(self.matrix(self.values), self.weights, mask)
        kinds = None if self.kinds is None else self.kinds[mask]
        return StoredObservations(X, weights, self.row_weight, self.column_weight, kinds)

    def entry_rows(self):
        """The row of every entry."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))

    def model(self, W, Ht):
        """Return the model values in the layout of ``values``."""
        W, Ht = np.ascontiguousarray(W), np.ascontiguousarray(Ht)
        return kernels.values_at(
            self.indptr, self.indices, W, Ht, n_threads_for_entries(self.n_observed, W.shape[1])
        )

    def total(self, elementwise):
        """Return the weighted sum over observed entries of numbers in the layout of ``values``."""
        return float(self._weigh_rows(self._weigh(elementwise)).sum(dtype=np.float64))

    def column_sums(self):
        weighted = self._weigh_rows(multiply(self.values, self.weights))
        return np.bincount(self.indices, weighted, self.shape[1])

    def row_sums(self, elementwise):
        """Return the sum over the observed entries of each row, without the weight of the row."""
        return np.bincount(self.entry_rows(), self._weigh(elementwise), self.shape[0])

    def pull_back(self, elementwise, W, Ht):
        """Return the weighted ``R @ Ht`` and ``R.T @ W`` for numbers R in the layout of ``values``.

        The first result does not include the row weights, which do not change the row's own
        solution.
        """
        weighted = self._weigh(elementwise)
        return self.matrix(weighted) @ Ht, self.matrix(self._weigh_rows(weighted)).T @ W

    def pull_rows(self, elementwise, Ht):
        """Return the first result of `pull_back` only."""
        weighted = np.ascontiguousarray(self._weigh(elementwise))
        return times_dense((self.indptr, self.indices, weighted, None), Ht)

    def _weigh(self, elementwise):
        weighted = multiply(elementwise, self.weights)
        if self.column_weight is not None:
            weighted = weighted * self.column_weight[self.indices]
        return weighted

    def _weigh_rows(self, elementwise):
        if self.row_weight is None:
            return elementwise
        return elementwise * np.repeat(self.row_weight, np.diff(self.indptr))

    def product(self, dense, offsets, row_offsets=0):
        entries = (self.indptr, self.indices, self.values, self.weights)
        row_offsets = np.broadcast_to(np.asarray(row_offsets, self.dtype), self.shape[:1])
        return times_dense(
            entries,
            dense,
            np.ascontiguousarray(offsets) if offsets.any() else None,
            np.ascontiguousarray(row_offsets) if row_offsets.any() else None,
        )

    @cached_property
    def _row_totals(self):
        if self.weights is None and self.column_weight is None:
            return np.diff(self.indptr).astype(self.dtype)
        weights = self.weights
        if self.column_weight is not None:
            weights = multiply(weights, self.column_weight[self.indices])
        return np.bincount(self.entry_rows(), weights, self.shape[0]).astype(self.dtype)

    def n_in_row(self):
        return np.diff(self.indptr)

    def of_row(self, i):
        """Return columns and values of a row."""
        entries = slice(self.indptr[i], self.indptr[i + 1])
        return self.indices[entries], self.values[entries]

    def row(self, i):
        entries = slice(self.indptr[i], self.indptr[i + 1])
        columns = self.indices[entries]
        weights = multiply(
            None if self.weights is None else self.weights[entries],
            None if self.column_weight is None else self.column_weight[columns],
        )
        return columns, self.values[entries], weights

    def entries(self, offsets):
        """Return positions, residuals and weights of the entries, as the kernels need them."""
        targets, weights = self.values, self.weights
        if np.any(offsets):
            targets = targets - offsets[self.indices]
        if self.column_weight is not None:
            weights = multiply(weights, self.column_weight[self.indices])
        return self.indptr, self.indices, targets, weights

    def _solve_rows(self, design, offsets, penalty):
        threads = n_threads_for_entries(self.n_observed, design.shape[1] ** 2)
        strength = penalty.scale, penalty.ridge
        return kernels.solve_rows(self.entries(offsets), design, *strength, threads)

    def systems(self, design, offsets, penalty=None):
        threads = n_threads_for_entries(self.n_observed, design.shape[1] ** 2)
        equations = kernels.normal_equations(self.entries(offsets), design, threads)
        return RowSystems(*equations, penalty)

    def add_systems(self, sums, design, offsets):
        threads = n_threads_for_entries(self.n_observed, design.shape[1] ** 2)
        sums.add_entries(self.entries(offsets), design, threads)

    def improve_rows(self, design, offsets, penalty, start, improve):
        return self.improve_by_systems(design, offsets, penalty, start, improve)

    def refine_rows(self, design, offsets, penalty, start, reduction):
        threads = n_threads_for_entries(self.n_observed, design.shape[1])
        strength = penalty.scale, penalty.ridge
        return kernels.refine_rows(
            self.entries(offsets), design, *strength, start, reduction, threads
        )


def keep_entries(X, weights, keep):
    """Remove stored entries without reading their values."""
    kept_before = np.concatenate([[0], np.cumsum(keep, dtype=X.indptr.dtype)])
    kept = (X.data[keep], X.indices[keep], kept_before[X.indptr].astype(X.indptr.dtype))
    return sparse.csr_array(kept, shape=X.shape), None if weights is None else weights[keep]
