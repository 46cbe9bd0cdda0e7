"""Every kernel in NumPy: the specification, the reference of the tests, and the fallback.

Kernels accept and return arrays. They use no classes, losses or penalties. The compiled kernels
have the same names, arguments and results; ``n_threads`` is used by them only. All floating-point
arrays of a call have the same dtype, float32 or float64; ``indptr`` and ``indices`` (CSR format)
have the same dtype, int32 or int64.
"""

import numpy as np
from scipy.linalg import cho_solve

from sklearn_mf.kernels.minimum_norm import pseudoinverses

# A system may be singular if a pivot, relative to its diagonal, is smaller than this number of
# rounding errors per coefficient, which grow as the smallest previous relative pivot decreases.
SUSPICIOUS = 30


def max_threads():
    """Return the number of threads of these kernels."""
    return 1


def solve_rows(entries, design, row_scale, ridge, n_threads):
    """Solve a weighted ridge regression for each row, on its stored entries.

    Row ``i`` minimizes, over the entries ``p`` in ``indptr[i]:indptr[i + 1]``::

        1/2 sum_p weights[p] * (targets[p] - design[indices[p]] @ v)^2
          + 1/2 row_scale[i] * sum_c ridge[c] * v[c]^2

    Parameters
    ----------
    entries : tuple of (indptr, indices, targets, weights)
        The rows of the design that each row uses, in CSR format, their targets, and non-negative
        weights (None for ones).
    design : C-ordered ndarray of shape (n_columns, k)
        The regressors.
    row_scale : ndarray of shape (n_rows,)
        Number that multiplies the penalty of each row.
    ridge : ndarray of shape (k,)
        Strength of the penalty on each coefficient, which is half its square times this number.
    n_threads : int
        Number of threads of the compiled kernel.

    Returns
    -------
    solution : ndarray of shape (n_rows, k)
        The coefficients of each row; undefined if the status is not 0.
    status : ndarray of shape (n_rows,), int32
        0: solved; by the minimum-norm solution if there are fewer entries than coefficients. 1:
        singular, or too close to singular in this precision (see `minimum_norm.pseudoinverses`).
        -1: out of memory.
    """
    indptr, indices, targets, weights = entries
    n_rows, k = len(indptr) - 1, design.shape[1]
    solution = np.zeros((n_rows, k), dtype=design.dtype)
    status = np.zeros(n_rows, dtype=np.int32)
    for i in range(n_rows):
        part = slice(indptr[i], indptr[i + 1])
        solution[i], status[i] = _solve_row(
            design[indices[part]],
            targets[part],
            None if weights is None else weights[part],
            row_scale[i] * ridge,
        )
    return solution, status


def solve_dense_rows(targets, weights, offsets, design, gram, row_scale, ridge, n_threads):
    """Solve a weighted ridge regression for each row, on its entries that are not NaN.

    This is `solve_rows` for targets in a dense array. For a row with at most half of its entries
    missing, the compiled kernel computes the normal equations from ``gram`` minus the missing
    entries.

    Parameters
    ----------
    targets : ndarray of shape (n_rows, n_columns)
        The targets, in any memory order.
    weights : ndarray of shape (n_rows, n_columns) or None
        Non-negative weights; None for ones.
    offsets : ndarray of shape (n_columns,)
        Numbers that are subtracted from the targets.
    design : C-ordered ndarray of shape (n_columns, k)
        The regressors.
    gram : C-ordered ndarray of shape (k, k) or None
        The weighted ``design.T @ design`` of a complete row; None if the weights differ between
        rows.
    row_scale : ndarray of shape (n_rows,)
        Number that multiplies the penalty of each row.
    ridge : ndarray of shape (k,)
        Strength of the penalty on each coefficient, which is half its square times this number.
    n_threads : int
        Number of threads of the compiled kernel.

    Returns
    -------
    solution : ndarray of shape (n_rows, k)
        As in `solve_rows`.
    status : ndarray of shape (n_rows,), int32
        As in `solve_rows`.
    """
    n_rows, k = targets.shape[0], design.shape[1]
    solution = np.zeros((n_rows, k), dtype=design.dtype)
    status = np.zeros(n_rows, dtype=np.int32)
    for i in range(n_rows):
        observed = np.flatnonzero(~np.isnan(targets[i]))
        solution[i], status[i] = _solve_row(
            design[observed],
            targets[i, observed] - offsets[observed],
            None if weights is None else weights[i, observed],
            row_scale[i] * ridge,
        )
    return solution, status


