"""Rows of a table that miss the same columns: one system of equations for all of them."""

import numpy as np

# Numbers in the systems that are solved together.
BLOCK = 1 << 20


def row_patterns(mask):
    """Rows that occur in a mask, and which of them each row is.

    Parameters
    ----------
    mask : ndarray of bool of shape (n_samples, n_features)
        For instance what is missing.

    Returns
    -------
    patterns : ndarray of bool of shape (n_patterns, n_features)
        Its different rows.
    which : ndarray of int of shape (n_samples,)
        The pattern of each row.
    """
    packed = np.ascontiguousarray(np.packbits(mask, axis=1))
    _, first, which = np.unique(
        packed.view(f"V{packed.shape[1]}").ravel(), return_index=True, return_inverse=True
    )
    return mask[first], which.ravel()


class Holes:
    """Where the rows of a table have holes.

    Patterns that miss about equally many columns are solved together. What one of them lacks to
    the largest is made up by columns that do not exist, numbered from n_features on.

    Parameters
    ----------
    missing : ndarray of bool of shape (n_samples, n_features)
        What is missing.

    Attributes
    ----------
    missing : ndarray of bool of shape (n_samples, n_features)
        As it was given.
    n_columns : int
        Number of columns, with those that do not exist.
    """

    def __init__(self, missing):
        self.missing = missing
        patterns, which = row_patterns(missing)
        counts = patterns.sum(axis=1)
        order = np.argsort(counts, kind="stable")
        patterns, counts = patterns[order], counts[order]
        which = np.argsort(order)[which]
        rows = np.argsort(which, kind="stable")
        which = which[rows]
        self.n_columns = missing.shape[1] + counts.max(initial=0)
        self._groups = []
        for start, stop in _runs(counts):
            members = slice(*np.searchsorted(which, [start, stop]))
            columns = self._columns(patterns[start:stop], counts[start:stop])
            self._groups.append((rows[members], which[members] - start, columns))

    def _columns(self, patterns, counts):
        """What each pattern misses, as many of each."""
        size = counts.max()
        columns = np.argsort(~patterns, axis=1, kind="stable")[:, :size]
        place = np.arange(size)
        return np.where(place < counts[:, None], columns, patterns.shape[1] + place)

    def inverses(self, matrix):
        """Invert the part of a matrix that belongs to what is missing, pattern by pattern.

        Parameters
        ----------
        matrix : ndarray of shape (n_features, n_features)
            Symmetric and positive definite.

        Yields
        ------
        rows : ndarray of int of shape (n_rows,)
            Some of the rows.
        which : ndarray of int of shape (n_rows,)
            The pattern of each, ascending.
        columns : ndarray of int of shape (n_patterns, m)
            What each pattern misses.
        inverses : ndarray of shape (n_patterns, m, m)
            Of the rows and columns of the matrix that are missing.
        """
        wide = np.eye(self.n_columns)
        wide[: len(matrix), : len(matrix)] = matrix
        for rows, which, columns in self._groups:
            step = max(1, BLOCK // columns.shape[1] ** 2)
            for start in range(0, len(columns), step):
                part = columns[start : start + step]
                inverses = np.linalg.inv(wide[part[:, :, None], part[:, None, :]])
                some = slice(*np.searchsorted(which, [start, start + step]))
                yield rows[some], which[some] - start, part, inverses


def _runs(counts):
    """Where ascending counts, beyond zero, go in steps of an eighth."""
    start = np.searchsorted(counts, 1)
    while start < len(counts):
        stop = np.searchsorted(counts, counts[start] + counts[start] // 8, side="right")
        yield start, stop
        start = stop
