"""Kernels for rows of which a diagonal form is known beforehand, in NumPy.

What is said of ``reference`` holds here, too.
"""

import numpy as np
from scipy.linalg import cho_solve

from sklearn_mf.kernels.reference import cholesky, conjugate_gradients

# Rows of so few entries are solved as soon as refined.
FEW = 4


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


def refine_prior_rows(entries, design, prior, start, accuracy, n_threads):
    """Improve the rows that `solve_prior_rows` would solve, by conjugate gradients.

    Residuals are divided by the diagonal form, the preconditioner: what is left are the entries of
    the row alone. Rows of few entries are solved.

    Parameters
    ----------
    entries, design, prior : tuple, C-ordered ndarray, tuple
        As in `solve_prior_rows`.
    start : C-ordered ndarray of shape (n_rows, k)
        Where to start.
    accuracy : tuple of (float, int)
        A row stops when its residual, as the preconditioner measures it, is this share of what it
        was at the start; and steps at most.
    n_threads : int
        Threads of the compiled kernel.

    Returns
    -------
    solution : ndarray of shape (n_rows, k)
        No row costs more than it did at the start.
    status : ndarray of shape (n_rows,), int32
        As in `solve_prior_rows`, of those that are solved.
    """
    solution, status = _with_few_solved(entries, design, prior, start, FEW)
    reduction, steps = accuracy
    _, gram, scale, ridge = prior
    for i in np.flatnonzero(np.diff(entries[0]) > FEW):
        A, b = _prior_equations(entries, design, prior, i)
        root = np.sqrt(gram + scale[i] * ridge)
        scaled = A / root[:, None] / root
        v = conjugate_gradients(scaled, b / root, root * solution[i], (reduction, steps))
        solution[i] = v / root
    return solution, status


def descend_prior_rows(entries, design, prior, start, size, n_threads):
    """Improve the rows that `solve_prior_rows` would solve, a block of coefficients at a time.

    Each block in turn is solved, all others fixed (Rendle et al. 2021,
    :doi:`10.48550/arXiv.2110.14044`). Rows of no more entries than a block has coefficients are
    solved.

    Parameters
    ----------
    entries, design, prior : tuple, C-ordered ndarray, tuple
        As in `solve_prior_rows`.
    start : C-ordered ndarray of shape (n_rows, k)
        Where to start.
    size : int
        Coefficients of a block.
    n_threads : int
        Threads of the compiled kernel.

    Returns
    -------
    solution : ndarray of shape (n_rows, k)
        No row costs more than it did at the start.
    status : ndarray of shape (n_rows,), int32
        As in `solve_prior_rows`, of those that are solved.
    """
    solution, status = _with_few_solved(entries, design, prior, start, size)
    for i in np.flatnonzero(np.diff(entries[0]) > size):
        A, b = _prior_equations(entries, design, prior, i)
        for first in range(0, len(b), size):
            block = slice(first, first + size)
            factor = cholesky(A[block, block])
            if factor is not None:
                slope = b[block] - A[block] @ solution[i]
                solution[i, block] += cho_solve((factor, True), slope, check_finite=False)
    return solution, status


def _with_few_solved(entries, design, prior, start, few):
    """A copy of the start in which the rows of few entries are solved, and their status."""
    solved, status = solve_prior_rows(entries, design, prior, 1)
    is_long = np.diff(entries[0]) > few
    status[is_long] = 0
    return np.where(is_long[:, None], start, solved), status
