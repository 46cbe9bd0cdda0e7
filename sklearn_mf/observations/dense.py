"""Dense data, with or without missing values."""

from functools import cached_property

import numpy as np
from scipy import sparse

from sklearn_mf import kernels
from sklearn_mf.observations._base import (
    HeldOut,
    ObservedMatrix,
    as_type,
    block_entries,
    kinds_of_rows,
    multiply,
    total_weight,
    transposed_kinds,
)
from sklearn_mf.observations.shared_rows import SharedRows
from sklearn_mf.observations.stored import StoredObservations
from sklearn_mf.utils._hiding import may_be_hidden, random_share, random_share_of_rows
from sklearn_mf.utils._threads import n_threads, n_threads_for_entries, product

# Number of rows with the same missing entries that share one factorization. Fewer rows are faster
# one by one.
GROUP = 64


class DenseObservations(SharedRows):
    """A dense array with NaN for missing values, in any memory order, with or without weights."""

    def __init__(self, X, weights=None, row_weight=None, column_weight=None, kinds=None):
        super().__init__(X.shape, X.dtype, row_weight, column_weight, kinds)
        self.values = in_whole_steps(X)
        self.weights = None if weights is None else in_whole_steps(weights)

    def _transposed(self):
        weights = None if self.weights is None else self.weights.T
        kinds = transposed_kinds(self.kinds)
        sides = self.column_weight, self.row_weight
        return self._pass_on(DenseObservations(self.values.T, weights, *sides, kinds))

    def _pass_on(self, other):
        """Tell other views that the data are complete, so that they need not search for NaN."""
        if self.complete:
            other.__dict__["_full_rows"] = np.ones(other.shape[0], dtype=bool)
        return other

    @cached_property
    def _full_rows(self):
        """Rows without missing entries."""
        # Infinite values have been refused, so a sum is NaN if an entry is. This needs no mask of
        # X.
        return ~np.isnan(self.values.sum(axis=1))

    @cached_property
    def complete(self):
        return self.weights is None and bool(self._full_rows.all())

    @property
    def n_observed(self):
        return sum(int(block._observed().sum()) for _, block in self.blocks())

    def _observed(self):
        return ~np.isnan(self.values)

    def blocks(self, entries=None):
        n_rows, n_columns = self.shape
        step = max(1, block_entries(entries) // n_columns)
        if step >= n_rows:
            yield slice(0, n_rows), self
            return
        for start in range(0, n_rows, step):
            rows = slice(start, min(start + step, n_rows))
            yield rows, self.take(rows)

    def take(self, rows):
        """Return the observations of some rows: a view if ``rows`` is a slice."""
        return self._pass_on(
            DenseObservations(
                self.values[rows],
                None if self.weights is None else self.weights[rows],
                None if self.row_weight is None else self.row_weight[rows],
                self.column_weight,
                kinds_of_rows(self.kinds, rows),
            )
        )

    def times(self, factor):
        sides = self.row_weight, self.column_weight
        values = self.values * self.dtype.type(factor)
        return self._pass_on(DenseObservations(values, self.weights, *sides, self.kinds))

    def in_double(self):
        """Return the same observations in double precision."""
        if self.dtype == np.float64:
            return self
        values, *weights = as_type(
            np.float64, self.values, self.weights, self.row_weight, self.column_weight
        )
        return self._pass_on(DenseObservations(values, *weights, self.kinds))

    def reweighted(self, targets, weights):
        """Return the same entries with other targets, and weights multiplied by these."""
        observed = self._observed()
        targets = np.where(observed, targets, np.nan).astype(self.dtype, copy=False)
        weights = np.where(observed, weights, 0).astype(self.dtype, copy=False)
        weights = multiply(self.weights, weights)
        return DenseObservations(targets, weights, self.row_weight, self.column_weight)

    def split(self, share, rng):
        """Return two parts of the entries: visible ones, and a random fraction to hide."""
        observed = self._observed()
        hidden = np.zeros(self.shape, dtype=bool)
        hidden[observed] = random_share_of_rows(np.nonzero(observed)[0], share, rng)
        return self._only(~hidden), self._only(hidden)

    def hold_out(self, share, rng):
        n_rows, n_columns = self.shape
        n_in_row, n_in_column = np.zeros(n_rows, int), np.zeros(n_columns, int)
        for part, block in self.blocks():
            counted = block._counted()
            n_in_row[part] = counted.sum(axis=1)
            n_in_column += counted.sum(axis=0)
        chosen = []
        for part, block in self.blocks():
            counted = block._counted() & (n_in_row[part] > 1)[:, None] & (n_in_column > 1)
            cells = np.flatnonzero(counted)
            cells = cells[random_share(len(cells), share, rng)]
            chosen.append(cells + part.start * n_columns)
        rows, columns = np.divmod(np.concatenate(chosen), n_columns)
        mask = may_be_hidden(rows, columns, n_in_row, n_in_column)
        rows, columns = rows[mask], columns[mask]
        visible = np.array(self.values, order="K")
        visible[rows, columns] = np.nan
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_rows))])
        hidden = sparse.csr_array(
            (self.values[rows, columns], columns.astype(np.int32), indptr),
            shape=self.shape,
        )
        weights = None if self.weights is None else self.weights[rows, columns]
        sides = self.row_weight, self.column_weight
        return HeldOut(
            DenseObservations(visible, self.weights, *sides, self.kinds),
            StoredObservations(hidden, weights, *sides, self._kinds_at((rows, columns))),
        )

    def _counted(self):
        """Return a mask of the observed entries in rows with a positive weight."""
        observed = self._observed()
        return observed if self.row_weight is None else observed & (self.row_weight > 0)[:, None]

    def _only(self, mask):
        values = np.where(mask, self.values, self.dtype.type(np.nan))
        sides = self.row_weight, self.column_weight
        return DenseObservations(values, self.weights, *sides, self.kinds)

    def model(self, W, Ht):
        """Return the model values in the layout of ``values``."""
        if self.values.strides[0] < self.values.strides[1]:
            return (Ht @ W.T).T  # the same memory order makes elementwise operations faster
        return W @ Ht.T

    def total(self, elementwise):
        """Return the weighted sum over observed entries of numbers in the layout of ``values``."""
        return float(self._weigh_rows(self._weigh(elementwise)).sum(dtype=np.float64))

    def column_sums(self):
        sums = np.zeros(self.shape[1])
        for _, block in self.blocks():
            features, ones = block.T, block.row_weight
            if ones is None:
                ones = np.ones(block.shape[0], dtype=self.dtype)
            sums += features.product(ones[:, None], np.zeros_like(ones))[:, 0]
        return sums

    def row_sums(self, elementwise):
        """Return the sum over the observed entries of each row, without the weight of the row."""
        return self._weigh(elementwise).sum(axis=1, dtype=np.float64)

    def pull_back(self, elementwise, W, Ht):
        """Return the weighted ``R @ Ht`` and ``R.T @ W`` for numbers R in the layout of ``values``.

        The first result does not include the row weights, which do not change the row's own
        solution.
        """
        weighted = self._weigh(elementwise)
        by_row = weighted @ Ht
        return by_row, self._weigh_rows(weighted).T @ W

    def pull_rows(self, elementwise, Ht):
        """Return the first result of `pull_back` only."""
        return self._weigh(elementwise) @ Ht

    def _weigh(self, elementwise):
        weighted = elementwise
        if not self.complete:
            weighted = np.where(self._observed(), elementwise, 0)
        for weight in (self.weights, self.column_weight):
            if weight is not None:
                weighted = weighted * weight
        return weighted

    def _weigh_rows(self, elementwise):
        return elementwise if self.row_weight is None else elementwise * self.row_weight[:, None]

    def product(self, dense, offsets, row_offsets=0):
        row_offsets = self._per_row(row_offsets)[:, None]
        if self.complete:
            out = self.values @ dense
            if offsets.any():
                out -= offsets @ dense
            if row_offsets.any():
                out -= row_offsets * dense.sum(axis=0, dtype=np.float64).astype(self.dtype)
            return out
        out = np.empty((self.shape[0], dense.shape[1]), dtype=self.dtype)
        for rows, block in self.blocks():
            centred = np.nan_to_num(block.values - offsets - row_offsets[rows], copy=False)
            if block.weights is not None:
                centred *= block.weights
            out[rows] = centred @ dense
        return out

    @property
    def _has_gram_loss(self):
        return self.complete

    def filled_product(self, dense):
        return product(self.values, dense)

    def _holed_blocks(self):
        return ()

    def _residual_loss(self, W, Ht, loss):
        if self.row_weight is not None or self.column_weight is not None:
            return super()._residual_loss(W, Ht, loss)
        total = 0.0
        for rows, block in self.blocks():
            residual = W[rows] @ Ht.T
            residual -= block.values
            total += 0.5 * float(np.vdot(residual, residual))
        return total

    @cached_property
    def total_squares(self):
        return self._squares if self.complete else super().total_squares

    @cached_property
    def _squares(self):
        if (known := vars(self.T).get("_squares")) is not None:
            return known
        if self.column_weight is None:
            return self.sum_of_squares()
        return sum(
            float(block._weigh_rows(block.values**2 * self.column_weight).sum(dtype=np.float64))
            for _, block in self.blocks()
        )

    def sum_of_squares(self):
        """Return the weighted sum of the squares of complete data."""
        total = 0.0
        for _, block in self.blocks():
            per_row = np.einsum("ij,ij->i", block.values, block.values)
            total += float(
                per_row.sum() if block.row_weight is None else per_row @ block.row_weight
            )
        return total

    @cached_property
    def _row_totals(self):
        if self.complete:
            total = total_weight(self.column_weight, self.shape[1], self.dtype)
            return np.full(self.shape[0], total, dtype=self.dtype)
        out = np.empty(self.shape[0], dtype=self.dtype)
        for rows, block in self.blocks():
            weights = block._observed().astype(self.dtype)
            for weight in (block.weights, block.column_weight):
                if weight is not None:
                    weights *= weight
            out[rows] = weights.sum(axis=1, dtype=np.float64)
        return out

    def n_in_row(self):
        return np.concatenate([block._observed().sum(axis=1) for _, block in self.blocks()])

    def row(self, i):
        columns = np.flatnonzero(~np.isnan(self.values[i]))
        weights = multiply(None if self.weights is None else self.weights[i], self.column_weight)
        return columns, self.values[i, columns], None if weights is None else weights[columns]

    @cached_property
    def _row_groups(self):
        if self.weights is not None or self.shape[0] == 0:
            return []
        if self.complete:
            return [np.arange(self.shape[0])]
        return equal_rows(self, GROUP)

    def _solve_group(self, rows, design, offsets, ridge):
        if self.complete:
            operator = kernels.least_squares_operator(design, self.column_weight, ridge)
            return self.product(operator, offsets)
        columns, _, weights = self.row(rows[0])
        operator = kernels.least_squares_operator(design[columns], weights, ridge)
        solution = [
            (self.values[np.ix_(part, columns)] - offsets[columns]) @ operator
            for part in self.row_chunks(rows)
        ]
        return np.concatenate(solution)

    def _group_equations(self, rows, design, offsets):
        if self.complete:
            columns, weights = slice(None), self.column_weight
        else:
            columns, _, weights = self.row(rows[0])
        design = design[columns]
        weighted = design if weights is None else design * weights[:, None]
        if self.complete:
            moments = product(self.values, weighted)
        else:
            parts = self.row_chunks(rows)
            moments = np.concatenate([self.values[np.ix_(p, columns)] @ weighted for p in parts])
        if offsets.any():
            moments -= offsets[columns] @ weighted
        return weighted.T @ design, moments

    def solve_each_row(self, design, offsets, penalty, gram):
        weights = self.weights
        if self.column_weight is not None:
            weights = np.broadcast_to(self.column_weight, self.shape)
            weights = weights if self.weights is None else weights * self.weights
        gram = gram if self.weights is None else None
        threads = n_threads(self.values.size * design.shape[1] ** 2)
        strength = penalty.scale, penalty.ridge
        return kernels.solve_dense_rows(
            self.values, weights, offsets, design, gram, *strength, threads
        )

    def add_systems(self, sums, design, offsets):
        if self.complete:
            super().add_systems(sums, design, offsets)
            return
        for rows, block in self.blocks():
            part = block.stored()
            threads = n_threads_for_entries(part.n_observed, design.shape[1] ** 2)
            sums.add_entries(part.entries(offsets), design, threads, rows)

    def stored(self):
        """Return the same observations as single entries."""
        observed = self._observed()
        starts = np.concatenate([[0], np.cumsum(observed.sum(axis=1))])
        columns = np.nonzero(observed)[1].astype(np.int32)
        X = sparse.csr_array((self.values[observed], columns, starts), shape=self.shape)
        weights = None if self.weights is None else self.weights[observed]
        sides = self.row_weight, self.column_weight
        return StoredObservations(X, weights, *sides, self._kinds_at(observed))

    def _kinds_at(self, cells):
        return None if self.kinds is None else np.broadcast_to(self.kinds, self.shape)[cells]