def _solve_row(rows, targets, weights, ridge):
    """Solve the normal equations by Cholesky; the status is 1 if they may be singular."""
    n_known = len(rows) if weights is None else np.count_nonzero(weights > 0)
    n_penalized = np.count_nonzero(ridge > 0)
    if n_known + n_penalized < len(ridge):
        if n_penalized == 0:
            return _solve_few(rows, targets, weights)
        return np.zeros(len(ridge)), 1
    weighted = rows if weights is None else rows * weights[:, None]
    factor = cholesky(weighted.T @ rows + np.diag(ridge))
    if factor is None:
        return np.zeros(rows.shape[1]), 1
    return cho_solve((factor, True), weighted.T @ targets, check_finite=False), 0


def _solve_few(rows, targets, weights):
    """Return the minimum-norm coefficients that fit all entries: a combination of their rows."""
    if weights is not None:
        root = np.sqrt(weights[weights > 0])
        rows, targets = root[:, None] * rows[weights > 0], root * targets[weights > 0]
    factor = cholesky(rows @ rows.T) if len(rows) else None
    if factor is None:
        return np.zeros(rows.shape[1]), 1
    return cho_solve((factor, True), targets, check_finite=False) @ rows, 0


def cholesky(gram, doubt=1.0):
    """Return the lower factor, or None if the matrix may be singular; small doubt accepts more."""
    try:
        factor = np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:
        return None
    return factor if is_sound(factor, gram, doubt * np.finfo(gram.dtype).eps) else None


def is_sound(factor, gram, eps):
    """Return whether the pivots are larger than rounding errors, relative to their diagonals.

    Parameters
    ----------
    factor : ndarray of shape (..., k, k)
        Lower factors of a Cholesky factorization.
    gram : ndarray of shape (..., k, k)
        The factorized matrices.
    eps : float
        Machine precision of the numbers from which they were computed.

    Returns
    -------
    sound : ndarray of bool of shape (...)
        False if the matrix may be singular.
    """
    diagonal = np.diagonal(gram, axis1=-2, axis2=-1)
    shares = np.diagonal(factor, axis1=-2, axis2=-1) ** 2 / diagonal
    least = np.minimum.accumulate(shares, axis=-1)
    least = np.concatenate([np.ones_like(least[..., :1]), least[..., :-1]], axis=-1)
    return (shares * np.minimum(least, 1) > SUSPICIOUS * gram.shape[-1] * eps).all(axis=-1)


def refine_rows(entries, design, row_scale, ridge, start, reduction, n_threads):
    """Improve the rows of `solve_rows` by conjugate gradients.

    Parameters
    ----------
    entries : tuple of (indptr, indices, targets, weights)
        The rows of the design that each row uses, in CSR format, their targets, and non-negative
        weights (None for ones).
    design : C-ordered ndarray of shape (n_columns, k)
        The regressors.
    row_scale : ndarray of shape (n_rows,)
        Number that multiplies the penalty of each row.
    ridge : ndarray of shape (k,)
        Strength of the penalty on each coefficient, which is half its square times this number.
    start : C-ordered ndarray of shape (n_rows, k)
        The initial rows.
    reduction : float
        A row stops when its residual is below this fraction of the initial residual, but after k
        steps at the latest.
    n_threads : int
        Number of threads of the compiled kernel.

    Returns
    -------
    solution : ndarray of shape (n_rows, k)
        No row costs more than at the start. Rows without entries are zero.
    """
    indptr, indices, targets, weights = entries
    solution = start.copy()
    for i in range(len(solution)):
        part = slice(indptr[i], indptr[i + 1])
        rows = design[indices[part]]
        weighted = rows if weights is None else rows * weights[part, None]
        gram = weighted.T @ rows + np.diag(row_scale[i] * ridge)
        moments = weighted.T @ targets[part]
        solution[i] = (
            conjugate_gradients(gram, moments, start[i], (reduction, len(moments)))
            if len(rows)
            else 0
        )
    return solution


