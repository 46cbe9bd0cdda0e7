"""Data whose rows lie in blocks, of which few or none are here: out of core, or on other machines.

What rows ask for is found block by block, each an `ObservedMatrix` like any other, and put
together; what columns ask for is a sum over the blocks. So data pass by in *visits*, each of
which sees every block once, keeps something of its rows and adds something up. Who makes the
visits is an *engine*, see `sklearn_mf.blocks`.
"""

from copy import copy
from dataclasses import fields
from functools import cached_property
from hashlib import sha256
from typing import NamedTuple

import numpy as np
from scipy import sparse

from sklearn_mf.blocks._engine import added
from sklearn_mf.observations._base import ObservedMatrix
from sklearn_mf.systems import Descent, PackedSystems, RowPenalty


class Facts(NamedTuple):
    """What one visit tells of data, for good.

    Attributes
    ----------
    row_totals, n_in_row, row_sums : ndarray of shape (n_rows,)
        Weight and number of the entries of each row, and their weighted sum.
    empty : ndarray of bool of shape (n_rows,)
        Rows of which nothing is known.
    column_totals, n_in_column, column_sums : ndarray of shape (n_columns,)
        The same of each column.
    squares : float
        Weighted sum of the squares of what is observed.
    n_stored : float
        Numbers that a product multiplies.
    n_holed : int
        Blocks in which something is missing.
    """

    row_totals: np.ndarray
    n_in_row: np.ndarray
    row_sums: np.ndarray
    empty: np.ndarray
    column_totals: np.ndarray
    n_in_column: np.ndarray
    column_sums: np.ndarray
    squares: float
    n_stored: float
    n_holed: int

    def times(self, factor):
        """The same of values times a number."""
        return self._replace(
            row_sums=factor * self.row_sums,
            column_sums=factor * self.column_sums,
            squares=factor**2 * self.squares,
        )


class BlockedObservations(ObservedMatrix):
    """Rows in blocks.

    Parameters
    ----------
    raw : engine
        Of blocks as they are read, with the weights of their entries.
    look : Look
        Makes observations of a block.
    shape : tuple of int
        Of all data.
    dtype : dtype
        Of the data.
    row_weight : ndarray of shape (n_rows,) or None
        Weights of the rows.
    """

    def __init__(self, raw, look, shape, dtype, row_weight=None):
        super().__init__(shape, dtype, row_weight, None, None)
        self.raw, self.look = raw, look
        self.engine = raw.prepared(look, (row_weight,))
        # What the columns will regress on once these rows are found, see `foreseeing`; and the last
        # sums for columns, by what they regressed on.
        self.regressors, self.memory = None, {}

    @cached_property
    def facts(self):
        """What the first visit tells."""
        of_rows, of_all = self.engine.visit(_facts)
        return Facts(*of_rows, *of_all)

    def _transposed(self):
        return BlockedFeatures(self)

    @property
    def complete(self):
        return self.facts.n_holed == 0

    @property
    def total_squares(self):
        return self.facts.squares

    @property
    def stored_per_row(self):
        return self.facts.n_stored / self.shape[0]

    @property
    def n_observed(self):
        return int(self.facts.n_in_row.sum())

    @property
    def _row_totals(self):
        return self.facts.row_totals

    def n_in_row(self):
        return self.facts.n_in_row

    def empty_rows(self):
        """A mask of the rows of which nothing is known."""
        return self.facts.empty

    def column_sums(self):
        return self.facts.column_sums

    def times(self, factor):
        look = self.look.times(factor)
        other = BlockedObservations(self.raw, look, self.shape, self.dtype, self.row_weight)
        if "facts" in vars(self):
            vars(other)["facts"] = self.facts.times(factor)
        return other

    def subset(self, rows):
        """The observations of some rows, in memory."""
        chosen = np.zeros(self.shape[0], dtype=bool)
        chosen[rows] = True
        order = np.argsort(np.argsort(np.arange(self.shape[0])[rows], kind="stable"))
        parts = self.raw.sum(_chosen_rows, (chosen,))
        X, E = (_stacked(part, order) for part in zip(*parts, strict=True))
        weight = None if self.row_weight is None else self.row_weight[rows]
        return self.look((X, E), weight)

    def take(self, rows):
        return self.subset(rows).take(slice(0, len(np.arange(self.shape[0])[rows])))

    def blocks(self, entries=None):
        """Yield (slice of rows, their observations), each block here for a moment."""
        for start, block in self.engine:
            for rows, part in block.blocks(entries):
                yield slice(start + rows.start, start + rows.stop), part

    def stored(self):
        raise refusal("needs all of X in memory")

    def hold_out(self, share, rng):
        raise refusal(
            "hides entries of X, which needs all of it in memory: use early_stopping=False and an "
            "n_components that is a number"
        )

    def split(self, share, rng):
        raise refusal("hides entries of all rows at once: pass some rows at a time")

    # Rows, block by block ------------------------------------------------------------------

    def foreseeing(self, regressors):
        """The same data, told how columns will regress on rows that are found.

        The visit that finds rows then also adds up the columns' normal equations, so that
        these need no visit of their own.

        Parameters
        ----------
        regressors : callable
            Of rows of W; returns the design and the offsets of the columns' regressions.
        """
        other = copy(self)
        vars(other).update(facts=self.facts, regressors=regressors)
        return other

    def _found(self, method, numbers, start=None, extra=()):
        design, offsets, penalty = numbers
        shared = design, offsets, (method, extra, self.regressors)
        if self.regressors is None:
            found = self.engine.map(_found, (penalty, start), shared)
        else:
            found, sums = self.engine.visit(_found, (penalty, start), shared)
            W = found[0] if isinstance(found, tuple) else found
            self.memory.clear()
            self.memory[_fingerprint(*self.regressors(W))] = sums
        return Descent(*found) if isinstance(found, tuple) else found

    def solve_rows(self, design, offsets, penalty):
        return self._found("solve_rows", (design, offsets, penalty))

    def refine_rows(self, design, offsets, penalty, start, reduction):
        return self._found("refine_rows", (design, offsets, penalty), start, (reduction,))

    def descend_blocks(self, design, offsets, penalty, start, size):
        return self._found("descend_blocks", (design, offsets, penalty), start, (size,))

    def improve_rows(self, design, offsets, penalty, start, improve):
        return self._found("improve_rows", (design, offsets, penalty), start, (improve,))

    def best_rows(self, design, offsets, penalty, start):
        return self._found("best_rows", (design, offsets, penalty), start)

    def product(self, dense, offsets, row_offsets=0):
        row_offsets = np.broadcast_to(np.asarray(row_offsets, dtype=self.dtype), self.shape[:1])
        return self.engine.map(_product, (row_offsets,), (dense, offsets))

    def product_and_back(self, dense, offsets):
        return self.engine.sum(_product_and_back, (), (dense, offsets))

    def total_loss(self, W, Ht, loss):
        return self.engine.sum(_total_loss, (W,), (Ht, loss))

    def loss_and_gradient(self, W, Ht, loss):
        shared = Ht, loss
        W_gradient, (total, Ht_gradient) = self.engine.visit(_loss_and_gradient, (W,), shared)
        return total, W_gradient, Ht_gradient

    def split_gradient(self, W, Ht, loss, *, with_loss=False):
        shared = Ht, loss, with_loss
        (up, down), total = self.engine.visit(_split_gradient, (W,), shared)
        return total, up, down


