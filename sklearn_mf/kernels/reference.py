"""Every kernel in NumPy: the specification, the oracle of the tests, and the fallback.

Kernels take arrays and give arrays. They know no class, no loss and no penalty. The
compiled twins have the same names, arguments and results; ``n_threads`` is theirs, and
is ignored here. All floating arrays of one call share one dtype, float32 or float64;
``indptr`` and ``indices`` (CSR layout) share int32 or int64.
"""

import numpy as np
from scipy.linalg import cho_solve

from sklearn_mf.kernels.minimum_norm import pseudoinverses

# A system may be singular if a pivot, as a share of its diagonal, is less than so many rounding
# errors a coefficient, which grow as the least share of the pivots before shrinks.
SUSPICIOUS = 30


def max_threads():
    """Number of threads that these kernels use."""
    return 1


def solve_rows(entries, design, row_scale, ridge, n_threads):
    """Solve one weighted ridge regression a row, on the entries that the row stores.

    Row ``i`` minimises, over the entries ``p`` in ``indptr[i]:indptr[i + 1]``::

        1/2 sum_p weights[p] * (targets[p] - design[indices[p]] @ v)^2
          + 1/2 row_scale[i] * sum_c ridge[c] * v[c]^2

    Parameters
    ----------
    entries : tuple of (indptr, indices, targets, weights)
        Which rows of the design each row uses, in CSR layout, what they are to predict, and
        their non-negative weights, None for ones.
    design : C-ordered ndarray of shape (n_columns, k)
        The regressors.
    row_scale : ndarray of shape (n_rows,)
        What the penalty of each row is multiplied with.
    ridge : ndarray of shape (k,)
        Strength of the penalty of each coefficient: half its square times this.
    n_threads : int
        Threads of the compiled kernel.

    Returns
    -------
    solution : ndarray of shape (n_rows, k)
        One row of coefficients a row; meaningless where the status is not 0.
    status : ndarray of shape (n_rows,), int32
        0: solved; where entries are fewer than coefficients, by the shortest. 1: singular, or so
        near that this precision does not tell (see `minimum_norm.pseudoinverses`). -1: no memory.
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
    """Solve one weighted ridge regression a row, on the entries that are not NaN.

    As `solve_rows`, for targets in a dense array. The compiled kernel finds the normal
    equations of a row of which less than half is missing in ``gram``, less what is missing.

    Parameters
    ----------
    targets : ndarray of shape (n_rows, n_columns)
        What the design is to predict, in any memory order.
    weights : ndarray of shape (n_rows, n_columns) or None
        Non-negative weights; None for ones.
    offsets : ndarray of shape (n_columns,)
        Subtracted from the targets.
    design : C-ordered ndarray of shape (n_columns, k)
        The regressors.
    gram : C-ordered ndarray of shape (k, k) or None
        ``design.T @ design``, weighted, for a row that observes everything; None where the
        weights differ from row to row.
    row_scale : ndarray of shape (n_rows,)
        What the penalty of each row is multiplied with.
    ridge : ndarray of shape (k,)
        Strength of the penalty of each coefficient: half its square times this.
    n_threads : int
        Threads of the compiled kernel.

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
    """Normal equations by Cholesky; the status says where they may be singular."""
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
    """The shortest coefficients that explain all entries: a combination of their rows."""
    if weights is not None:
        root = np.sqrt(weights[weights > 0])
        rows, targets = root[:, None] * rows[weights > 0], root * targets[weights > 0]
    factor = cholesky(rows @ rows.T) if len(rows) else None
    if factor is None:
        return np.zeros(rows.shape[1]), 1
    return cho_solve((factor, True), targets, check_finite=False) @ rows, 0


def cholesky(gram, doubt=1.0):
    """Lower factor, or None where the matrix may be singular; the less doubt, the fewer."""
    try:
        factor = np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:
        return None
    return factor if is_sound(factor, gram, doubt * np.finfo(gram.dtype).eps) else None


def is_sound(factor, gram, eps):
    """Whether pivots are more than rounding error. A pivot and its diagonal have the same unit.

    Parameters
    ----------
    factor : ndarray of shape (..., k, k)
        Of Cholesky's factorization, lower.
    gram : ndarray of shape (..., k, k)
        What was factorized.
    eps : float
        Precision of the numbers that it was made of.

    Returns
    -------
    sound : ndarray of bool of shape (...)
        False where the matrix may be singular.
    """
    diagonal = np.diagonal(gram, axis1=-2, axis2=-1)
    shares = np.diagonal(factor, axis1=-2, axis2=-1) ** 2 / diagonal
    least = np.minimum.accumulate(shares, axis=-1)
    least = np.concatenate([np.ones_like(least[..., :1]), least[..., :-1]], axis=-1)
    return (shares * np.minimum(least, 1) > SUSPICIOUS * gram.shape[-1] * eps).all(axis=-1)


