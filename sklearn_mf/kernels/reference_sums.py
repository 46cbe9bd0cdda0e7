"""Sums of normal equations in NumPy; the conventions are those of `sklearn_mf.kernels.reference`.

The equations of a row are sums over groups of its entries. Only the upper triangle of a symmetric
matrix is stored, row by row.
"""

import numpy as np
from scipy.linalg import cho_solve

from sklearn_mf.kernels.reference import cholesky


def add_equations(entries, design, packed, moments, n_threads):
    """Add the normal equations of rows to sums, in place.

    Parameters
    ----------
    entries : tuple of (indptr, indices, targets, weights)
        As in `solve_rows`.
    design : C-ordered ndarray of shape (n_columns, k)
        The regressors.
    packed : C-ordered ndarray of shape (n_rows, k * (k + 1) / 2)
        Upper triangles of Gram matrices, to which these are added.
    moments : C-ordered ndarray of shape (n_rows, k)
        Moments, to which these are added.
    n_threads : int
        Threads of the compiled kernel.
    """
    indptr, indices, targets, weights = entries
    upper = np.triu_indices(design.shape[1])
    for i in range(len(indptr) - 1):
        part = slice(indptr[i], indptr[i + 1])
        rows = design[indices[part]]
        weighted = rows if weights is None else rows * weights[part, None]
        packed[i] += (weighted.T @ rows)[upper]
        moments[i] += weighted.T @ targets[part]


def solve_systems(packed, moments, row_scale, ridge, n_threads):
    """Solve rows of which the normal equations are known.

    Parameters
    ----------
    packed, moments : C-ordered ndarray
        As `add_equations` leaves them.
    row_scale : ndarray of shape (n_rows,)
        What the penalty of each row is multiplied with.
    ridge : ndarray of shape (k,)
        Strength of the penalty of each coefficient: half its square times this.
    n_threads : int
        Threads of the compiled kernel.

    Returns
    -------
    solution : ndarray of shape (n_rows, k)
        Meaningless where the status is not 0.
    status : ndarray of shape (n_rows,), int32
        0: solved. 1: singular, or so near that this precision does not tell. -1: no memory.
    """
    n_rows, k = moments.shape
    solution = np.zeros((n_rows, k), dtype=moments.dtype)
    status = np.zeros(n_rows, dtype=np.int32)
    upper = np.triu_indices(k)
    for i in range(n_rows):
        matrix = np.zeros((k, k), dtype=moments.dtype)
        matrix[upper] = packed[i]
        matrix.T[upper] = packed[i]
        factor = cholesky(matrix + row_scale[i] * np.diag(ridge))
        if factor is None:
            status[i] = 1
        else:
            solution[i] = cho_solve((factor, True), moments[i], check_finite=False)
    return solution, status
