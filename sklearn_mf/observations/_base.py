"""What every view of the data answers, and what follows from it for all of them."""

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
# So many that what is done to them one by one stays in the cache.
CACHED_ENTRIES = 1 << 16
# Numbers in the normal equations of the rows that are solved at a time.
EQUATIONS = 1 << 21
# Powers of two up to which numbers have squares with all their digits.
SAFE = {np.float32: 50, np.float64: 400}


def block_entries(entries=None):
    """Entries of a block of rows: what is asked for, or so many that temporaries stay small."""
    return entries or BLOCK_ENTRIES


class ObservedMatrix(ABC):
    """Base of the views: rows to be predicted from columns.

    A view of data that are stored in another way defines `take`, `times` and ``_transposed``.
    Everything else follows from the dense or sparse blocks that `take` returns, in little memory,
    and is overridden where the way of storage knows something faster. Dense and sparse data are
    the blocks themselves: they define all of it, and what is done entry by entry.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns.
    dtype : dtype
        Of the data, float32 or float64.
    row_weight, column_weight : ndarray or None
        What a row and what a column counts for. A row's own weight does not change its
        solution; the weights of the columns do.
    kinds : ndarray of int or None
        Which of several losses every entry has, in a shape that broadcasts to ``values``.
    complete : bool
        Whether every cell is observed, with entry weight one.
    nonzeros : ObservedMatrix or None
        Entries beside which all others are observed zeros, in sparse data without holes.
    n_observed : int
        How many entries are observed.
    typical_size : float
        Their weighted root mean square, also where squares would overflow or underflow.
    stored_per_row : float
        How many numbers a product with a row multiplies, on average.
    """

    complete = False
    nonzeros = None

    def __init__(self, shape, dtype, row_weight, column_weight, kinds):
        self.shape, self.dtype = shape, dtype
        self.row_weight = row_weight
        self.column_weight = column_weight
        self.kinds = kinds

    def __sizeof__(self):
        """Bytes of the arrays, the twin's too: by them schedulers know what to spill."""
        return object.__sizeof__(self) + sum(_arrays(self).values())

    # What a way of storage must define ----------------------------------------------------

    @twin
    def T(self):
        """The same observations, rows and columns exchanged."""
        return self._transposed()

    @abstractmethod
    def _transposed(self):
        """A new view with rows and columns, and their weights, exchanged."""

    @abstractmethod
    def take(self, rows):
        """The observations of some rows as a block: `DenseObservations` or `StoredObservations`.

        Parameters
        ----------
        rows : slice or ndarray of int
            Which.

        Returns
        -------
        block : ObservedMatrix
            With the weights of these rows, and of all columns.
        """

    @abstractmethod
    def times(self, factor):
        """The same observations, every value times a number: a copy of the values."""

    # What follows from blocks, and may be known sooner -------------------------------------

    def blocks(self, entries=None):
        """Yield (slice of rows, their observations), for work in little memory.

        A block has about ``entries`` entries, by default so many that temporaries of
        elementwise work stay at a few megabytes.
        """
        step = max(1, block_entries(entries) // max(1, self.shape[1]))
        for start in range(0, self.shape[0], step):
            rows = slice(start, min(start + step, self.shape[0]))
            yield rows, self.take(rows)

    def subset(self, rows):
        """The observations of some rows, stored as these are."""
        return self.take(rows)

    def stored(self):
        """The same observations, entry by entry."""
        parts = [block.stored() for _, block in self.blocks()] or [self.take(slice(0, 0)).stored()]
        return parts[0].stacked(parts)

    def in_double(self):
        """The same in double precision."""
        return self if self.dtype == np.float64 else self.stored().in_double()

    def each_value(self):
        """Yield arrays that together hold every observed value, once or more."""
        for _, block in self.blocks():
            yield block.values if block.complete else block.values[~np.isnan(block.values)]

    def hold_out(self, share, rng):
        """Hide a random share of the entries, as a `hiding_stream` draws; return a `HeldOut`.

        No row and no column loses all that it has. Rows of weight zero, which tell a solver
        nothing, have nothing hidden. If anything can be hidden, something is.
        """
        return self.stored().hold_out(share, rng)

    def row_chunks(self, rows, entries=None):
        """Split row numbers so that a dense block of each part stays small."""
        step = max(1, block_entries(entries) // self.shape[1])
        return np.split(rows, range(step, len(rows), step)) if len(rows) else []

    def stored_parts(self, rows):
        """Yield (numbers of rows, their entries), for some rows, in little memory."""
        for part in self.row_chunks(rows):
            yield part, self.take(part).stored()

    def row(self, i):
        """Columns, values and weights, or None for ones, of what is observed in one row."""
        return self.take(slice(i, i + 1)).row(0)

    def row_values(self, i):
        """What is observed in one row."""
        return self.row(i)[1]

    def n_in_row(self):
        """How many entries every row has."""
        return self._of_blocks(lambda block, _: block.n_in_row(), int)

    @cached_property
    def n_observed(self):
        """How many entries are observed."""
        return int(self.n_in_row().sum())

    @cached_property
    def stored_per_row(self):
        """How many numbers a product with a row multiplies, on average."""
        return float(total_weight(self.column_weight, self.shape[1], self.dtype))

    def _of_blocks(self, function, dtype, width=None):
        """An array with a row for each row, of what a function says of blocks and their rows."""
        shape = self.shape[:1] if width is None else (self.shape[0], width)
        out = np.empty(shape, dtype=dtype)
        for rows, block in self.blocks():
            out[rows] = function(block, rows)
        return out

    def first(self, test):
        """Row, column and value of the first entry that an elementwise test finds, or None."""
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
        """Raise a ValueError that says where a negative value is, in scikit-learn's words."""
        least = min((values.min(initial=0) for values in self.each_value()), default=0)
        if least < 0:
            i, j, value = self.first(lambda values: values < 0)
            column = j if names is None else repr(names[j])
            raise ValueError(
                f"Negative values in data passed to {whom} (input X): row {i}, column {column} "
                f"has {value:g}. Use MatrixFactorization, or set to NaN what is missing."
            )

    def product(self, dense, offsets, row_offsets=0):
        """Sum over observed j of ``e_ij * (x_ij - offsets_j - row_offsets_i) * dense_j``."""
        row_offsets = np.broadcast_to(np.asarray(row_offsets, dtype=self.dtype), self.shape[:1])
        return self._of_blocks(
            lambda block, rows: block.product(dense, offsets, row_offsets[rows]),
            self.dtype,
            dense.shape[1],
        )

    def product_and_back(self, dense, offsets):
        """`product`, and that of its weighted rows back: X'X times the columns."""
        image = self.product(dense, offsets)
        if self.row_weight is not None:
            image *= self.row_weight[:, None]
        return self.T.product(image, np.zeros_like(image, shape=len(image)), offsets)

    @cached_property
    def total_squares(self):
        """Weighted sum of the squares of what is observed; infinite where it overflows."""
        with np.errstate(over="ignore"):
            return sum(block.total(np.square(block.values)) for _, block in self.blocks())

    @cached_property
    def typical_size(self):
        """Weighted root mean square of what is observed; 0 where all of it is zero."""
        total = self.T.row_totals().sum(dtype=np.float64)
        size = float(np.sqrt(self.total_squares / total)) if total else 0.0
        if size == 0 or not SAFE[self.dtype.type] > abs(np.log2(size)):
            largest = max((np.abs(v).max(initial=0) for v in self.each_value()), default=0)
            if largest > 0 and abs(np.log2(largest)) > 1:
                power = 2.0 ** round(np.log2(largest))
                return power * self.times(1 / power).typical_size
        return size

    def column_sums(self):
        """Weighted sum of what is observed in each column, in double precision.

        In single precision sums of millions of rows would lose digits.
        """
        sums = (block.column_sums() for _, block in self.blocks())
        return sum(sums, np.zeros(self.shape[1]))

    def row_totals(self):
        """Sum over observed j of ``e_ij`` times the column's weight, for every row i."""
        return self._row_totals

    @cached_property
    def _row_totals(self):
        return self._of_blocks(lambda block, _: block.row_totals(), self.dtype)

    # What follows for all of them -----------------------------------------------------

    def empty_rows(self):
        """A mask of the rows of which nothing is known."""
        return self.row_totals() == 0

    def solve_rows(self, design, offsets, penalty):
        """Weighted ridge regression of every row on the design; see ``kernels.solve_rows``.

        Of the penalty the squares count alone. Singular rows take their minimum-norm solution.
        """
        solution, status = self._solve_rows(design, offsets, penalty)
        if np.any(status < 0):
            raise MemoryError("No memory for the scratch space of the row solver.")
        solution[status != 0] = 0
        singular = np.flatnonzero((status != 0) & (self.row_totals() > 0))
        for rows, part in self.stored_parts(singular):
            entries, own = part.entries(None), penalty.of_rows(rows)
            solution[rows] = shortest_rows(entries, design, offsets, own)
        return solution

    def refine_rows(self, design, offsets, penalty, start, reduction):
        """Conjugate gradients towards `solve_rows`; see ``kernels.refine_rows``."""

        def refined(block, rows):
            own = penalty.of_rows(rows)
            return block.refine_rows(design, offsets, own, start[rows], reduction)

        return self._of_blocks(refined, self.dtype, design.shape[1])

    def _solve_rows(self, design, offsets, penalty):
        """Solutions, and for each row a status that is not zero where it is none."""
        solution = self._of_blocks(
            lambda block, rows: block.solve_rows(design, offsets, penalty.of_rows(rows)),
            self.dtype,
            design.shape[1],
        )
        return solution, np.zeros(len(solution), dtype=np.int32)

    def descend_blocks(self, design, offsets, penalty, start, size):
        """Rows, each block of their coefficients solved in turn; see ``systems.descend_blocks``.

        Parameters
        ----------
        design, offsets, penalty, start
            As in `descend_rows`; of the penalty the squares count alone.
        size : int
            Coefficients of a block.

        Returns
        -------
        rows : ndarray of shape (n_rows, k)
            No row costs more than at its start.
        """
        improve = partial(descend_blocks, size=size)
        return self.improve_rows(design, offsets, penalty, start, improve).rows

    def descend_rows(self, design, offsets, penalty, start, accuracy):
        """Coordinate descent towards the best rows from a start; see ``kernels.descend_rows``.

        Parameters
        ----------
        design : ndarray of shape (n_columns, k)
            Regressors.
        offsets : ndarray of shape (n_columns,)
            Subtracted from the data.
        penalty : RowPenalty
            Of the rows.
        start : ndarray of shape (n_rows, k)
            Where to start.
        accuracy : tuple of (float, int)
            Tolerance, and rounds at most.

        Returns
        -------
        descent : Descent
            No row costs more than at its start.
        """
        improve = partial(descend, accuracy=accuracy)
        return self.improve_rows(design, offsets, penalty, start, improve)

    def best_rows(self, design, offsets, penalty, start):
        """Best rows under any penalty; in double precision where single does not tell them.

        Parameters
        ----------
        design, offsets, penalty, start
            As in `descend_rows`.

        Returns
        -------
        rows : ndarray of shape (n_rows, k)
            Where the squared loss and the penalty are least.
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
        """Improve rows under the squared loss, by what needs their normal equations alone.

        Parameters
        ----------
        design, offsets, penalty, start
            As in `descend_rows`.
        improve : callable
            Gets the `RowSystems` and the start of some rows; returns their `Descent`.

        Returns
        -------
        descent : Descent
            Of all rows.
        """
        descent = Descent.empty(start)
        for rows, block in self.blocks():
            own = penalty.of_rows(rows)
            descent.put(rows, block.improve_rows(design, offsets, own, start[rows], improve))
        return descent

    def improve_by_systems(self, design, offsets, penalty, start, improve):
        """`improve_rows` by the systems of some rows at a time, which bounds their memory."""
        descent = Descent.empty(start)
        step = max(1, EQUATIONS // (design.shape[1] ** 2 + 1))
        for first in range(0, len(start), step):
            rows = slice(first, min(first + step, len(start)))
            systems = self.subset(rows).systems(design, offsets, penalty.of_rows(rows))
            descent.put(rows, improve(systems, start[rows]))
        return descent

    def systems(self, design, offsets, penalty=None):
        """The normal equations of every row; see ``kernels.normal_equations``.

        Parameters
        ----------
        design : ndarray of shape (n_columns, k)
            Regressors.
        offsets : ndarray of shape (n_columns,)
            Subtracted from the data.
        penalty : RowPenalty or None
            Of the rows.

        Returns
        -------
        systems : RowSystems
            With a Gram matrix for each row, or for all.
        """
        n_rows, k = self.shape[0], design.shape[1]
        grams = np.empty((n_rows, k, k), dtype=design.dtype)
        moments = np.empty((n_rows, k), dtype=design.dtype)
        for rows, block in self.blocks():
            part = block.systems(design, offsets)
            grams[rows], moments[rows] = part.grams, part.moments
        return RowSystems(grams, moments, penalty)

    def add_systems(self, sums: PackedSystems, design, offsets):
        """Add the normal equations of every row to sums of them, in place; see `systems`."""
        sums.add(self.systems(design, offsets))

    def total_loss(self, W, Ht, loss):
        """Weighted sum of a loss over the observed entries, at model values ``W @ Ht.T``."""
        return sum(
            block.total(value_of(loss.at(block.kinds), block.values, block.model(W[rows], Ht)))
            for rows, block in self.blocks()
        )

    def loss_and_gradient(self, W, Ht, loss):
        """`total_loss` and its derivatives with respect to W, per unit of row weight, and Ht."""
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
        """The derivative of the loss to W in two parts, and the loss if it is asked for.

        Parameters
        ----------
        W : ndarray of shape (n_rows, k)
            Non-negative rows.
        Ht : ndarray of shape (n_columns, k)
            Non-negative other factor.
        loss : BetaDivergence
            Splits its own derivative.
        with_loss : bool
            Whether to sum up the loss, too.

        Returns
        -------
        total : float
            The loss; 0 where nobody asked.
        up, down : ndarray of shape (n_rows, k)
            The derivative is the second less the first; without the row weights.
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

    # What is done entry by entry, in the layout of ``values``: by blocks alone -----------------

    def model(self, W, Ht):
        """Model values."""
        raise self._no_block("model")

    def total(self, elementwise):
        """Weighted sum over the observed entries of numbers."""
        raise self._no_block("total")

    def row_sums(self, elementwise):
        """Sum over the observed entries of each row, the row's own weight left out."""
        raise self._no_block("row_sums")

    def pull_back(self, elementwise, W, Ht):
        """Weighted ``R @ Ht``, without the row weights, and ``R.T @ W`` for numbers R."""
        raise self._no_block("pull_back")

    def pull_rows(self, elementwise, Ht):
        """The first of `pull_back` alone."""
        raise self._no_block("pull_rows")

    def reweighted(self, targets, weights):
        """The same entries with other targets, their weights multiplied."""
        raise self._no_block("reweighted")

    def split(self, share, rng):
        """Two parts of the entries: most, and a random share of each row to be hidden."""
        raise self._no_block("split")

    def _no_block(self, method):
        return TypeError(f"{type(self).__name__} is no block: ask its blocks() for {method}.")

    def weighted_sum(self, Ht):
        """Sum over all columns of their weight times ``Ht_j``."""
        weighted = Ht if self.column_weight is None else self.column_weight[:, None] * Ht
        return weighted.sum(axis=0, dtype=np.float64).astype(Ht.dtype)


@dataclass(frozen=True)
class HeldOut:
    """Observations in parts: what a solver may see, and what it is judged by.

    Attributes
    ----------
    visible : ObservedMatrix
        For the solver.
    hidden : ObservedMatrix
        To be predicted.
    known : ObservedMatrix or None
        What else is known of the rows of ``hidden``, where these are no rows of ``visible``.
    columns : ndarray of bool of shape (n_columns,), or None
        Which columns those of ``hidden`` then are; the others are those of ``known``.
    """

    visible: ObservedMatrix
    hidden: ObservedMatrix
    known: ObservedMatrix | None = None
    columns: np.ndarray | None = None


def _arrays(thing):
    """Bytes of the arrays that are reached, by the memory that they are in."""
    found = {}
    for value in vars(thing).values():
        if isinstance(value, np.ndarray):
            found[id(value if value.base is None else value.base)] = value.nbytes
        elif isinstance(value, ObservedMatrix) or sparse.issparse(value):
            found |= _arrays(value)
    return found


def transposed_kinds(kinds):
    """Kinds of columns, of shape (n_columns,), as those of rows, (n_rows, 1), or back."""
    if kinds is None:
        return None
    return kinds[:, None] if kinds.ndim == 1 else kinds[:, 0]


def kinds_of_rows(kinds, rows):
    """Kinds of the entries of some rows."""
    return kinds if kinds is None or kinds.ndim == 1 else kinds[rows]


def multiply(a, b):
    """Product of two weights, either of which may be None for one."""
    if a is None or b is None:
        return b if a is None else a
    return a * b


def as_type(dtype, *numbers):
    """Arrays in another precision, each of which may be None."""
    return [None if part is None else part.astype(dtype) for part in numbers]


def total_weight(weight, size, dtype):
    """Sum of weights, None standing for ones."""
    return dtype.type(size) if weight is None else weight.sum(dtype=np.float64).astype(dtype)


def times_dense(entries, dense, offsets=None, row_offsets=None):
    """Product of a CSR matrix, centred and weighted where it stores something, and a tall one.

    The matrix as its arrays and weights: indptr, indices, data, and weights or None.
    """
    dense = np.ascontiguousarray(dense)
    threads = n_threads_for_entries(len(entries[1]), dense.shape[1])
    return kernels.sparse_times_dense(entries, offsets, row_offsets, dense, threads)