class BlockedFeatures(ObservedMatrix):
    """The columns of rows in blocks: what they ask for is summed up."""

    def __init__(self, rows: BlockedObservations):
        super().__init__(rows.shape[::-1], rows.dtype, None, rows.row_weight, None)
        self.rows = rows

    def _transposed(self):
        return self.rows

    complete = property(lambda self: self.rows.complete)
    total_squares = property(lambda self: self.rows.total_squares)
    n_observed = property(lambda self: self.rows.n_observed)
    stored_per_row = property(lambda self: self.rows.facts.n_stored / self.shape[0])
    _row_totals = property(lambda self: self.rows.facts.column_totals.astype(self.dtype))

    def n_in_row(self):
        return self.rows.facts.n_in_column

    def times(self, factor):
        return self.rows.times(factor).T

    def each_value(self):
        return self.rows.each_value()

    def take(self, rows):
        """The entries of some columns, which must be few: they are collected in memory."""
        parts = self.rows.engine.sum(_columns, (), (np.arange(self.shape[0])[rows],))
        return parts[0].T.stacked(parts).T

    def stored_parts(self, rows):
        if len(rows):
            yield rows, self.take(rows)

    def blocks(self, entries=None):
        raise refusal("looks at single entries column by column")

    def sums(self, design, offsets):
        """The normal equations of all columns.

        Parameters
        ----------
        design : ndarray of shape (n_samples, k)
            Regressors.
        offsets : ndarray of shape (n_samples,)
            Subtracted from the data.

        Returns
        -------
        sums : PackedSystems
            Not to be changed.
        """
        key, memory = _fingerprint(design, offsets), self.rows.memory
        if key not in memory:
            memory.clear()  # before more is made
            memory[key] = self.rows.engine.sum(_column_systems, (design, offsets))
        return memory[key]

    def known_sums(self, design, offsets):
        """The same if they are known already, else None."""
        return self.rows.memory.get(_fingerprint(design, offsets))

    def _solve_rows(self, design, offsets, penalty):
        return self.sums(design, offsets).solved(penalty)

    def refine_rows(self, design, offsets, penalty, start, reduction):
        """The solutions: where sums are known, they cost no more."""
        return self.solve_rows(design, offsets, penalty)

    def descend_blocks(self, design, offsets, penalty, start, size):
        """Likewise."""
        return self.solve_rows(design, offsets, penalty)

    def systems(self, design, offsets, penalty: RowPenalty | None = None):
        return self.sums(design, offsets).of_rows(slice(0, self.shape[0]), penalty)

    def improve_rows(self, design, offsets, penalty, start, improve):
        sums = self.sums(design, offsets)

        def improved(rows):
            return improve(sums.of_rows(rows, penalty.of_rows(rows)), start[rows])

        return Descent.in_parts(start, improved)

    def product(self, dense, offsets, row_offsets=0):
        row_offsets = np.broadcast_to(np.asarray(row_offsets, dtype=self.dtype), self.shape[:1])
        return self.rows.engine.sum(_product_of_columns, (dense, offsets), (row_offsets,))

    def total_loss(self, W, Ht, loss):
        return self.rows.total_loss(Ht, W, loss)

    def split_gradient(self, W, Ht, loss, *, with_loss=False):
        shared = W, loss, with_loss
        return self.rows.engine.sum(_split_gradient_of_columns, (Ht,), shared)