def conjugate_gradients(A, b, x, accuracy):
    """Iterate the method of Hestenes and Stiefel up to a relative residual or number of steps."""
    reduction, steps = accuracy
    residual = b - A @ x
    direction, square = residual, residual @ residual
    goal = reduction**2 * square
    for _ in range(min(steps, len(b))):
        steepness = direction @ A @ direction
        if not (square > goal and steepness > 0):
            break
        x = x + square / steepness * direction
        residual = residual - square / steepness * (A @ direction)
        square, before = residual @ residual, square
        direction = residual + square / before * direction
    return x


def normal_equations(entries, design, n_threads):
    """Return the Gram matrix and the moments of every row, over its stored entries.

    Parameters
    ----------
    entries : tuple of (indptr, indices, targets, weights)
        As in `solve_rows`.
    design : C-ordered ndarray of shape (n_columns, k)
        The regressors.
    n_threads : int
        Number of threads of the compiled kernel.

    Returns
    -------
    grams : C-ordered ndarray of shape (n_rows, k, k)
        Sum over p of ``weights[p] * outer(row_p, row_p)`` with ``row_p = design[indices[p]]``.
    moments : C-ordered ndarray of shape (n_rows, k)
        Sum over p of ``weights[p] * targets[p] * row_p``.
    """
    indptr, indices, targets, weights = entries
    n_rows, k = len(indptr) - 1, design.shape[1]
    grams = np.zeros((n_rows, k, k), dtype=design.dtype)
    moments = np.zeros((n_rows, k), dtype=design.dtype)
    for i in range(n_rows):
        part = slice(indptr[i], indptr[i + 1])
        rows = design[indices[part]]
        weighted = rows if weights is None else rows * weights[part, None]
        grams[i], moments[i] = weighted.T @ rows, weighted.T @ targets[part]
    return grams, moments


def descend_rows(grams, moments, penalty, start, tol, max_rounds, n_threads):
    """Improve rows by cyclic coordinate descent, updating the gradient.

    Row ``i`` decreases, for coefficients ``v[c] >= lower[c]``::

        1/2 v' gram v - moments[i] @ v
          + scale[i] * sum_c (1/2 ridge[c] * v[c]^2 + l1[c] * |v[c]|)

    Parameters
    ----------
    grams : C-ordered ndarray of shape (n_rows, k, k) or (1, k, k)
        The quadratic form of every row, or one for all rows.
    moments : C-ordered ndarray of shape (n_rows, k)
        The linear forms.
    penalty : tuple of (scale, ridge, l1, lower)
        Arrays of shape (n_rows,), (k,), (k,), (k,). The bounds are zero or minus infinity.
    start : C-ordered ndarray of shape (n_rows, k)
        The initial rows.
    tol : float
        A row stops after a round in which no coefficient moved by more than this fraction of the
        largest one.
    max_rounds : int
        Maximum number of rounds over the coefficients of a row.
    n_threads : int
        Number of threads of the compiled kernel.

    Returns
    -------
    solution : C-ordered ndarray of shape (n_rows, k)
        No row costs more than at the start. A coefficient without data and penalty does not change.
    violation : ndarray of shape (n_rows,)
        Distance of the start from the minimum: the sum of the absolute values of the gradient in
        the first round, except where a bound is active.
    """
    scale, ridge, l1, lower = penalty
    solution = np.array(start)
    violation = np.zeros_like(solution, shape=len(solution))
    for i, v in enumerate(solution):
        gram = grams[i if len(grams) > 1 else 0]
        part = scale[i] * ridge, scale[i] * l1, lower
        violation[i] = _descend(gram, moments[i], part, v, (tol, max_rounds))
    return solution, violation