def in_whole_steps(X):
    """Return X, copied if its memory layout is irregular, as that of packed records."""
    if X.flags.aligned and all(step % X.itemsize == 0 for step in X.strides):
        return X
    return np.array(X)


def equal_rows(observations: ObservedMatrix, at_least):
    """Return groups of at least this number of rows with the same missing columns.

    Parameters
    ----------
    observations : DenseObservations
        The data.
    at_least : int
        Smallest size of a group.

    Returns
    -------
    groups : list of ndarray
        Row indices of each group.
    """
    n_rows, n_columns = observations.shape
    # Sums of random integers, exact in floating point, identify the patterns. Equal sums are
    # verified.
    bits = 52 - n_columns.bit_length()
    keys = np.random.default_rng(0).integers(1 << bits, size=n_columns).astype(np.float64)
    sums = np.empty(n_rows)
    for rows, block in observations.blocks():
        sums[rows] = np.isnan(block.values) @ keys
    order = np.argsort(sums, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(sums[order])) + 1)
    return [g for g in groups if len(g) >= at_least and _miss_the_same(observations, g)]


def _miss_the_same(observations: ObservedMatrix, rows):
    missing = np.isnan(observations.values[rows[0]])
    return all(
        (np.isnan(observations.values[part]) == missing).all()
        for part in observations.row_chunks(rows)
    )
