"""One view over complete, holed and sparse data: who is observed, with what weight.

An `ObservedMatrix` answers in terms of its rows; ``T`` is the same data seen by columns,
so that everything above is written once. Case analysis (complete rows, missing entries,
unstored zeros) happens here, before any loop. X is never copied when it need not be, and
never written to.
"""

from functools import cached_property

import numpy as np
from scipy import sparse

from sklearn_mf import kernels
from sklearn_mf.utils._threads import n_threads

BLOCK_ENTRIES = 1 << 18


def observe(X, *, unstored="zero", entry_weight=None, sample_weight=None):
    """Look at validated data.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_rows, n_columns)
        Floating data; NaN, stored or not, is missing.
    unstored : {"zero", "missing"}
        What the entries are that a sparse X does not store.
    entry_weight : ndarray, CSR matrix or None
        Non-negative weights; zero, or not stored, is missing.
    sample_weight : ndarray of shape (n_rows,) or None
        Non-negative weights of the rows.

    Returns
    -------
    observations : ObservedMatrix
        The view.
    """
    if not sparse.issparse(X):
        if entry_weight is not None:
            entry_weight = entry_weight.toarray() if sparse.issparse(entry_weight) else entry_weight
            X = np.where(entry_weight == 0, np.nan, X).astype(X.dtype, copy=False)
        return DenseObservations(X, entry_weight, sample_weight)
    arrays = tuple(np.ascontiguousarray(part) for part in (X.data, X.indices, X.indptr))
    X = sparse.csr_array(arrays, shape=X.shape)
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    weights = None
    if entry_weight is not None:
        X, weights = _align(X, entry_weight, unstored)
        unstored = "missing"
    if unstored == "zero":
        return ZeroFilledObservations(X, sample_weight)
    keep = ~np.isnan(X.data)
    if not keep.all():
        X, weights = _keep_entries(X, weights, keep)
    return StoredObservations(X, weights, sample_weight)


def _align(X, entry_weight, unstored):
    """Data and weights at the entries that have both."""
    E = sparse.csr_array(entry_weight, copy=True)
    E.sum_duplicates()
    E.eliminate_zeros()
    pattern, other = (E, X) if unstored == "zero" else (X, E)
    rows = np.repeat(np.arange(X.shape[0]), np.diff(pattern.indptr))
    found = np.asarray(sparse.csr_array(other)[rows, pattern.indices]).ravel()
    data, weights = (found, E.data) if unstored == "zero" else (X.data, found)
    aligned = sparse.csr_array((data, pattern.indices, pattern.indptr), shape=X.shape)
    weights = weights.astype(X.dtype, copy=False)
    return _keep_entries(aligned, weights, weights > 0)


def _keep_entries(X, weights, keep):
    """Remove stored entries without a look at their values."""
    kept_before = np.concatenate([[0], np.cumsum(keep, dtype=X.indptr.dtype)])
    kept = (X.data[keep], X.indices[keep], kept_before[X.indptr].astype(X.indptr.dtype))
    return sparse.csr_array(kept, shape=X.shape), None if weights is None else weights[keep]


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
        raise NotImplementedError

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


def _multiply(a, b):
    """Product of two weights, either of which may be None for one."""
    if a is None or b is None:
        return b if a is None else a
    return a * b


def _total(weight, size, dtype):
    """Sum of weights, None standing for ones."""
    return dtype.type(size) if weight is None else weight.sum(dtype=np.float64).astype(dtype)


def _times_dense(X, dense):
    """Product of a CSR matrix and a tall array, in parallel."""
    dense = np.ascontiguousarray(dense)
    threads = n_threads(X.nnz * dense.shape[1])
    return kernels.sparse_times_dense(X.indptr, X.indices, X.data, dense, threads)