def _descend(gram, moments, penalty, v, accuracy):
    ridge, l1, lower = penalty
    tol, max_rounds = accuracy
    curvature = np.diag(gram) + ridge
    gradient = gram @ v + ridge * v - moments
    violation = 0.0
    for n_rounds in range(max_rounds):
        moved = 0.0
        for c in range(len(v)):
            if n_rounds == 0:
                violation += _slope(gradient[c], l1[c], lower[c], v[c])
            # A coefficient without data and ridge does not change: if it became zero, neither
            # factor could leave it.
            after = v[c]
            if curvature[c] > 0:
                goal = curvature[c] * v[c] - gradient[c]
                after = np.sign(goal) * max(abs(goal) - l1[c], 0) / curvature[c]
                after = max(after, lower[c])
            step = after - v[c]
            if step != 0:
                gradient += step * gram[c]
                gradient[c] += step * ridge[c]
                v[c] = after
                moved = max(moved, abs(step))
        if not moved > tol * np.abs(v).max():
            break
    return violation


def solve_active_set_rows(grams, moments, penalty, start, n_threads):
    """Move the nonzero coefficients of rows to where the objective is smallest.

    The objective is that of `descend_rows`. Zeros do not change, unless neither a bound nor an L1
    penalty holds them. A coefficient that would change its sign becomes zero on the way, and the
    others start again (the inner loop of Lawson & Hanson 1974, :doi:`10.1137/1.9781611971217`). A
    row with a singular system does not change.

    Parameters
    ----------
    grams : C-ordered ndarray of shape (n_rows, k, k) or (1, k, k)
        The quadratic form of every row, or one for all rows.
    moments : C-ordered ndarray of shape (n_rows, k)
        The linear forms.
    penalty : tuple of (scale, ridge, l1, lower)
        As in `descend_rows`.
    start : C-ordered ndarray of shape (n_rows, k)
        The initial rows.
    n_threads : int
        Number of threads of the compiled kernel.

    Returns
    -------
    solution : C-ordered ndarray of shape (n_rows, k)
        No row costs more than at the start, up to rounding errors.
    """
    scale, ridge, l1, lower = penalty
    solution = np.array(start)
    held = (l1 > 0) | (lower == 0)
    for i, v in enumerate(solution):
        A = grams[i if len(grams) > 1 else 0] + np.diag(scale[i] * ridge)
        while True:
            free = np.flatnonzero(((v != 0) | ~held) & (np.diag(A) > 0))
            after = np.zeros_like(v)
            # Descent continues from this solution, so a part of the digits is enough.
            factor = cholesky(A[np.ix_(free, free)], 0.1) if len(free) else None
            if factor is None:
                break
            slope = (moments[i] - scale[i] * l1 * np.sign(v))[free]
            after[free] = cho_solve((factor, True), slope, check_finite=False)
            turns = free[held[free] & (np.sign(after[free]) != np.sign(v[free]))]
            if len(turns) == 0:
                v[free] = after[free]
                break
            shares = v[turns] / (v[turns] - after[turns])
            v[free] += shares.min() * (after - v)[free]
            v[turns[shares == shares.min()]] = 0
    return solution


def _slope(gradient, l1, lower, v):
    """Return the slope of the cost of a coefficient in the direction in which it may move."""
    if v != 0:
        return abs(gradient + np.sign(v) * l1)
    return max(-gradient - l1, 0, gradient - l1 if lower < 0 else 0)