def refine_rows(entries, design, row_scale, ridge, start, reduction, n_threads):
    """Improve the rows that `solve_rows` would solve, by conjugate gradients.

    Parameters
    ----------
    entries : tuple of (indptr, indices, targets, weights)
        Which rows of the design each row uses, in CSR layout, what they are to predict, and
        their non-negative weights, None for ones.
    design : C-ordered ndarray of shape (n_columns, k)
        The regressors.
    row_scale : ndarray of shape (n_rows,)
        What the penalty of each row is multiplied with.
    ridge : ndarray of shape (k,)
        Strength of the penalty of each coefficient: half its square times this.
    start : C-ordered ndarray of shape (n_rows, k)
        Where to start.
    reduction : float
        A row stops when its residual is this share of what it was at the start, after k
        steps at the latest.
    n_threads : int
        Threads of the compiled kernel.

    Returns
    -------
    solution : ndarray of shape (n_rows, k)
        No row costs more than it did at the start; those without entries are zero.
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
    """Hestenes and Stiefel's method, until a share of the residual is left, or for some steps."""
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
    """Gram matrix and moments of every row on the entries that it stores.

    Parameters
    ----------
    entries : tuple of (indptr, indices, targets, weights)
        As in `solve_rows`.
    design : C-ordered ndarray of shape (n_columns, k)
        The regressors.
    n_threads : int
        Threads of the compiled kernel.

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
    """Improve rows by cyclic coordinate descent, the gradient kept up to date.

    Row ``i`` goes down in, for coefficients ``v[c] >= lower[c]``::

        1/2 v' gram v - moments[i] @ v
          + scale[i] * sum_c (1/2 ridge[c] * v[c]^2 + l1[c] * |v[c]|)

    Parameters
    ----------
    grams : C-ordered ndarray of shape (n_rows, k, k) or (1, k, k)
        The quadratic form of every row, or of all of them.
    moments : C-ordered ndarray of shape (n_rows, k)
        The linear form.
    penalty : tuple of (scale, ridge, l1, lower)
        Arrays of shape (n_rows,), (k,), (k,), (k,); bounds are zero or minus infinity.
    start : C-ordered ndarray of shape (n_rows, k)
        Where to start.
    tol : float
        A row stops after a round in which no coefficient moved by more than this share of the
        largest.
    max_rounds : int
        Rounds over the coefficients of a row at most.
    n_threads : int
        Threads of the compiled kernel.

    Returns
    -------
    solution : C-ordered ndarray of shape (n_rows, k)
        No row costs more than it did at the start. A coefficient of which nothing is known stays.
    violation : ndarray of shape (n_rows,)
        How far the start was from the minimum: the sum of the absolute values of what the first
        round found the gradient to be, where no bound holds it.
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
            # What no data and no ridge speak of stays: if zero, both factors might never leave it.
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


def settle_rows(grams, moments, penalty, start, n_threads):
    """Move the coefficients of rows that are not zero to where the objective is least.

    The objective is that of `descend_rows`. Zeros stay, but where neither bound nor absolute value
    holds them. A coefficient that would change its sign becomes zero on the way, and the others
    set out again (the inner loop of Lawson & Hanson 1974, :doi:`10.1137/1.9781611971217`). A row
    whose system is singular stays.

    Parameters
    ----------
    grams : C-ordered ndarray of shape (n_rows, k, k) or (1, k, k)
        The quadratic form of every row, or of all of them.
    moments : C-ordered ndarray of shape (n_rows, k)
        The linear form.
    penalty : tuple of (scale, ridge, l1, lower)
        As in `descend_rows`.
    start : C-ordered ndarray of shape (n_rows, k)
        Where to start.
    n_threads : int
        Threads of the compiled kernel.

    Returns
    -------
    solution : C-ordered ndarray of shape (n_rows, k)
        No row costs more than it did at the start, but for rounding error.
    """
    scale, ridge, l1, lower = penalty
    solution = np.array(start)
    held = (l1 > 0) | (lower == 0)
    for i, v in enumerate(solution):
        A = grams[i if len(grams) > 1 else 0] + np.diag(scale[i] * ridge)
        while True:
            free = np.flatnonzero(((v != 0) | ~held) & (np.diag(A) > 0))
            after = np.zeros_like(v)
            # Descent goes on from what is solved, so that a part of the digits is worth having.
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
    """How steep the cost of one coefficient is on the side to which it may move."""
    if v != 0:
        return abs(gradient + np.sign(v) * l1)
    return max(-gradient - l1, 0, gradient - l1 if lower < 0 else 0)