class SharedRows(ObservedMatrix):
    """Rows without a hole share one factorization; the others are solved one by one."""

    def _per_row(self, value):
        return np.broadcast_to(np.asarray(value, dtype=self.dtype), self.shape[:1])

    def _row_chunks(self, rows, entries=None):
        """Split row numbers so that a dense block of each part stays small."""
        step = max(1, (entries or BLOCK_ENTRIES) // self.shape[1])
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


class DenseObservations(SharedRows):
    """A dense array, NaN where missing, in any memory order, with weights or without."""

    def __init__(self, X, weights=None, row_weight=None, column_weight=None):
        super().__init__(X.shape, X.dtype, row_weight, column_weight)
        self.values = X
        self.weights = weights

    def _transposed(self):
        weights = None if self.weights is None else self.weights.T
        other = DenseObservations(self.values.T, weights, self.column_weight, self.row_weight)
        return self._pass_on(other)

    def _pass_on(self, other):
        """Spare other views of complete data the search for holes."""
        if self.complete:
            other.__dict__["_full_rows"] = np.ones(other.shape[0], dtype=bool)
        return other

    @cached_property
    def _full_rows(self):
        """Rows without a missing entry."""
        # Infinities were refused, so a sum is NaN where an entry is: no mask of X's size.
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
        step = max(1, (entries or BLOCK_ENTRIES) // n_columns)
        for start in range(0, n_rows, step):
            rows = slice(start, min(start + step, n_rows))
            yield rows, self.take(rows)

    def take(self, rows):
        """The observations of some rows: a view where ``rows`` is a slice."""
        return self._pass_on(
            DenseObservations(
                self.values[rows],
                None if self.weights is None else self.weights[rows],
                None if self.row_weight is None else self.row_weight[rows],
                self.column_weight,
            )
        )

    def reweighted(self, targets, weights):
        """The same entries with other targets, their weights multiplied."""
        targets = np.where(self._observed(), targets, np.nan).astype(self.dtype, copy=False)
        weights = _multiply(self.weights, weights.astype(self.dtype, copy=False))
        return DenseObservations(targets, weights, self.row_weight, self.column_weight)

    def split(self, share, rng):
        """Two parts of the entries: most, and a random share of each row to be hidden."""
        draws = np.where(self._observed(), rng.random(self.shape), -1)
        hidden = (draws >= 0) & (draws < share)
        # The entry with the largest draw stays, so that no row is left without any.
        hidden[np.arange(self.shape[0]), draws.argmax(axis=1)] = False
        return self._only(~hidden), self._only(hidden)

    def _only(self, mask):
        values = np.where(mask, self.values, self.dtype.type(np.nan))
        return DenseObservations(values, self.weights, self.row_weight, self.column_weight)

    def model(self, W, Ht):
        """Model values, in the layout of ``values``."""
        return W @ Ht.T

    def total(self, elementwise):
        """Weighted sum over the observed entries of numbers in the layout of ``values``."""
        return float(self._weigh_rows(self._weigh(elementwise)).sum(dtype=np.float64))

    def row_sums(self, elementwise):
        """Sum over the observed entries of each row, the row's own weight left out."""
        return self._weigh(elementwise).sum(axis=1, dtype=np.float64)

    def pull_back(self, elementwise, W, Ht):
        """Weighted ``R @ Ht`` and ``R.T @ W`` for numbers R in the layout of ``values``.

        The first without the row weights: a row's own weight is not its own concern.
        """
        weighted = self._weigh(elementwise)
        by_row = weighted @ Ht
        return by_row, self._weigh_rows(weighted).T @ W

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
            return self.values @ dense - (offsets @ dense + row_offsets * dense.sum(axis=0))
        out = np.empty((self.shape[0], dense.shape[1]), dtype=self.dtype)
        for rows, block in self.blocks():
            centred = np.nan_to_num(block.values - offsets - row_offsets[rows], copy=False)
            if block.weights is not None:
                centred *= block.weights
            out[rows] = centred @ dense
        return out

    def row_totals(self):
        if self.complete:
            total = _total(self.column_weight, self.shape[1], self.dtype)
            return np.full(self.shape[0], total, dtype=self.dtype)
        out = np.empty(self.shape[0], dtype=self.dtype)
        for rows, block in self.blocks():
            weights = block._observed().astype(self.dtype)
            for weight in (block.weights, block.column_weight):
                if weight is not None:
                    weights *= weight
            out[rows] = weights.sum(axis=1, dtype=np.float64)
        return out

    def _row(self, i):
        columns = np.flatnonzero(~np.isnan(self.values[i]))
        weights = _multiply(None if self.weights is None else self.weights[i], self.column_weight)
        return columns, self.values[i, columns], None if weights is None else weights[columns]

    def _solve_each_row(self, design, offsets, ridge, penalized):
        weights = self.weights
        if self.column_weight is not None:
            weights = np.broadcast_to(self.column_weight, self.shape)
            weights = weights if self.weights is None else weights * self.weights
        threads = n_threads(self.values.size * design.shape[1] ** 2)
        return kernels.solve_dense_rows(
            self.values, weights, offsets, design, ridge, penalized, threads
        )


class StoredObservations(ObservedMatrix):
    """Sparse data in CSR layout: what is not stored is missing."""

    complete = False

    def __init__(self, X, weights=None, row_weight=None, column_weight=None):
        super().__init__(X.shape, X.dtype, row_weight, column_weight)
        self.indptr, self.indices = X.indptr, X.indices
        self.values = X.data
        self.weights = weights
        self.n_observed = len(X.data)

    def _transposed(self):
        # The order of the entries by column, found once and applied to data and weights.
        order = sparse.csr_array(
            (np.arange(self.n_observed), self.indices, self.indptr), shape=self.shape
        ).T.tocsr()
        X = sparse.csr_array((self.values[order.data], order.indices, order.indptr), order.shape)
        weights = None if self.weights is None else self.weights[order.data]
        return StoredObservations(X, weights, self.column_weight, self.row_weight)

    def _csr(self, data):
        return sparse.csr_array((data, self.indices, self.indptr), shape=self.shape)

    def blocks(self, entries=None):
        limits = np.arange(0, self.n_observed, entries or BLOCK_ENTRIES)
        starts = np.unique(np.searchsorted(self.indptr, limits, side="right") - 1)
        for start, stop in zip(starts, [*starts[1:], self.shape[0]], strict=True):
            rows = slice(int(start), int(stop))
            yield rows, self.take(rows)

    def take(self, rows):
        """The observations of some rows: a view where ``rows`` is a slice."""
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
        )

    def reweighted(self, targets, weights):
        """The same entries with other targets, their weights multiplied."""
        weights = _multiply(self.weights, weights.astype(self.dtype, copy=False))
        return StoredObservations(self._csr(targets), weights, self.row_weight, self.column_weight)

    def split(self, share, rng):
        """Two parts of the entries: most, and a random share of each row to be hidden."""
        draws = rng.random(self.n_observed)
        largest = np.full(self.shape[0], -1.0)
        np.maximum.at(largest, self._entry_rows(), draws)
        # The entry with the largest draw stays, so that no row is left without any.
        hidden = (draws < share) & (draws < largest[self._entry_rows()])
        return self._only(~hidden), self._only(hidden)

    def _only(self, mask):
        X, weights = _keep_entries(self._csr(self.values), self.weights, mask)
        return StoredObservations(X, weights, self.row_weight, self.column_weight)

    def _entry_rows(self):
        return np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))

    def model(self, W, Ht):
        """Model values, in the layout of ``values``."""
        W, Ht = np.ascontiguousarray(W), np.ascontiguousarray(Ht)
        return kernels.values_at(
            self.indptr, self.indices, W, Ht, n_threads(self.n_observed * W.shape[1])
        )

    def total(self, elementwise):
        """Weighted sum over the observed entries of numbers in the layout of ``values``."""
        return float(self._weigh_rows(self._weigh(elementwise)).sum(dtype=np.float64))

    def row_sums(self, elementwise):
        """Sum over the observed entries of each row, the row's own weight left out."""
        return np.bincount(self._entry_rows(), self._weigh(elementwise), self.shape[0])

    def pull_back(self, elementwise, W, Ht):
        """Weighted ``R @ Ht`` and ``R.T @ W`` for numbers R in the layout of ``values``.

        The first without the row weights: a row's own weight is not its own concern.
        """
        weighted = self._weigh(elementwise)
        return self._csr(weighted) @ Ht, self._csr(self._weigh_rows(weighted)).T @ W

    def _weigh(self, elementwise):
        weighted = _multiply(elementwise, self.weights)
        if self.column_weight is not None:
            weighted = weighted * self.column_weight[self.indices]
        return weighted

    def _weigh_rows(self, elementwise):
        if self.row_weight is None:
            return elementwise
        return elementwise * np.repeat(self.row_weight, np.diff(self.indptr))

    def product(self, dense, offsets, row_offsets=0):
        centred = self.values - offsets[self.indices]
        if np.any(row_offsets):
            centred -= np.repeat(row_offsets, np.diff(self.indptr))
        centred = _multiply(centred, self.weights)
        return _times_dense(self._csr(centred), dense)

    def row_totals(self):
        if self.weights is None and self.column_weight is None:
            return np.diff(self.indptr).astype(self.dtype)
        weights = self.weights
        if self.column_weight is not None:
            weights = _multiply(weights, self.column_weight[self.indices])
        return np.bincount(self._entry_rows(), weights, self.shape[0]).astype(self.dtype)

    def _row(self, i):
        entries = slice(self.indptr[i], self.indptr[i + 1])
        columns = self.indices[entries]
        weights = _multiply(
            None if self.weights is None else self.weights[entries],
            None if self.column_weight is None else self.column_weight[columns],
        )
        return columns, self.values[entries], weights

    def _solve_rows(self, design, offsets, ridge, penalized):
        targets, weights = self.values, self.weights
        if np.any(offsets):
            targets = targets - offsets[self.indices]
        if self.column_weight is not None:
            weights = _multiply(weights, self.column_weight[self.indices])
        threads = n_threads(self.n_observed * design.shape[1] ** 2)
        return kernels.solve_rows(
            self.indptr, self.indices, targets, weights, design, ridge, penalized, threads
        )