def least_squares_operator(rows, weights, ridge):
    """Return the matrix that solves a weighted ridge regression for any target.

    It is used for rows with the same observed entries. If there are several solutions, it gives the
    one with the smallest Euclidean norm.

    Parameters
    ----------
    rows : ndarray of shape (n_entries, k)
        The design at the observed entries.
    weights : ndarray of shape (n_entries,) or None
        Weights of the entries.
    ridge : ndarray of shape (k,)
        The penalty on each coefficient.

    Returns
    -------
    operator : C-ordered ndarray of shape (n_entries, k)
        ``targets @ operator`` is the solution.
    """
    weighted = rows if weights is None else rows * weights[:, None]
    factor = cholesky(weighted.T @ rows + np.diag(ridge))
    if factor is not None:
        solution = cho_solve((factor, True), weighted.T, check_finite=False)
        return np.ascontiguousarray(solution.T)
    # Small directions can be distinguished from rounding errors in the design, but not in its Gram
    # matrix.
    root = np.ones(len(rows)) if weights is None else np.sqrt(weights.astype(np.float64))
    stacked = np.vstack([root[:, None] * rows, np.diag(np.sqrt(ridge.astype(np.float64)))])
    (inverse,) = pseudoinverses(stacked[None], np.finfo(rows.dtype).eps)
    return np.ascontiguousarray((inverse[:, : len(rows)] * root).T, dtype=rows.dtype)


def values_at(indptr, indices, W, Ht, n_threads):
    """Return model values ``W[i] @ Ht[j]`` at the stored entries (i, j).

    Parameters
    ----------
    indptr, indices : ndarray
        The entries, in CSR format.
    W : ndarray of shape (n_rows, k)
        Factor of the rows.
    Ht : ndarray of shape (n_columns, k)
        Factor of the columns.
    n_threads : int
        Number of threads of the compiled kernel.

    Returns
    -------
    values : ndarray of shape (n_entries,)
        One value per entry, in the order of ``indices``.
    """
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    return np.einsum("pk,pk->p", W[rows], Ht[indices])


def sparse_times_dense(entries, offsets, row_offsets, dense, n_threads):
    """Return the product of a centered and weighted CSR matrix and a tall matrix.

    Parameters
    ----------
    entries : tuple of (indptr, indices, data, weights)
        The sparse matrix in CSR format, and the weights of its entries (None for ones).
    offsets : ndarray of shape (n_columns,) or None
        Numbers that are subtracted from the stored entries of each column.
    row_offsets : ndarray of shape (n_rows,) or None
        Numbers that are subtracted from the stored entries of each row.
    dense : C-ordered ndarray of shape (n_columns, k)
        The dense matrix.
    n_threads : int
        Number of threads of the compiled kernel.

    Returns
    -------
    product : C-ordered ndarray of shape (n_rows, k)
        The product. Its rows are summed in the order of ``indices``.
    """
    indptr, indices, data, weights = entries
    product = np.zeros((len(indptr) - 1, dense.shape[1]), dtype=dense.dtype)
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    if row_offsets is not None:
        data = data - row_offsets[rows]
    if offsets is not None:
        data = data - offsets[indices]
    if weights is not None:
        data = data * weights
    np.add.at(product, rows, data[:, None] * dense[indices])
    return product


def dense_times_dense(A, B, n_threads):
    """Return the product of a matrix and a narrow matrix.

    Parameters
    ----------
    A : ndarray of shape (n, m)
        The matrix, in any memory order; the compiled kernel is fast if it is C- or F-ordered.
    B : ndarray of shape (m, k)
        The narrow matrix.
    n_threads : int
        Number of threads of the compiled kernel.

    Returns
    -------
    product : C-ordered ndarray of shape (n, k)
        The product; it does not depend on the number of threads.
    """
    return A @ B


