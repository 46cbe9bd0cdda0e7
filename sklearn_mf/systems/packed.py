"""Normal equations that are added up over blocks of entries, wherever these are."""

import numpy as np

from sklearn_mf import kernels
from sklearn_mf.systems.minimum_norm import solve
from sklearn_mf.systems.penalty import RowPenalty
from sklearn_mf.systems.row_systems import RowSystems
from sklearn_mf.utils._threads import n_threads

# Numbers of matrices that are unpacked at a time.
CHUNK = 1 << 18


class PackedSystems:
    """Sums of normal equations of rows, of whose symmetric matrices half the numbers are kept.

    Sums are added to in place: they are large, and nobody else has them.

    Parameters
    ----------
    shape : tuple of int
        Rows, and coefficients of a row.
    dtype : dtype
        Of the sums.

    Attributes
    ----------
    own : ndarray of shape (n_rows, k * (k + 1) / 2), or None
        Upper triangles of each row's own matrix; None while rows differ in nothing.
    shared : ndarray of shape (k, k)
        What all rows have beside it.
    moments : ndarray of shape (n_rows, k)
        The right sides.
    """

    def __init__(self, shape, dtype):
        k = shape[1]
        self.own = None
        self.shared = np.zeros((k, k), dtype=dtype)
        self.moments = np.zeros(shape, dtype=dtype)

    def __sizeof__(self):
        own = 0 if self.own is None else self.own.nbytes
        return object.__sizeof__(self) + own + self.shared.nbytes + self.moments.nbytes

    def own_sums(self):
        """Triangles of each row, to be added to."""
        if self.own is None:
            n_rows, k = self.moments.shape
            self.own = np.zeros((n_rows, k * (k + 1) // 2), dtype=self.moments.dtype)
        return self.own

    def add_entries(self, entries, design, threads, rows=slice(None)):
        """Add the equations of the entries of some rows; see ``kernels.add_equations``."""
        own, moments = self.own_sums()[rows], self.moments[rows]
        kernels.add_equations(entries, np.ascontiguousarray(design), own, moments, threads)

    def add(self, systems: RowSystems):
        """Add equations that are known already."""
        if len(systems.grams) == 1 and len(self.moments) != 1:
            self.shared += systems.grams[0]
        else:
            self.own_sums()[:] += systems.grams[:, *np.triu_indices(len(self.shared))]
        self.moments += systems.moments

    def __add__(self, other):
        """Itself, with the sums of other entries."""
        if other.own is not None:
            self.own_sums()[:] += other.own
        self.shared += other.shared
        self.moments += other.moments
        return self

    def solved(self, penalty: RowPenalty):
        """The rows at which squares of penalty and residuals are least.

        Parameters
        ----------
        penalty : RowPenalty
            Of the rows; its squares count alone.

        Returns
        -------
        rows : ndarray of shape (n_rows, k)
            Meaningless where the status is not 0.
        status : ndarray of shape (n_rows,)
            As in ``kernels.solve_systems``.
        """
        n_rows, k = self.moments.shape
        if self.own is None and n_rows and np.ptp(penalty.scale) == 0:
            matrix = self.shared + penalty.scale[0] * np.diag(penalty.ridge)
            eps = np.finfo(self.moments.dtype).eps
            return solve(matrix[None], self.moments.T[None], eps)[0].T, np.zeros(n_rows, np.int32)
        packed = self._packed(slice(0, n_rows))
        threads = n_threads(n_rows * k**3)
        return kernels.solve_systems(packed, self.moments, penalty.scale, penalty.ridge, threads)

    def value(self, rows):
        """Sum over all systems of ``1/2 v'G v - m'v`` at some rows v, in double precision."""
        k, shared = rows.shape[1], self.shared.astype(np.float64)
        step, total = max(1, CHUNK // k), 0.0
        for first in range(0, len(rows), step):
            part = slice(first, first + step)
            v = rows[part].astype(np.float64)
            total += float(np.vdot(v, 0.5 * (v @ shared) - self.moments[part]))
            if self.own is not None:
                total += _half_of_squares(self.own[part], v)
        return total

    def of_rows(self, rows, penalty=None):
        """The systems of some rows, a slice of them.

        Parameters
        ----------
        rows : slice
            Which.
        penalty : RowPenalty or None
            Of these rows.

        Returns
        -------
        systems : RowSystems
            With a matrix for each of them.
        """
        k = len(self.shared)
        if self.own is None:
            grams = self.shared[None]
        else:
            packed, upper = self._packed(rows), np.triu_indices(k)
            grams = np.empty((len(packed), k, k), dtype=packed.dtype)
            grams[:, *upper] = packed
            grams.transpose(0, 2, 1)[:, *upper] = packed
        return RowSystems(grams, self.moments[rows], penalty)

    def _packed(self, rows):
        shared = self.shared[np.triu_indices(len(self.shared))]
        if self.own is None:
            return np.tile(shared, (len(self.moments[rows]), 1))
        return self.own[rows] + shared if shared.any() else self.own[rows]


def _half_of_squares(packed, v):
    """Return half the sum of ``v'G v`` over matrices with packed upper triangles."""
    k, total, start = v.shape[1], 0.0, 0
    for i in range(k):
        row = packed[:, start : start + k - i]  # what is right of the diagonal counts twice
        start += k - i
        products = np.einsum("nj,nj->n", row, v[:, i:], dtype=np.float64)
        total += float(np.vdot(v[:, i], products - 0.5 * row[:, 0] * v[:, i]))
    return total
