"""Sparse data in which unstored entries are zeros with a small common weight."""

from functools import cached_property

import numpy as np
from scipy import sparse

from sklearn_mf import kernels
from sklearn_mf.observations._base import HeldOut, ObservedMatrix, as_type, multiply
from sklearn_mf.observations.dense import DenseObservations
from sklearn_mf.observations.stored import StoredObservations
from sklearn_mf.systems import Descent, RowSystems, SharedBasis
from sklearn_mf.utils._threads import in_threads, n_threads_for_entries

# Number of rows of a factor whose products are summed in its own precision and then added in double
# precision.
CHUNK = 4096


class BackgroundObservations(ObservedMatrix):
    r"""Sparse data in CSR format, with a background of zeros that have a smaller weight.

    The stored entries x have weight :math:`a + \kappa`, and all other entries are zeros with weight
    :math:`a`, the background. No matrix of the size of the data is formed, because

    .. math::

        \sum_{ij} e_{ij} (x_{ij} - \hat{x}_{ij})^2 = a \sum_{ij} \hat{x}_{ij}^2
        + \sum_{ij\ \mathrm{stored}} \kappa_{ij} (t_{ij} - \hat{x}_{ij})^2 + \mathrm{constant},
        \qquad t = x (a + \kappa) / \kappa.

    The first sum needs a single Gram matrix for all rows (Hu, Koren & Volinsky 2008,
    :doi:`10.1109/ICDM.2008.22`). The second sum is that of sparse data whose other entries are
    missing, with targets t and weights :math:`\kappa`: the *corrections*.

    Parameters
    ----------
    corrections : StoredObservations
        Targets t with positive weights :math:`\kappa`, and the weights of rows and columns.
    background : float
        The positive weight a.
    """

    def __init__(self, corrections: StoredObservations, background):
        sides = corrections.row_weight, corrections.column_weight
        super().__init__(corrections.shape, corrections.dtype, *sides, None)
        self.corrections = corrections
        self.background = self.dtype.type(background)
        self.n_observed = self.shape[0] * self.shape[1]

    @classmethod
    def of_entries(cls, X, extra, background, row_weight=None):
        """Return the view of stored values and their additional weights.

        Parameters
        ----------
        X : CSR matrix of shape (n_rows, n_columns)
            The stored values, in canonical format.
        extra : ndarray
            The positive weights kappa, in the layout of ``X.data``.
        background : float
            The weight a.
        row_weight : ndarray of shape (n_rows,) or None
            Weights of the rows.

        Returns
        -------
        observations : BackgroundObservations
            The view of all entries.
        """
        extra = extra.astype(X.dtype, copy=False)
        targets = X.data * (1 + X.dtype.type(background) / extra)
        X = sparse.csr_array((targets, X.indices, X.indptr), shape=X.shape)
        return cls(StoredObservations(X, extra, row_weight), background)

    def _with(self, corrections):
        return BackgroundObservations(corrections, self.background)

    def _transposed(self):
        return self._with(self.corrections.T)

    @property
    def stored_per_row(self):
        return self.corrections.stored_per_row

    @cached_property
    def _values(self):
        """The stored values."""
        c = self.corrections
        return c.values * (c.weights / (c.weights + self.background))

    # Dense blocks, for operations that are rarely needed ----------------------------------

    def take(self, rows):
        """Return the observations of some rows as a dense block."""
        part = self.corrections.take(rows)
        weights = part.matrix(part.weights).toarray() + self.background
        values = part.matrix(part.values * part.weights).toarray() / weights
        return DenseObservations(values, weights, part.row_weight, self.column_weight)

    def stored_parts(self, rows):
        for part in np.split(rows, range(1, len(rows))):
            if len(part):
                yield part, self.take(part).stored()

    def stored(self):
        """Return the same observations as single entries, including all zeros."""
        return self.take(slice(0, self.shape[0])).stored()

    # Results that do not need dense blocks -------------------------------------------------

    def subset(self, rows):
        return self._with(self.corrections.take(rows))

    def times(self, factor):
        return self._with(self.corrections.times(factor))

    def in_double(self):
        """Return the same observations in double precision."""
        return self._with(self.corrections.in_double())

    def hold_out(self, share, rng):
        """Hide stored entries, which become part of the background for the solver."""
        held_out = self.corrections.hold_out(share, rng)
        return HeldOut(self._with(held_out.visible), self._as_entries(held_out.hidden))

    def split(self, share, rng):
        """Return most of the stored entries with the background, and a random part of each row."""
        visible, hidden = self.corrections.split(share, rng)
        return self._with(visible), self._as_entries(hidden)

    def _as_entries(self, corrections):
        """Return stored entries with their values, without the background."""
        weights = corrections.weights + self.background
        values = corrections.matrix(corrections.values * corrections.weights / weights)
        return StoredObservations(values, weights, self.row_weight, self.column_weight)

    def of_row(self, i):
        """Return columns of the stored entries of a row, and their targets as corrections."""
        return self.corrections.of_row(i)

    def each_value(self):
        yield self._values
        yield np.zeros(1, dtype=self.dtype)

    def empty_rows(self):
        """Return a mask of the rows without stored entries: zeros alone carry no information."""
        return self.corrections.n_in_row() == 0

    def n_in_row(self):
        return np.full(self.shape[0], self.shape[1])

    @cached_property
    def _row_totals(self):
        c = self.corrections
        weight = c.column_weight
        total = self.shape[1] if weight is None else weight.sum(dtype=np.float64)
        weights = multiply(c.weights, None if weight is None else weight[c.indices])
        sums = np.bincount(c.entry_rows(), weights, self.shape[0])
        return (float(self.background) * total + sums).astype(self.dtype)

    def column_sums(self):
        return self.corrections.column_sums()  # t times c equals x times its weight

    @cached_property
    def total_squares(self):
        with np.errstate(over="ignore"):
            return self.corrections.total(self.corrections.values * self._values)

    def product(self, dense, offsets, row_offsets=0):
        out = self.corrections.product(dense, offsets, row_offsets)
        if offsets.any():
            out -= self.background * (offsets @ dense)
        if np.any(row_offsets):
            row_offsets = np.broadcast_to(np.asarray(row_offsets, self.dtype), self.shape[:1])
            sums = dense.sum(axis=0, dtype=np.float64).astype(self.dtype)
            out -= self.background * row_offsets[:, None] * sums
        return out

    def total_loss(self, W, Ht, loss):
        if not loss.is_squared:
            return super().total_loss(W, Ht, loss)
        corrected = sum(
            block.total(_times_less_twice(block.model(W[rows], Ht), block.values))
            for rows, block in self.corrections.blocks()
        )
        grams = gram(W, self.row_weight), gram(Ht, self.column_weight)
        everywhere = float(self.background) * float(np.vdot(*grams))
        return 0.5 * (self.total_squares + corrected + everywhere)

    def loss_and_gradient(self, W, Ht, loss):
        if not loss.is_squared:
            return super().loss_and_gradient(W, Ht, loss)
        total = self.total_loss(W, Ht, loss)
        _, W_gradient, Ht_gradient = self.corrections.loss_and_gradient(W, Ht, loss)
        W_gram = self.background * gram(W, self.row_weight).astype(self.dtype)
        Ht_gram = self.background * gram(Ht, self.column_weight).astype(self.dtype)
        everywhere = Ht @ W_gram
        if self.column_weight is not None:
            everywhere *= self.column_weight[:, None]
        return total, W_gradient + W @ Ht_gram, Ht_gradient + everywhere

    # Rows, with a Gram matrix shared by all -----------------------------------------------------

    def _shared(self, design, offsets):
        """Return Gram matrix and moments of the background, in double precision."""
        weight = float(self.background)
        shared = weight * gram(design, self.column_weight)
        if not offsets.any():
            return shared, np.zeros(len(shared))
        pull = multiply(offsets.astype(np.float64), self.column_weight)
        return shared, -weight * (pull @ design)

    def _solve_rows(self, design, offsets, penalty):
        basis, args = self._in_shared_basis(design, offsets, penalty)
        found = kernels.solve_prior_rows(*args, self._threads(design))
        return self._without_doubt(found, basis, (design, offsets, penalty))

    def refine_rows(self, design, offsets, penalty, start, reduction):
        basis, args = self._in_shared_basis(design, offsets, penalty)
        start, accuracy = basis.inside(start), (reduction, design.shape[1])
        found = kernels.refine_prior_rows(*args, start, accuracy, self._threads(design))
        return self._without_doubt(found, basis, (design, offsets, penalty))[0]

    def descend_blocks(self, design, offsets, penalty, start, size):
        basis, args = self._in_shared_basis(design, offsets, penalty)
        start = basis.inside(start)
        found = kernels.descend_prior_rows(*args, start, size, self._threads(design))
        return self._without_doubt(found, basis, (design, offsets, penalty))[0]

    def _without_doubt(self, found, basis, regression):
        """Return rows in the basis of the design, solving inaccurate ones in double precision."""
        (solution, status), (design, offsets, penalty) = found, regression
        solution = basis.outside(solution)
        doubtful = np.flatnonzero(status == 1)
        if len(doubtful):
            part, start = self.subset(doubtful).in_double(), solution[doubtful]
            design, offsets, start = as_type(np.float64, design, offsets, start)
            penalty = penalty.of_rows(doubtful).of_type(np.float64)
            solution[doubtful] = part.improve_rows(design, offsets, penalty, start, _solved).rows
            status[doubtful] = 0
        return solution, status

    def _in_shared_basis(self, design, offsets, penalty):
        basis = SharedBasis.of(*self._shared(design, offsets), penalty)
        corrections = self.corrections
        if self.column_weight is not None and not self.column_weight.all():
            corrections = corrections.only(self.column_weight[corrections.indices] > 0)
        return basis, (corrections.entries(offsets), basis.design(design), basis.prior)

    def _threads(self, design):
        k = design.shape[1]
        work = len(self.corrections.values) + self.shape[0]
        return n_threads_for_entries(work, k * k)

    def add_systems(self, sums, design, offsets):
        shared, moments = self._shared(design, offsets)
        sums.shared += shared.astype(self.dtype)
        sums.moments += moments.astype(self.dtype)
        self.corrections.add_systems(sums, design, offsets)

    def systems(self, design, offsets, penalty=None):
        shared, moments = self._shared(design, offsets)
        shared = RowSystems(shared[None].astype(self.dtype), moments[None].astype(self.dtype))
        systems = self.corrections.systems(design, offsets) + shared
        return RowSystems(systems.grams, systems.moments, penalty)

    def improve_rows(self, design, offsets, penalty, start, improve):
        return self.improve_by_systems(design, offsets, penalty, start, improve)


def gram(factor, weight=None):
    """Return the weighted sum of the outer products of rows, in double precision.

    Parameters
    ----------
    factor : ndarray of shape (n_rows, k)
        The rows, in any precision. Sums of a few thousand rows use this precision.
    weight : ndarray of shape (n_rows,) or None
        Weights of the rows.

    Returns
    -------
    gram : ndarray of shape (k, k)
        The Gram matrix; it does not depend on the number of threads.
    """

    def of_chunk(start):
        rows = factor[start : start + CHUNK]
        weighted = rows if weight is None else weight[start : start + CHUNK, None] * rows
        return weighted.T @ rows

    k = factor.shape[1]
    parts = in_threads(of_chunk, range(0, len(factor), CHUNK), factor.size * k)
    return sum((part.astype(np.float64) for part in parts), np.zeros((k, k)))


def _times_less_twice(model, targets):
    """Return the model times (the model minus twice the targets)."""
    return model * (model - 2 * targets)


def _solved(systems, start):
    """Return the solutions of the systems."""
    rows = systems.solved(np.finfo(start.dtype).eps)
    return Descent.after(systems, rows, np.zeros_like(start, shape=len(start)))
