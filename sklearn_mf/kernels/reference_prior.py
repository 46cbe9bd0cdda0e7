"""Kernels in NumPy for rows with a given diagonal quadratic form.

The conventions are those of ``reference``.
"""

import numpy as np
from scipy.linalg import cho_solve

from sklearn_mf.kernels.reference import cholesky, conjugate_gradients

# Rows with at most this number of entries are solved exactly, because this is as fast.
FEW = 4


def solve_prior_rows(entries, design, prior, n_threads):
    """Solve a weighted regression for each row, with a given diagonal quadratic form.

    Row ``i`` minimizes, over the entries ``p`` in ``indptr[i]:indptr[i + 1]``::

        1/2 sum_p weights[p] * (targets[p] - design[indices[p]] @ v)^2 - moments @ v
          + 1/2 sum_c (gram[c] + scale[i] * ridge[c]) * v[c]^2

    Parameters
    ----------
    entries : tuple of (indptr, indices, targets, weights)
        The rows of the design that each row uses, in CSR format, their targets, and positive
        weights.
    design : C-ordered ndarray of shape (n_columns, k)
        The regressors.
    prior : tuple of (moments, gram, scale, ridge)
        Arrays of shape (k,), (k,), (n_rows,), (k,). The diagonal is positive.
    n_threads : int
        Number of threads of the compiled kernel.

    Returns
    -------
    solution : ndarray of shape (n_rows, k)
        The coefficients of each row; undefined if the status is not 0.
    status : ndarray of shape (n_rows,), int32
        0: solved. 1: too close to singular in this precision. -1: out of memory.
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
    """Return the normal equations of a row, including its diagonal form."""
    indptr, indices, targets, weights = entries
    moments, gram, scale, ridge = prior
    part = slice(indptr[i], indptr[i + 1])
    rows = design[indices[part]]
    weighted = rows * weights[part, None]
    diagonal = np.diag(gram + scale[i] * ridge)
    return weighted.T @ rows + diagonal, weighted.T @ targets[part] + moments


def refine_prior_rows(entries, design, prior, start, accuracy, n_threads):
    """Improve the rows of `solve_prior_rows` by conjugate gradients.

    The diagonal form is the preconditioner, so that only the entries of the row remain. Rows with
    few entries are solved exactly.

    Parameters
    ----------
    entries, design, prior : tuple, C-ordered ndarray, tuple
        As in `solve_prior_rows`.
    start : C-ordered ndarray of shape (n_rows, k)
        The initial rows.
    accuracy : tuple of (float, int)
        Fraction of the initial residual, in the norm of the preconditioner, at which a row stops;
        and maximum number of steps.
    n_threads : int
        Number of threads of the compiled kernel.

    Returns
    -------
    solution : ndarray of shape (n_rows, k)
        No row costs more than at the start.
    status : ndarray of shape (n_rows,), int32
        As in `solve_prior_rows`, for rows that are solved exactly.
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
    """Improve the rows of `solve_prior_rows` by solving for blocks of coefficients.

    Each block in turn is solved with all others fixed (Rendle et al. 2021,
    :doi:`10.48550/arXiv.2110.14044`). Rows with at most as many entries as a block has coefficients
    are solved exactly.

    Parameters
    ----------
    entries, design, prior : tuple, C-ordered ndarray, tuple
        As in `solve_prior_rows`.
    start : C-ordered ndarray of shape (n_rows, k)
        The initial rows.
    size : int
        Number of coefficients in a block.
    n_threads : int
        Number of threads of the compiled kernel.

    Returns
    -------
    solution : ndarray of shape (n_rows, k)
        No row costs more than at the start.
    status : ndarray of shape (n_rows,), int32
        As in `solve_prior_rows`, for rows that are solved exactly.
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
    """Return a copy of the start with rows of few entries solved, and their status."""
    solved, status = solve_prior_rows(entries, design, prior, 1)
    is_long = np.diff(entries[0]) > few
    status[is_long] = 0
    return np.where(is_long[:, None], start, solved), status
