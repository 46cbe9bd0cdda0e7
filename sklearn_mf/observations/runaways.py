"""Detection of rows whose codes diverge."""

import numpy as np

# A gain is negligible relative to the largest one, and not much smaller than the last one.
SPENT, HARDLY_LESS = 1e-5, 0.1


class Runaways:
    """Rows whose loss has its infimum at infinity and that no penalty keeps finite.

    This happens with logarithmic losses, if a row has too few entries or its classes can be
    separated. Such rows stop when a step gains very little, but not much less than the last one.
    Near a minimum, the gains of Newton steps would decrease much faster. Those of steps to the
    minimum of a bound might not, so under a bound only rows that are not determined by their
    entries are checked.

    Parameters
    ----------
    block : ObservedMatrix
        The rows.
    penalty : RowPenalty
        Penalty on their codes.
    is_bounded : bool
        Whether steps lead to the minimum of a bound, instead of being Newton steps.
    """

    def __init__(self, block, penalty, *, is_bounded):
        n_rows = block.shape[0]
        self.possible = np.full(n_rows, not penalty.holds)
        if is_bounded and not penalty.holds:
            self.possible = np.diff(block.stored().indptr) < len(penalty.ridge)
        self.last, self.largest = np.zeros((2, n_rows))

    def found(self, rows, bound, steps, design):
        """Return which of some rows must stop.

        Parameters
        ----------
        rows : ndarray of int
            Indices of the rows.
        bound : ObservedMatrix
            The squared loss that the last step minimized.
        steps : ndarray of shape (n_rows, k)
            Changes of the codes.
        design : ndarray of shape (n_columns, k)
            The regressors.

        Returns
        -------
        found : ndarray of bool
            True for rows that must stop.
        """
        if not self.possible[rows].any():
            return np.zeros(len(rows), dtype=bool)
        gains = bound.row_sums(np.square(bound.model(steps, design)))
        spent = gains >= HARDLY_LESS * self.last[rows]
        self.last[rows] = gains
        self.largest[rows] = np.maximum(self.largest[rows], gains)
        # Gains also decrease slowly on the way back from far away, but they are then larger than an
        # entry's information.
        spent &= gains <= SPENT * np.minimum(self.largest[rows], 1)
        return self.possible[rows] & spent
