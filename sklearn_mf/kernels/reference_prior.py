"""Kernels for rows of which a diagonal form is known beforehand, in NumPy.

What is said of ``reference`` holds here, too.
"""

import numpy as np
from scipy.linalg import cho_solve

from sklearn_mf.kernels.reference import cholesky


def solve_prior_rows(entries, design, prior, n_threads):
    """Solve one weighted regression a row, of which a diagonal form is known beforehand.

    Row ``i`` minimises, over the entries ``p`` in ``indptr[i]:indptr[i + 1]``::

        1/2 sum_p weights[p] * (targets[p] - design[indices[p]] @ v)^2 - moments @ v
          + 1/2 sum_c (gram[c] + scale[i] * ridge[c]) * v[c]^2

    Parameters
    ----------
    entries : tuple of (indptr, indices, targets, weights)
        Which rows of the design each row uses, in CSR layout, what they are to predict, and
        their positive weights.
    design : C-ordered ndarray of shape (n_columns, k)
        The regressors.
    prior : tuple of (moments, gram, scale, ridge)
        Arrays of shape (k,), (k,), (n_rows,), (k,). The diagonal is positive.
    n_threads : int
        Threads of the compiled kernel.

    Returns
    -------
    solution : ndarray of shape (n_rows, k)
        One row of coefficients a row; meaningless where the status is not 0.
    status : ndarray of shape (n_rows,), int32
        0: solved. 1: so near to singular that this precision does not tell. -1: no memory.
    """
    n_rows, k = len(entries[0]) - 1, design.shape[1]
    solution = np.zeros((n_rows, k), dtype=design.dtype)
    status = np.zeros(n_rows, dtype=np.int32)
    for i in range(n_rows):
        gram, moments = _prior_equations(entries, design, prior, i)
        factor = cholesky(gram)
        status[i] = factor is None
        if factor is not None:
            solution[i] = cho_solve((factor, True), moments, check_finite=False)
    return solution, status


def _prior_equations(entries, design, prior, i):
    """The normal equations of a row, its diagonal form included."""
    indptr, indices, targets, weights = entries
    moments, gram, scale, ridge = prior
    part = slice(indptr[i], indptr[i + 1])
    rows = design[indices[part]]
    weighted = rows * weights[part, None]
    diagonal = np.diag(gram + scale[i] * ridge)
    return weighted.T @ rows + diagonal, weighted.T @ targets[part] + moments
