"""Improvement of rows by solving for blocks of coefficients."""

import numpy as np

from sklearn_mf.systems.descent import Descent
from sklearn_mf.systems.minimum_norm import solve
from sklearn_mf.systems.row_systems import RowSystems


def descend_blocks(systems: RowSystems, start, size):
    """Solve for each block of coefficients in turn, with all others fixed.

    Parameters
    ----------
    systems : RowSystems
        The systems, with an L2 penalty.
    start : ndarray of shape (n_rows, k)
        The initial rows.
    size : int
        Number of coefficients in a block.

    Returns
    -------
    descent : Descent
        The improved rows. No row costs more than at the start.
    """
    rows, matrices = np.array(start), systems.matrices
    eps = float(np.finfo(rows.dtype).eps)
    for first in range(0, rows.shape[1], size):
        block = slice(first, first + size)
        slope = systems.moments[:, block] - (matrices[:, block] @ rows[:, :, None])[:, :, 0]
        rows[:, block] += solve(matrices[:, block, block], slope[:, :, None], eps)[:, :, 0]
    return Descent.after(systems, rows, np.zeros_like(rows, shape=len(rows)))
