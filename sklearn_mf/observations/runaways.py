"""Rows whose codes would grow for ever."""

import numpy as np

# A gain beside the largest that is next to nothing, and beside the last that is hardly less.
SPENT, HARDLY_LESS = 1e-5, 0.1


class Runaways:
    """Rows for which a loss is least at infinity only, and which no penalty holds.

    Logarithmic losses are, where a row has too few entries, or these can be told apart. Such rows
    end where a step gains next to nothing, but hardly less than the last one. Newton's method
    would gain far less there near a minimum; the bound of a loss might not, so that under a bound
    it is only looked for in rows that their entries do not determine.

    Parameters
    ----------
    block : ObservedMatrix
        The rows.
    penalty : RowPenalty
        Of their codes.
    is_bounded : bool
        Whether steps go to the minimum of a bound, instead of Newton's.
    """

    def __init__(self, block, penalty, *, is_bounded):
        n_rows = block.shape[0]
        self.possible = np.full(n_rows, not penalty.holds)
        if is_bounded and not penalty.holds:
            self.possible = np.diff(block.stored().indptr) < len(penalty.ridge)
        self.last, self.largest = np.zeros((2, n_rows))

    def found(self, rows, bound, steps, design):
        """Which of some rows end.

        Parameters
        ----------
        rows : ndarray of int
            The rows.
        bound : ObservedMatrix
            Their squared loss is what a step made least.
        steps : ndarray of shape (n_rows, k)
            How far their codes went.
        design : ndarray of shape (n_columns, k)
            Regressors.

        Returns
        -------
        found : ndarray of bool
            True where a row ends.
        """
        if not self.possible[rows].any():
            return np.zeros(len(rows), dtype=bool)
        gains = bound.row_sums(np.square(bound.model(steps, design)))
        spent = gains >= HARDLY_LESS * self.last[rows]
        self.last[rows] = gains
        self.largest[rows] = np.maximum(self.largest[rows], gains)
        # Steps that lead back from far away gain less and less too, but more than an entry tells.
        spent &= gains <= SPENT * np.minimum(self.largest[rows], 1)
        return self.possible[rows] & spent
