"""Rows with the same missing columns, which share one system of equations."""

import numpy as np

# Number of floats in the systems that are solved together.
BLOCK = 1 << 20


def row_patterns(mask):
    """Return the distinct rows of a mask, and the index of the pattern of each row.

    Parameters
    ----------
    mask : ndarray of bool of shape (n_samples, n_features)
        A mask, for example of the missing entries.

    Returns
    -------
    patterns : ndarray of bool of shape (n_patterns, n_features)
        The distinct rows.
    which : ndarray of int of shape (n_samples,)
        Index of the pattern of each row.
    """
    packed = np.ascontiguousarray(np.packbits(mask, axis=1))
    _, first, which = np.unique(
        packed.view(f"V{packed.shape[1]}").ravel(), return_index=True, return_inverse=True
    )
    return mask[first], which.ravel()


class Holes:
    """The missing entries of the rows of a table.

    Patterns with similar numbers of missing columns are solved together. They are padded to the
    largest number by nonexistent columns, whose indices begin with n_features.

    Parameters
    ----------
    missing : ndarray of bool of shape (n_samples, n_features)
        Mask of the missing entries.

    Attributes
    ----------
    missing : ndarray of bool of shape (n_samples, n_features)
        The mask.
    n_columns : int
        Number of columns, including nonexistent ones.
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
        """Return the missing columns of each pattern, padded to the same number."""
        size = counts.max()
        columns = np.argsort(~patterns, axis=1, kind="stable")[:, :size]
        place = np.arange(size)
        return np.where(place < counts[:, None], columns, patterns.shape[1] + place)

    def inverses(self, matrix):
        """Invert the submatrices of the missing columns, pattern by pattern.

        Parameters
        ----------
        matrix : ndarray of shape (n_features, n_features)
            A symmetric positive definite matrix.

        Yields
        ------
        rows : ndarray of int of shape (n_rows,)
            Indices of some rows.
        which : ndarray of int of shape (n_rows,)
            Index of the pattern of each row, in ascending order.
        columns : ndarray of int of shape (n_patterns, m)
            Missing columns of each pattern.
        inverses : ndarray of shape (n_patterns, m, m)
            Inverses of the submatrices of the missing rows and columns.
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
    """Split ascending counts at steps of an eighth, without zeros."""
    start = np.searchsorted(counts, 1)
    while start < len(counts):
        stop = np.searchsorted(counts, counts[start] + counts[start] // 8, side="right")
        yield start, stop
        start = stop
