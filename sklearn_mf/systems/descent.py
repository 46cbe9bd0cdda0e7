"""Improvement of rows by coordinate descent on their systems."""

from dataclasses import dataclass, fields

import numpy as np

from sklearn_mf import kernels
from sklearn_mf.systems.row_systems import RowSystems
from sklearn_mf.utils._threads import n_threads

# Numbers in the systems of the rows that are improved at a time.
EQUATIONS = 1 << 21


@dataclass(frozen=True)
class Descent:
    """Improved rows, with information on the descent.

    Attributes
    ----------
    rows : ndarray of shape (n_rows, k)
        The improved rows.
    violation : ndarray of shape (n_rows,)
        Initial distance of each row from its minimum; see ``kernels.descend_rows``.
    loss : ndarray of shape (n_rows,)
        The squared loss of each row, minus that of a row of zeros.
    doubtful : ndarray of bool of shape (n_rows,)
        Rows whose solution cannot be determined in this precision.
    """

    rows: np.ndarray
    violation: np.ndarray
    loss: np.ndarray
    doubtful: np.ndarray

    @classmethod
    def after(cls, systems, rows, violation, doubtful=None):
        """Return the descent of rows that solve their systems better than before."""
        if doubtful is None:
            doubtful = np.zeros(len(rows), dtype=bool)
        slope = systems.times(rows)
        slope *= 0.5
        slope -= systems.moments
        loss = np.einsum("ik,ik->i", rows, slope, dtype=np.float64)
        return cls(rows, violation, loss, doubtful)

    @classmethod
    def empty(cls, start):
        """Return an empty result, to be filled part by part."""
        per_row = np.zeros_like(start, shape=len(start))
        return cls(np.array(start), per_row, per_row.astype(np.float64), per_row.astype(bool))

    @classmethod
    def in_parts(cls, start, improve):
        """Return the descent of some rows at a time, which limits the memory of their systems.

        Parameters
        ----------
        start : ndarray of shape (n_rows, k)
            The initial rows.
        improve : callable
            A function of a slice of rows that returns their descent.

        Returns
        -------
        descent : Descent
            The descent of all rows.
        """
        descent = cls.empty(start)
        step = max(1, EQUATIONS // (start.shape[1] ** 2 + 1))
        for first in range(0, len(start), step):
            rows = slice(first, min(first + step, len(start)))
            descent.put(rows, improve(rows))
        return descent

    def put(self, rows, part):
        """Store the result of some rows."""
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(part, field.name)


def descend(systems: RowSystems, start, accuracy):
    """Make coordinate descent from initial rows.

    Parameters
    ----------
    systems : RowSystems
        The systems, with a penalty of any kind.
    start : ndarray of shape (n_rows, k)
        The initial rows.
    accuracy : tuple of (float, int)
        Largest move of a round relative to the largest coefficient, and maximum number of rounds.

    Returns
    -------
    descent : Descent
        The improved rows. No row costs more than at the start.
    """
    return Descent.after(systems, *rounds(systems, start, accuracy))


def rounds(systems: RowSystems, start, accuracy):
    """Return the rows after some rounds, and their initial distance from rest; see `descend`."""
    tol, most = accuracy
    start, moments = np.ascontiguousarray(start), np.ascontiguousarray(systems.moments)
    threads = threads_for(start, most)
    return kernels.descend_rows(
        systems.grams, moments, systems.penalty, start, at_least(tol, start), most, threads
    )


def at_least(tol, rows):
    """Return a tolerance that is larger than rounding errors."""
    return max(tol, 10 * float(np.finfo(rows.dtype).eps))


def threads_for(rows, n_rounds):
    """Return the number of threads for this number of rounds over all coefficients."""
    return n_threads(rows.size * rows.shape[1] * n_rounds)