def refusal(why):
    """What is said where blocks of rows cannot serve."""
    return ValueError(
        f"X lies in blocks of rows, and what was asked for {why}. Where it fits, pass X as an "
        "array or a sparse matrix."
    )


# What is done in a visit, for one block ---------------------------------------------------------
#
# Each gets the block and what has been added up so far, or None; returns what it keeps of its
# rows, and the sum with its own part.


def _facts(block: ObservedMatrix, total):
    features = block.T
    part = (
        features.row_totals().astype(np.float64),
        features.n_in_row(),
        block.column_sums(),
        block.total_squares,
        block.stored_per_row * block.shape[0],
        int(not block.complete),
    )
    ones = np.ones((block.shape[1], 1), dtype=block.dtype)
    row_sums = block.product(ones, np.zeros_like(ones[:, 0]))[:, 0].astype(np.float64)
    of_rows = block.row_totals(), block.n_in_row(), row_sums, block.empty_rows()
    return of_rows, added(total, part)


def _chosen_rows(block, total, chosen):
    rows = np.flatnonzero(chosen)
    part = [tuple(None if matrix is None else matrix[rows] for matrix in block)]
    return None, added(total, part if len(rows) else [])


def _found(block: ObservedMatrix, total, penalty, start, design, offsets, question):
    method, extra, regressors = question
    given = extra if start is None else (start, *extra)
    found = getattr(block, method)(design, offsets, penalty, *given)
    W = found
    if isinstance(found, Descent):
        W, found = found.rows, tuple(getattr(found, field.name) for field in fields(found))
    if regressors is not None:
        _, total = _column_systems(block, total, *regressors(W))
    return found, total


def _column_systems(block: ObservedMatrix, total, design, offsets):
    if total is None:
        total = PackedSystems((block.shape[1], design.shape[1]), block.dtype)
    block.T.add_systems(total, design, offsets)
    return None, total


def _columns(block: ObservedMatrix, total, columns):
    return None, added(total, [block.T.take(columns).stored().T])


def _product(block: ObservedMatrix, total, row_offsets, dense, offsets):
    return block.product(dense, offsets, row_offsets), None


def _product_and_back(block: ObservedMatrix, total, dense, offsets):
    return None, added(total, block.product_and_back(dense, offsets))


def _product_of_columns(block: ObservedMatrix, total, dense, offsets, row_offsets):
    return None, added(total, block.T.product(dense, offsets, row_offsets))


def _total_loss(block: ObservedMatrix, total, W, Ht, loss):
    return None, added(total, block.total_loss(W, Ht, loss))


def _loss_and_gradient(block: ObservedMatrix, total, W, Ht, loss):
    loss_here, W_gradient, Ht_gradient = block.loss_and_gradient(W, Ht, loss)
    return W_gradient, added(total, (loss_here, Ht_gradient))


def _split_gradient(block: ObservedMatrix, total, W, Ht, loss, with_loss):
    loss_here, up, down = block.split_gradient(W, Ht, loss, with_loss=with_loss)
    return (up, down), added(total, loss_here)


def _split_gradient_of_columns(block: ObservedMatrix, total, Ht, W, loss, with_loss):
    return None, added(total, block.T.split_gradient(W, Ht, loss, with_loss=with_loss))


def _fingerprint(design, offsets):
    """By which regressions are known again, whatever array holds them."""
    digest = sha256()
    for array in (design, offsets):
        digest.update(memoryview(np.ascontiguousarray(array)).cast("B"))
    return design.shape, digest.digest()


def _stacked(parts, order):
    if parts[0] is None:
        return None
    if sparse.issparse(parts[0]):
        return sparse.vstack(parts, format="csr")[order]
    return np.concatenate(parts)[order]