def least_squares_operator(rows, weights, ridge):
    """Solve a weighted ridge regression for every possible target at once.

    Serves rows that share their entries. Where many solutions are equally good, it is the one of
    least Euclidean norm.

    Parameters
    ----------
    rows : ndarray of shape (n_entries, k)
        The design at the observed entries.
    weights : ndarray of shape (n_entries,) or None
        Weights of the entries.
    ridge : ndarray of shape (k,)
        The penalty of each coefficient.

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
    # The design itself, not its square, tells small directions from rounding error.
    root = np.ones(len(rows)) if weights is None else np.sqrt(weights.astype(np.float64))
    stacked = np.vstack([root[:, None] * rows, np.diag(np.sqrt(ridge.astype(np.float64)))])
    (inverse,) = pseudoinverses(stacked[None], np.finfo(rows.dtype).eps)
    return np.ascontiguousarray((inverse[:, : len(rows)] * root).T, dtype=rows.dtype)


def values_at(indptr, indices, W, Ht, n_threads):
    """Model values ``W[i] @ Ht[j]`` at the stored entries (i, j).

    Parameters
    ----------
    indptr, indices : ndarray
        The entries, in CSR layout.
    W : ndarray of shape (n_rows, k)
        Row factors.
    Ht : ndarray of shape (n_columns, k)
        Column factors.
    n_threads : int
        Threads of the compiled kernel.

    Returns
    -------
    values : ndarray of shape (n_entries,)
        One value an entry, in the order of ``indices``.
    """
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    return np.einsum("pk,pk->p", W[rows], Ht[indices])


def sparse_times_dense(entries, offsets, row_offsets, dense, n_threads):
    """Product of a CSR matrix, centred and weighted where it stores something, and a tall one.

    Parameters
    ----------
    entries : tuple of (indptr, indices, data, weights)
        The sparse factor, in CSR layout, and what its entries are multiplied with, None for
        ones.
    offsets : ndarray of shape (n_columns,) or None
        Subtracted from the entries of each column.
    row_offsets : ndarray of shape (n_rows,) or None
        Subtracted from the entries of each row.
    dense : C-ordered ndarray of shape (n_columns, k)
        The dense factor.
    n_threads : int
        Threads of the compiled kernel.

    Returns
    -------
    product : C-ordered ndarray of shape (n_rows, k)
        Rows are summed in the order of ``indices``.
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
    """Product of a matrix and a narrow one.

    Parameters
    ----------
    A : ndarray of shape (n, m)
        Of any order; the compiled kernel is fast where it is C- or F-ordered.
    B : ndarray of shape (m, k)
        The narrow one.
    n_threads : int
        Threads of the compiled kernel.

    Returns
    -------
    product : C-ordered ndarray of shape (n, k)
        The same for any number of threads.
    """
    return A @ B


def sgd_epoch(entries, blocks, rows, columns, rate, adapt, n_threads):
    """Take one stochastic step an entry: its row moves, then its column.

    The model is ``W[i, :k] @ Ht[j, :k]`` and the biases, the last columns of the factors that
    have one. A row moves to where it minimises, h fixed::

        1/2 weight * (target - model)^2 + strength * penalty(w) + |w - before|^2 / (2 * length)

    but for its penalty, which follows by itself: ``shrink, then soft threshold, then bound`` in
    the order of the proximal operator. The length is ``rate / sqrt(squares)``, and the mean
    square of the gradient's coordinates is added to ``squares``. So no step overshoots.

    Parameters
    ----------
    entries : tuple of (rows, columns, targets, row_weights, column_weights)
        Where the entries are (int32), what they are to be, and what they count for their rows
        and for their columns, None for ones. Entries of a block are neighbours.
    blocks : tuple of (starts, strata)
        Entries ``starts[b]:starts[b + 1]`` are block b, which has the rows of group
        ``b // n_groups`` and the columns of group ``b % n_groups``. Each row of ``strata``, of
        shape (n_strata, n_groups), lists blocks that share no group; they are taken one row
        after the other. Both int64.
    rows, columns : tuple of (factor, squares, strength, penalty)
        Of either side the C-ordered factor, one accumulator a row, the strength of a row's
        penalty for each of its entries, and the penalty of a coefficient: a tuple of its ridge,
        its l1 penalty, its lower bound (0 or minus infinity), and the ridge of the bias, None
        where there is no bias.
    rate : float
        Length of the steps at squares of one.
    adapt : float
        What squared gradients are multiplied with before they are added: 1, or 0 for steps of
        a constant length.
    n_threads : int
        Threads of the compiled kernel.

    Returns
    -------
    rows, columns : tuple of (factor, squares)
        Where the steps ended, in new arrays.
    errors : ndarray of shape (n_blocks,)
        Sum of the squared errors of the entries of every block there, by ``column_weights``.
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
    """A factor that takes steps, its bias apart."""

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
