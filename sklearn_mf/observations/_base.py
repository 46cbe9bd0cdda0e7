"""The abstract base of all views of data, and the methods that they share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from scipy import sparse

from sklearn_mf import kernels
from sklearn_mf.observations.answers import gradient_of, value_of
from sklearn_mf.systems import (
    Descent,
    PackedSystems,
    RowSystems,
    descend,
    descend_blocks,
    shortest_rows,
    solve_active_set,
)
from sklearn_mf.utils._threads import in_threads, n_threads_for_entries
from sklearn_mf.utils._twins import twin

BLOCK_ENTRIES = 1 << 19
# Number of entries whose elementwise results stay in the cache.
CACHED_ENTRIES = 1 << 16
# Powers of two between which squares keep all digits.
SAFE = {np.float32: 50, np.float64: 400}


def block_entries(entries=None):
    """Return the number of entries in a block of rows, by default one with small temporaries."""
    return entries or BLOCK_ENTRIES


class ObservedMatrix(ABC):
    """Abstract base class of the views of data, for predicting rows from columns.

    A view of data in another storage format defines `take`, `times` and ``_transposed``. All other
    methods use the dense or sparse blocks that `take` returns, with little memory, and are
    overridden where the storage format allows something faster. Dense and sparse data are such
    blocks themselves: they define everything, including the elementwise methods.

    Attributes
    ----------
    shape : tuple of int
        Numbers of rows and columns.
    dtype : dtype
        Type of the data, float32 or float64.
    row_weight, column_weight : ndarray or None
        Weights of the rows and columns. The weight of a row does not change its own solution; the
        weights of the columns do.
    kinds : ndarray of int or None
        Index of the loss of every entry, in a shape that broadcasts to ``values``, if there are
        several losses.
    complete : bool
        Whether every entry is observed with entry weight one.
    nonzeros : ObservedMatrix or None
        A view without the observed zeros, for sparse data without missing entries.
    n_observed : int
        Number of observed entries.
    typical_size : float
        Weighted root mean square of the observed entries, computed without overflow or underflow.
    stored_per_row : float
        Average number of multiplications in a product with a row.
    """

    complete = False
    nonzeros = None

    def __init__(self, shape, dtype, row_weight, column_weight, kinds):
        self.shape, self.dtype = shape, dtype
        self.row_weight = row_weight
        self.column_weight = column_weight
        self.kinds = kinds

    def __sizeof__(self):
        """Return the bytes of the arrays, including the twin's, by which schedulers spill data."""
        return object.__sizeof__(self) + sum(_arrays(self).values())

    # Methods that a storage format must define --------------------------------------------

    @twin
    def T(self):
        """The same observations with rows and columns exchanged."""
        return self._transposed()

    @abstractmethod
    def _transposed(self):
        """Return a new view with rows and columns, and their weights, exchanged."""

    @abstractmethod
    def take(self, rows):
        """Return some rows as a block: `DenseObservations` or `StoredObservations`.

        Parameters
        ----------
        rows : slice or ndarray of int
            The rows.

        Returns
        -------
        block : ObservedMatrix
            The block, with the weights of these rows and of all columns.
        """

    @abstractmethod
    def times(self, factor):
        """Return the same observations with all values multiplied by a number, as a copy."""

    # Methods that use blocks, and may be overridden ----------------------------------------

    def blocks(self, entries=None):
        """Yield slices of rows and their observations, to process the data with little memory.

        A block has about ``entries`` entries. By default, the temporaries of elementwise operations
        need a few megabytes.
        """
        step = max(1, block_entries(entries) // max(1, self.shape[1]))
        for start in range(0, self.shape[0], step):
            rows = slice(start, min(start + step, self.shape[0]))
            yield rows, self.take(rows)

    def subset(self, rows):
        """Return the observations of some rows in the same storage format."""
        return self.take(rows)

    def stored(self):
        """Return the same observations as single entries."""
        parts = [block.stored() for _, block in self.blocks()] or [self.take(slice(0, 0)).stored()]
        return parts[0].stacked(parts)

    def in_double(self):
        """Return the same observations in double precision."""
        return self if self.dtype == np.float64 else self.stored().in_double()

    def each_value(self):
        """Yield arrays that together contain every observed value at least once."""
        for _, block in self.blocks():
            yield block.values if block.complete else block.values[~np.isnan(block.values)]

    def hold_out(self, share, rng):
        """Hide a random fraction of the entries, drawn by a `hiding_stream`; return a `HeldOut`.

        At least one entry remains visible in each row and column. No entries are hidden in rows
        with weight zero, which solvers ignore. If any entry can be hidden, at least one is.
        """
        return self.stored().hold_out(share, rng)

    def row_chunks(self, rows, entries=None):
        """Split row indices so that a dense block of each part is small."""
        step = max(1, block_entries(entries) // self.shape[1])
        return np.split(rows, range(step, len(rows), step)) if len(rows) else []

    def stored_parts(self, rows):
        """Yield row indices and the entries of these rows, with little memory."""
        for part in self.row_chunks(rows):
            yield part, self.take(part).stored()

    def row(self, i):
        """Return columns, values and weights (None for ones) of the observed entries of a row."""
        return self.take(slice(i, i + 1)).row(0)

    def row_values(self, i):
        """Return the observed values of a row."""
        return self.row(i)[1]

    def n_in_row(self):
        """Return the number of observed entries of every row."""
        return self._of_blocks(lambda block, _: block.n_in_row(), int)

    @cached_property
    def n_observed(self):
        """Number of observed entries."""
        return int(self.n_in_row().sum())

    @cached_property
    def stored_per_row(self):
        """Average number of multiplications in a product with a row."""
        return float(total_weight(self.column_weight, self.shape[1], self.dtype))

    def _of_blocks(self, function, dtype, width=None):
        """Return an array of the results of a function for all rows, computed in blocks."""
        shape = self.shape[:1] if width is None else (self.shape[0], width)
        out = np.empty(shape, dtype=dtype)
        for rows, block in self.blocks():
            out[rows] = function(block, rows)
        return out

    def first(self, test):
        """Return row, column and value of the first entry that satisfies a test, or None."""
        for rows, block in self.blocks():
            if not test(block.values).any():
                continue
            for i in range(rows.start, rows.stop):
                columns, values, _ = self.row(i)
                found = np.flatnonzero(test(values))
                if len(found):
                    return i, int(columns[found[0]]), values[found[0]]
        return None

    def refuse_negative(self, whom, names=None):
        """Raise a ValueError that locates a negative value, in scikit-learn's words."""
        least = min((values.min(initial=0) for values in self.each_value()), default=0)
        if least < 0:
            i, j, value = self.first(lambda values: values < 0)
            column = j if names is None else repr(names[j])
            raise ValueError(
                f"Negative values in data passed to {whom} (input X): row {i}, column {column} "
                f"has {value:g}. Use MatrixFactorization, or mark missing entries by NaN."
            )

    def product(self, dense, offsets, row_offsets=0):
        """Sum ``e_ij * (x_ij - offsets_j - row_offsets_i) * dense_j`` over observed j."""
        row_offsets = np.broadcast_to(np.asarray(row_offsets, dtype=self.dtype), self.shape[:1])
        return self._of_blocks(
            lambda block, rows: block.product(dense, offsets, row_offsets[rows]),
            self.dtype,
            dense.shape[1],
        )

    def product_and_back(self, dense, offsets):
        """Return `product`, and the product of X' with its weighted rows: X'X times the columns."""
        image = self.product(dense, offsets)
        if self.row_weight is not None:
            image *= self.row_weight[:, None]
        return self.T.product(image, np.zeros_like(image, shape=len(image)), offsets)

    @cached_property
    def total_squares(self):
        """Weighted sum of the squares of the observed entries; infinite if it overflows."""
        with np.errstate(over="ignore"):
            return sum(block.total(np.square(block.values)) for _, block in self.blocks())

    @cached_property
    def typical_size(self):
        """Weighted root mean square of the observed entries; 0 if all of them are zero."""
        total = self.T.row_totals().sum(dtype=np.float64)
        size = float(np.sqrt(self.total_squares / total)) if total else 0.0
        if size == 0 or not SAFE[self.dtype.type] > abs(np.log2(size)):
            largest = max((np.abs(v).max(initial=0) for v in self.each_value()), default=0)
            if largest > 0 and abs(np.log2(largest)) > 1:
                power = 2.0 ** round(np.log2(largest))
                return power * self.times(1 / power).typical_size
        return size

    def column_sums(self):
        """Return the weighted sum of the observed entries in each column, in double precision.

        In single precision, sums over millions of rows would lose digits.
        """
        sums = (block.column_sums() for _, block in self.blocks())
        return sum(sums, np.zeros(self.shape[1]))

    def row_totals(self):
        """Return the sum over observed j of ``e_ij`` times the column weight, for every row i."""
        return self._row_totals

    @cached_property
    def _row_totals(self):
        return self._of_blocks(lambda block, _: block.row_totals(), self.dtype)

    # Methods shared by all views ------------------------------------------------------

    def empty_rows(self):
        """Return a mask of the rows without observed entries."""
        return self.row_totals() == 0

    def solve_rows(self, design, offsets, penalty):
        """Solve a weighted ridge regression of every row on the design; see ``kernels.solve_rows``.

        Only the L2 part of the penalty is used. Singular rows get the minimum-norm solution.
        """
        solution, status = self._solve_rows(design, offsets, penalty)
        if np.any(status < 0):
            raise MemoryError("There is not enough memory for the solution of the rows.")
        solution[status != 0] = 0
        singular = np.flatnonzero((status != 0) & (self.row_totals() > 0))
        for rows, part in self.stored_parts(singular):
            entries, own = part.entries(None), penalty.of_rows(rows)
            solution[rows] = shortest_rows(entries, design, offsets, own)
        return solution

    def refine_rows(self, design, offsets, penalty, start, reduction):
        """Approach `solve_rows` by conjugate gradients; see ``kernels.refine_rows``."""

        def refined(block, rows):
            own = penalty.of_rows(rows)
            return block.refine_rows(design, offsets, own, start[rows], reduction)

        return self._of_blocks(refined, self.dtype, design.shape[1])

    def _solve_rows(self, design, offsets, penalty):
        """Return the solutions, and for each row a status that is nonzero if it has none."""
        solution = self._of_blocks(
            lambda block, rows: block.solve_rows(design, offsets, penalty.of_rows(rows)),
            self.dtype,
            design.shape[1],
        )
        return solution, np.zeros(len(solution), dtype=np.int32)

    def descend_blocks(self, design, offsets, penalty, start, size):
        """Solve for each block of coefficients in turn; see ``systems.descend_blocks``.

        Parameters
        ----------
        design, offsets, penalty, start
            As in `descend_rows`. Only the L2 part of the penalty is used.
        size : int
            Number of coefficients in a block.

        Returns
        -------
        rows : ndarray of shape (n_rows, k)
            The improved rows. No row costs more than at the start.
        """
        improve = partial(descend_blocks, size=size)
        return self.improve_rows(design, offsets, penalty, start, improve).rows

    def descend_rows(self, design, offsets, penalty, start, accuracy):
        """Improve rows by coordinate descent; see ``kernels.descend_rows``.

        Parameters
        ----------
        design : ndarray of shape (n_columns, k)
            The regressors.
        offsets : ndarray of shape (n_columns,)
            Numbers that are subtracted from the data.
        penalty : RowPenalty
            Penalty on the rows.
        start : ndarray of shape (n_rows, k)
            The initial rows.
        accuracy : tuple of (float, int)
            The tolerance, and the maximum number of rounds.

        Returns
        -------
        descent : Descent
            The improved rows. No row costs more than at the start.
        """
        improve = partial(descend, accuracy=accuracy)
        return self.improve_rows(design, offsets, penalty, start, improve)

    def best_rows(self, design, offsets, penalty, start):
        """Return the optimal rows under any penalty, in double precision if single is not enough.

        Parameters
        ----------
        design, offsets, penalty, start
            As in `descend_rows`.

        Returns
        -------
        rows : ndarray of shape (n_rows, k)
            The minimizers of the squared loss plus the penalty.
        """
        descent = self.improve_rows(design, offsets, penalty, start, solve_active_set)
        if descent.doubtful.any():
            rows = np.flatnonzero(descent.doubtful)
            design, offsets, start = as_type(np.float64, design, offsets, start[rows])
            penalty = penalty.of_rows(rows).of_type(np.float64)
            again = self.take(rows).in_double().best_rows(design, offsets, penalty, start)
            descent.rows[rows] = again
        return descent.rows

    def improve_rows(self, design, offsets, penalty, start, improve):
        """Improve rows under the squared loss by a method that needs only their normal equations.

        Parameters
        ----------
        design, offsets, penalty, start
            As in `descend_rows`.
        improve : callable
            A function of the `RowSystems` and the initial values of some rows. It returns a
            `Descent`.

        Returns
        -------
        descent : Descent
            The results of all rows.
        """
        descent = Descent.empty(start)
        for rows, block in self.blocks():
            own = penalty.of_rows(rows)
            descent.put(rows, block.improve_rows(design, offsets, own, start[rows], improve))
        return descent

    def improve_by_systems(self, design, offsets, penalty, start, improve):
        """Apply `improve_rows` to the systems of some rows at a time, which limits the memory."""

        def improved(rows):
            systems = self.subset(rows).systems(design, offsets, penalty.of_rows(rows))
            return improve(systems, start[rows])

        return Descent.in_parts(start, improved)

    def systems(self, design, offsets, penalty=None):
        """Return the normal equations of every row; see ``kernels.normal_equations``.

        Parameters
        ----------
        design : ndarray of shape (n_columns, k)
            The regressors.
        offsets : ndarray of shape (n_columns,)
            Numbers that are subtracted from the data.
        penalty : RowPenalty or None
            Penalty on the rows.

        Returns
        -------
        systems : RowSystems
            The systems, with a Gram matrix for each row or one for all rows.
        """
        n_rows, k = self.shape[0], design.shape[1]
        grams = np.empty((n_rows, k, k), dtype=design.dtype)
        moments = np.empty((n_rows, k), dtype=design.dtype)
        for rows, block in self.blocks():
            part = block.systems(design, offsets)
            grams[rows], moments[rows] = part.grams, part.moments
        return RowSystems(grams, moments, penalty)

    def add_systems(self, sums: PackedSystems, design, offsets):
        """Add the normal equations of every row to sums of them in place; see `systems`."""
        sums.add(self.systems(design, offsets))

    def total_loss(self, W, Ht, loss):
        """Return the weighted sum of a loss over the observed entries of the model ``W @ Ht.T``."""
        return sum(
            block.total(value_of(loss.at(block.kinds), block.values, block.model(W[rows], Ht)))
            for rows, block in self.blocks()
        )

    def loss_and_gradient(self, W, Ht, loss):
        """Return `total_loss` and its derivatives with respect to W (per row weight) and Ht."""
        total, W_gradient, Ht_gradient = 0.0, np.zeros_like(W), np.zeros_like(Ht)
        for rows, block in self.blocks():
            model, own = block.model(W[rows], Ht), loss.at(block.kinds)
            total += block.total(value_of(own, block.values, model))
            slopes = gradient_of(own, block.values, model)
            by_row, by_column = block.pull_back(slopes, W[rows], Ht)
            W_gradient[rows] = by_row
            Ht_gradient += by_column
        return total, W_gradient, Ht_gradient

    def split_gradient(self, W, Ht, loss, *, with_loss=False):
        """Return the two parts of the derivative of the loss with respect to W.

        Parameters
        ----------
        W : ndarray of shape (n_rows, k)
            Non-negative rows.
        Ht : ndarray of shape (n_columns, k)
            The other factor, non-negative.
        loss : BetaDivergence
            The loss, which splits its derivative.
        with_loss : bool
            Whether to compute the loss as well.

        Returns
        -------
        total : float
            The loss; 0 if it was not requested.
        up, down : ndarray of shape (n_rows, k)
            The derivative is the second part minus the first, without row weights.
        """
        up, down = np.zeros_like(W), np.zeros_like(W)
        shares_down = loss.loss_at_zero_equals_model and self.complete
        if shares_down:
            down[:] = self.weighted_sum(Ht)

        def split(part):
            rows, block = part
            model, total = block.model(W[rows], Ht), 0.0
            if with_loss:
                value, attraction, repulsion = loss.value_and_split(block.values, model)
                total = block.total(value)
            else:
                attraction, repulsion = loss.split(block.values, model)
            up[rows] = block.pull_rows(attraction, Ht)
            if not shares_down:
                down[rows] = block.pull_rows(repulsion, Ht)
            return total

        work = self.shape[0] * self.stored_per_row * Ht.shape[1]
        totals = in_threads(split, self.blocks(CACHED_ENTRIES), work)
        return sum(totals), up, down

    # Elementwise methods, in the layout of ``values``: defined by blocks only ----------------

    def model(self, W, Ht):
        """Return the model values."""
        raise self._no_block("model")

    def total(self, elementwise):
        """Return the weighted sum of numbers over the observed entries."""
        raise self._no_block("total")

    def row_sums(self, elementwise):
        """Return the sum over the observed entries of each row, without the weight of the row."""
        raise self._no_block("row_sums")

    def pull_back(self, elementwise, W, Ht):
        """Return the weighted ``R @ Ht`` (without row weights) and ``R.T @ W`` for numbers R."""
        raise self._no_block("pull_back")

    def pull_rows(self, elementwise, Ht):
        """Return the first result of `pull_back` only."""
        raise self._no_block("pull_rows")

    def reweighted(self, targets, weights):
        """Return the same entries with other targets, and weights multiplied by these."""
        raise self._no_block("reweighted")

    def split(self, share, rng):
        """Return two parts of the entries: visible ones, and a random fraction to hide."""
        raise self._no_block("split")

    def _no_block(self, method):
        return TypeError(f"{type(self).__name__} is not a block: use {method} of its blocks().")

    def weighted_sum(self, Ht):
        """Return the sum over all columns of their weight times ``Ht_j``."""
        weighted = Ht if self.column_weight is None else self.column_weight[:, None] * Ht
        return weighted.sum(axis=0, dtype=np.float64).astype(Ht.dtype)


@dataclass(frozen=True)
class HeldOut:
    """Observations divided into a visible part and a hidden part.

    Attributes
    ----------
    visible : ObservedMatrix
        The part for the solver.
    hidden : ObservedMatrix
        The part to be predicted.
    known : ObservedMatrix or None
        Other entries of the rows of ``hidden``, if these rows are not in ``visible``.
    columns : ndarray of bool of shape (n_columns,), or None
        If so, a mask of the columns of ``hidden``; the others are those of ``known``.
    """

    visible: ObservedMatrix
    hidden: ObservedMatrix
    known: ObservedMatrix | None = None
    columns: np.ndarray | None = None


def _arrays(thing):
    """Return the bytes of all arrays of an object, by the id of their memory."""
    found = {}
    for value in vars(thing).values():
        if isinstance(value, np.ndarray):
            found[id(value if value.base is None else value.base)] = value.nbytes
        elif isinstance(value, ObservedMatrix) or sparse.issparse(value):
            found |= _arrays(value)
    return found


def transposed_kinds(kinds):
    """Convert loss indices of columns, of shape (n_columns,), to (n_rows, 1), or back."""
    if kinds is None:
        return None
    return kinds[:, None] if kinds.ndim == 1 else kinds[:, 0]


def kinds_of_rows(kinds, rows):
    """Return the loss indices of the entries of some rows."""
    return kinds if kinds is None or kinds.ndim == 1 else kinds[rows]


def multiply(a, b):
    """Return the product of two weights, each of which may be None for one."""
    if a is None or b is None:
        return b if a is None else a
    return a * b


def as_type(dtype, *numbers):
    """Convert arrays, each of which may be None, to another precision."""
    return [None if part is None else part.astype(dtype) for part in numbers]


def total_weight(weight, size, dtype):
    """Return the sum of weights, where None stands for ones."""
    return dtype.type(size) if weight is None else weight.sum(dtype=np.float64).astype(dtype)


def times_dense(entries, dense, offsets=None, row_offsets=None):
    """Return the product of a centered and weighted CSR matrix and a tall matrix.

    The matrix is given by its arrays: indptr, indices, data, and weights or None. It is centered at
    its stored entries only.
    """
    dense = np.ascontiguousarray(dense)
    threads = n_threads_for_entries(len(entries[1]), dense.shape[1])
    return kernels.sparse_times_dense(entries, offsets, row_offsets, dense, threads)