class ZeroFilledObservations(SharedRows):
    """Sparse data in CSR layout: what is not stored is zero, and observed.

    The shared Gram matrix stands for the zeros, so that no dense matrix is formed. Only
    the few rows that store a NaN are made dense, in small blocks.
    """

    weights = None

    def __init__(self, X, row_weight=None, column_weight=None):
        super().__init__(X.shape, X.dtype, row_weight, column_weight)
        self._X = X
        missing = np.isnan(X.data)
        holes = np.diff(np.concatenate([[0], np.cumsum(missing)])[X.indptr])
        self._full_rows = holes == 0
        self.complete = not holes.any()
        self.n_observed = X.shape[0] * X.shape[1] - int(holes.sum())
        # Holed rows are answered by dense blocks; here they need only be finite.
        data = X.data if self.complete else np.where(missing, 0, X.data)
        self._filled = sparse.csr_array((data, X.indices, X.indptr), shape=X.shape)

    def _transposed(self):
        return ZeroFilledObservations(self._X.T.tocsr(), self.column_weight, self.row_weight)

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
        )

    def _row(self, i):
        return self.take(slice(i, i + 1))._row(0)

    def product(self, dense, offsets, row_offsets=0):
        row_offsets = self._per_row(row_offsets)
        out = self._filled_product(dense)
        out -= offsets @ dense + row_offsets[:, None] * dense.sum(axis=0)
        for rows, block in self._holed_blocks():
            out[rows] = block.product(dense, offsets, row_offsets[rows])
        return out

    def _filled_product(self, dense):
        return _times_dense(self._filled, dense)

    def row_totals(self):
        out = np.full(self.shape[0], _total(self.column_weight, self.shape[1], self.dtype))
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
        row_weight = _multiply(row_weight, self.row_weight)
        weighted_W = W * row_weight[:, None]
        weighted_Ht = Ht if self.column_weight is None else Ht * self.column_weight[:, None]
        products = self._filled_product(weighted_Ht)
        cross = np.vdot(weighted_W, products)
        model = np.vdot(weighted_W.T @ W, weighted_Ht.T @ Ht)
        # Cancellation can leave a little less than nothing.
        loss = max(0.0, 0.5 * float(self._squares - 2 * cross + model))
        return loss, products, weighted_W, weighted_Ht

    @cached_property
    def _squares(self):
        X = self._filled
        squares = X.data.astype(np.float64) ** 2
        if self.column_weight is not None:
            squares *= self.column_weight[X.indices]
        row_weight = _multiply(self._full_rows.astype(np.float64), self.row_weight)
        return np.dot(squares, np.repeat(row_weight, np.diff(X.indptr)))