def sgd_epoch(entries, blocks, rows, columns, rate, adapt, n_threads):
    """Make one stochastic step per entry: first its row moves, then its column.

    The model is ``W[i, :k] @ Ht[j, :k]`` plus the biases, which are the last columns of the factors
    that have one. With h fixed, a row moves to the minimum of::

        1/2 weight * (target - model)^2 + strength * penalty(w) + |w - before|^2 / (2 * length)

    without its penalty, which is applied afterwards in the order of the proximal operator:
    ``shrink, then soft threshold, then bound``. The length is ``rate / sqrt(squares)``, and the
    mean square of the coordinates of the gradient is added to ``squares``. Therefore no step
    overshoots.

    Parameters
    ----------
    entries : tuple of (rows, columns, targets, row_weights, column_weights)
        Positions of the entries (int32), their targets, and their weights for rows and columns
        (None for ones). The entries of a block are contiguous.
    blocks : tuple of (starts, strata)
        Entries ``starts[b]:starts[b + 1]`` are block b, which contains the rows of group ``b //
        n_groups`` and the columns of group ``b % n_groups``. Each row of ``strata``, of shape
        (n_strata, n_groups), lists blocks that share no group; these rows are processed one after
        the other. Both arrays are int64.
    rows, columns : tuple of (factor, squares, strength, penalty)
        For each side: the C-ordered factor, one accumulator per row, the strength of the penalty of
        a row for each of its entries, and the penalty on a coefficient: a tuple of its ridge, its
        L1 penalty, its lower bound (0 or minus infinity), and the ridge of the bias, None if there
        is no bias.
    rate : float
        Length of the steps if the accumulated squares are one.
    adapt : float
        Factor of squared gradients before they are added: 1, or 0 for steps of constant length.
    n_threads : int
        Number of threads of the compiled kernel.

    Returns
    -------
    rows, columns : tuple of (factor, squares)
        The results, in new arrays.
    errors : ndarray of shape (n_blocks,)
        Sum of the squared errors of the entries of every block, weighted by ``column_weights``.
    """
    starts, strata = blocks
    left, right = (_MovingSide(side) for side in (rows, columns))
    at, other, targets, *weights = entries
    on_row, on_column = (np.ones_like(targets) if w is None else w for w in weights)
    for block in strata.ravel():
        for p in range(starts[block], starts[block + 1]):
            i, j = at[p], other[p]
            error = targets[p] - left.factor[i] @ right.factor[j] - left.bias[i] - right.bias[j]
            left.step(i, right.factor[j], error, on_row[p], rate, adapt)
            error = targets[p] - left.factor[i] @ right.factor[j] - left.bias[i] - right.bias[j]
            right.step(j, left.factor[i], error, on_column[p], rate, adapt)
    model = np.einsum("pk,pk->p", left.factor[at], right.factor[other])
    left_over = targets - model - left.bias[at] - right.bias[other]
    squared = np.concatenate([[0], np.cumsum(on_column * left_over**2, dtype=np.float64)])
    return left.result(), right.result(), np.diff(squared[starts])


class _MovingSide:
    """A factor during the steps, with its bias separated."""

    def __init__(self, side):
        factor, squares, self.strength, penalty = side
        self.ridge, self.l1, self.lower, self.bias_ridge = penalty
        self.has_bias = self.bias_ridge is not None
        k = factor.shape[1] - self.has_bias
        self.factor, self.squares = factor[:, :k].copy(), squares.copy()
        self.bias = factor[:, k].copy() if self.has_bias else np.zeros_like(squares)

    def step(self, i, x, error, weight, rate, adapt):
        square, pull = x @ x, weight * error
        length = rate / np.sqrt(self.squares[i])
        self.squares[i] += adapt * pull**2 * square / len(x)
        decay = length * self.strength[i]
        step = length * pull / (1 + length * weight * (square + self.has_bias))
        moved = self.factor[i] + step * x
        moved = np.sign(moved) * np.maximum(np.abs(moved) - decay * self.l1, 0)
        self.factor[i] = np.maximum(moved / (1 + decay * self.ridge), self.lower)
        if self.has_bias:
            self.bias[i] = (self.bias[i] + step) / (1 + decay * self.bias_ridge)

    def result(self):
        factor = np.column_stack([self.factor, self.bias]) if self.has_bias else self.factor
        return factor, self.squares
