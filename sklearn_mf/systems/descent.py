"""Rows improved by coordinate descent on their systems."""

from dataclasses import dataclass, fields

import numpy as np

from sklearn_mf import kernels
from sklearn_mf.systems.row_systems import RowSystems
from sklearn_mf.utils._threads import n_threads


@dataclass(frozen=True)
class Descent:
    """Improved rows, and what was seen of them on the way.

    Attributes
    ----------
    rows : ndarray of shape (n_rows, k)
        Where they are now.
    violation : ndarray of shape (n_rows,)
        How far each was from its minimum at the start; see ``kernels.descend_rows``.
    loss : ndarray of shape (n_rows,)
        The squared loss of each row now, less that of a row of zeros.
    doubtful : ndarray of bool of shape (n_rows,)
        Rows for which this precision does not tell how far they should go.
    """

    rows: np.ndarray
    violation: np.ndarray
    loss: np.ndarray
    doubtful: np.ndarray

    @classmethod
    def after(cls, systems, rows, violation, doubtful=None):
        """Of rows that solve their systems better than before."""
        if doubtful is None:
            doubtful = np.zeros(len(rows), dtype=bool)
        slope = systems.times(rows)
        slope *= 0.5
        slope -= systems.moments
        loss = np.einsum("ik,ik->i", rows, slope, dtype=np.float64)
        return cls(rows, violation, loss, doubtful)

    @classmethod
    def empty(cls, start):
        """Of rows that parts are to be put into."""
        per_row = np.zeros_like(start, shape=len(start))
        return cls(np.array(start), per_row, per_row.astype(np.float64), per_row.astype(bool))

    def put(self, rows, part):
        """Write the descent of some rows in its place."""
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(part, field.name)


def descend(systems: RowSystems, start, accuracy):
    """Coordinate descent from a start.

    Parameters
    ----------
    systems : RowSystems
        With a penalty of any kind.
    start : ndarray of shape (n_rows, k)
        Where to start.
    accuracy : tuple of (float, int)
        What a round's largest move may be beside the largest coefficient, and rounds at most.

    Returns
    -------
    descent : Descent
        No row costs more than at its start.
    """
    return Descent.after(systems, *rounds(systems, start, accuracy))


def rounds(systems: RowSystems, start, accuracy):
    """The rows after some rounds, and how far they were from rest; see `descend`."""
    tol, most = accuracy
    start, moments = np.ascontiguousarray(start), np.ascontiguousarray(systems.moments)
    threads = threads_for(start, most)
    return kernels.descend_rows(
        systems.grams, moments, systems.penalty, start, at_least(tol, start), most, threads
    )


def at_least(tol, rows):
    """A tolerance that can be told from rounding error."""
    return max(tol, 10 * float(np.finfo(rows.dtype).eps))


def threads_for(rows, n_rounds):
    """Threads for so many rounds over all coefficients."""
    return n_threads(rows.size * rows.shape[1] * n_rounds)
