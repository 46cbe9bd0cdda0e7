"""The canonical form of the factors, which makes components and codes comparable.

The product W H does not change if an invertible matrix is moved from one factor to the other, or if
the mean of the codes is moved into the biases of the features. Without penalties the objective is
the same for all such factors, and under ridge penalties for all rotations, so the result of a
solver is only one of many. Every fit ends with the following choice:

- without penalties, the components are orthonormal, and the codes are centered if there are
    biases that can absorb their mean;
- with ridge penalties on both factors, the penalties are as small as possible;
- the codes are uncorrelated and ordered by the variance that they explain, and the largest entry
    of each component in absolute value is positive.

For complete data under the squared loss, this is principal component analysis. No array of the size
of the data is formed: the cost is that of a QR factorization of each factor.
"""

from typing import NamedTuple

import numpy as np
from scipy import linalg

from sklearn_mf.objective.problem import Problem

# A direction of the components is free if its cost is below this fraction of the largest cost.
COSTS_NOTHING = 1e-12
# Number of floats of a factor that are processed together.
CHUNK = 1 << 20
# Relative difference between entries of a component that are equal up to rounding errors.
NEARLY = 1e-8


class Spectrum(NamedTuple):
    """The sums of squares that the components explain.

    Attributes
    ----------
    squares : ndarray of shape (n_components,)
        Sums of squares of the model values of each component, about their mean if there are feature
        biases.
    total : float
        Sum of squares of the data about the biases, extrapolated to missing entries.
    """

    squares: np.ndarray
    total: float


def canonical(problem: Problem, W, Ht):
    """Return the factors in the canonical form, with the codes computed by `fold_in`.

    Parameters
    ----------
    problem : Problem
        The problem. If its penalties are not invariant to rotations, the components do not change.
    W : ndarray of shape (n_rows, k) or None
        Approximate codes for these components; None if they are not known.
    Ht : ndarray of shape (n_columns, k)
        Factor of the features, with the components.

    Returns
    -------
    W : ndarray of shape (n_rows, k)
        Codes, computed by the fold-in at the components.
    Ht : ndarray of shape (n_columns, k)
        Components in the canonical form. Those of columns without entries stay zero.
    """
    if not problem.is_turnable:
        return problem.fold_in(Ht), Ht
    is_free = is_unpenalized(problem)
    seen = problem.T.observations.row_totals() > 0
    if is_free:
        Ht = _orthonormal(problem, Ht, seen)
    elif is_balanceable(problem):
        Ht = _cheapest(problem, problem.fold_in(Ht) if W is None else W, Ht)
    W = problem.fold_in(Ht)
    weight = _weight_of_rows(problem, is_free)
    if is_free:
        W, Ht = _centred(problem, W, Ht, weight, seen)
    return _turned(problem, W, Ht, weight)


def is_unpenalized(problem: Problem):
    """Return whether neither scales nor mixtures of the components are penalized."""
    return problem.rows.penalty.is_free and problem.columns.penalty.is_free


def is_balanceable(problem: Problem):
    """Return whether both penalties are squared, so that they determine the form of the model."""
    sides = problem.rows.penalty, problem.columns.penalty
    return problem.is_quadratic and all(penalty.ridge > 0 for penalty in sides)


def spectrum_of(problem: Problem, W, Ht, error):
    """Return the sums of squares that the components explain.

    The residuals of the observed entries represent those of all entries. Their products with the
    model follow from the penalty of each row, because the codes are ridge regressions.

    Parameters
    ----------
    problem : Problem
        The problem.
    W : ndarray of shape (n_rows, k)
        Codes, computed by the fold-in at the components.
    Ht : ndarray of shape (n_columns, k)
        Factor of the features, with the components.
    error : float
        Half the sum of squared residuals of the observed entries.

    Returns
    -------
    spectrum : Spectrum
        Sums of squares over all entries in rows and columns with an observed entry.
    """
    samples = problem.observations
    codes, H = problem.layout.components(W), problem.layout.components(Ht)
    weight = _weight_of_rows(problem)
    triangle = _triangle(codes, weight, _mean(problem, W, weight)[: codes.shape[1]])
    squares = np.sum(triangle**2, axis=0)
    squares *= np.sum(np.square(H, dtype=np.float64), axis=0)
    totals = samples.T.row_totals().astype(np.float64)
    left = 2 * error
    if problem.loss.is_squared and not problem.rows.penalty.is_elastic:
        slope = problem.layout.components(problem.factor_penalty.slope(W))
        per_row = np.einsum("ik,ik->i", codes, slope, dtype=np.float64)
        left += 2 * float(problem.row_weight @ per_row)
    elif problem.loss.is_squared and problem.rows.penalty.ridge:
        per_row = np.einsum("ik,ik->i", codes, codes, dtype=np.float64)
        left += 2 * problem.rows.penalty.ridge * float(problem.weighted_scale @ per_row)
    all_cells = weight.sum() * np.count_nonzero(totals)
    return Spectrum(squares, squares.sum() + left * all_cells / totals.sum())


def positive_signs(Ht):
    """Return signs that make the largest entry of each column positive, as `svd_flip` does.

    If several entries are equally large up to rounding errors, the first one is used, so that the
    signs do not depend on rounding.

    Parameters
    ----------
    Ht : ndarray of shape (n_columns, k)
        Factor of the features, with the components.

    Returns
    -------
    signs : ndarray of shape (k,)
        Signs, 1 or -1.
    """
    sizes = np.abs(Ht)
    nearly = 1 - max(NEARLY, 10 * float(np.finfo(Ht.dtype).eps))
    first = np.argmax(sizes >= nearly * sizes.max(axis=0, initial=0), axis=0)
    return np.where(Ht[first, np.arange(Ht.shape[1])] < 0, -1, 1).astype(Ht.dtype)


def least_costly(problem: Problem, gram, Ht, scale):
    """Return the factor of the features in the form with the smallest penalties.

    `Problem.balanced` only rescales components. This function considers all changes that leave the
    model unchanged: a shift of the codes absorbed by the biases of the features, a shift of the
    components absorbed by the biases of the samples, and a mixture of the components. It chooses
    the smallest change.
    of the samples do, and a mixture of the components.

    Parameters
    ----------
    problem : Problem
        A problem with ridge penalties on both factors.
    gram : ndarray of shape (q, q)
        Gram matrix of the rows ``(w, c, 1)`` of the left factor (c and 1 only if there are biases),
        weighted by the scales of the rows' penalties.
    Ht : ndarray of shape (n_columns, k)
        Factor of the features.
    scale : ndarray of shape (n_columns,)
        Scale of the penalty of each column.

    Returns
    -------
    right : ndarray of shape (n_columns, k)
        The new factor of the features.
    change : ndarray of shape (q, q)
        The matrix by which the rows of the left factor must be multiplied.
    """
    k = problem.n_components
    right, change = _shifted(problem, gram, Ht, scale)
    row_cost = problem.rows.penalty.ridge * (change @ gram @ change.T)[:k, :k]
    H = right[:, :k]
    mix = _mixture(row_cost, problem.columns.penalty.ridge * (H.T * scale) @ H)
    right[:, :k] = H @ mix
    change[:k] = np.linalg.solve(mix, change[:k])
    return right, change


def _shifted(problem: Problem, gram, Ht, scale):
    """Return the shifts of `least_costly`: the new right factor, and the change of the left one."""
    k = problem.n_components
    row_ridge, column_ridge = problem.rows.penalty.ridge, problem.columns.penalty.ridge
    H, right, change = Ht[:, :k], Ht.copy(), np.eye(len(gram))
    if problem.columns.has_bias:
        price = problem.columns.bias_ridge
        pull = row_ridge * gram[:k, -1] - price * (H.T * scale) @ Ht[:, k]
        system = row_ridge * gram[-1, -1] * np.eye(k) + price * (H.T * scale) @ H
        shift = _least_solution(system, pull)
        right[:, k] += H @ shift
        change[:k, -1] = -shift
    if problem.rows.has_bias:
        price = problem.rows.bias_ridge
        moved = change @ gram @ change.T
        pull = price * moved[:k, k] - column_ridge * scale @ H
        system = column_ridge * scale.sum() * np.eye(k) + price * moved[:k, :k]
        shift = _least_solution(system, pull)
        right[:, :k] += shift
        change[k] -= shift @ change[:k]
    return right, change


def _least_solution(system, pull):
    """Solve a symmetric system that is nearly singular if one penalty is much smaller.

    Minimum-norm solutions avoid shifts along directions that consist of rounding errors.
    """
    return np.linalg.lstsq(system, pull, rcond=None)[0]


def _cheapest(problem: Problem, W, Ht):
    """Return the components in the form with the smallest penalties, for approximate codes.

    The singular values of the model, weighted by the penalties, are divided between the factors.
    They are not computed from Gram matrices, which have only half the digits.
    """
    k = problem.n_components
    codes = _triangle(problem.layout.left(W), problem.weighted_scale)
    scale = problem.T.penalty_scale.astype(np.float64)
    right, change = _shifted(problem, codes.T @ codes, Ht.astype(np.float64), scale)
    right[~Ht.any(axis=1)] = 0
    codes = np.sqrt(problem.rows.penalty.ridge) * (codes @ change.T)[:, :k]
    root = np.sqrt(problem.columns.penalty.ridge * scale)
    basis, components = np.linalg.qr(root[:, None] * right[:, :k])
    _, values, Vt = linalg.svd(codes @ components.T)
    values[values <= max(problem.observations.shape) * np.finfo(Ht.dtype).eps * values[0]] = 0
    H = basis @ (Vt.T * np.sqrt(values))
    seen = root > 0
    right[seen, :k] = H[seen] / root[seen, None]
    return right.astype(Ht.dtype)


def _orthonormal(problem: Problem, Ht, seen):
    """Return orthonormal components that span the same space; redundant ones become zero."""
    H, bias = problem.layout.split(Ht)
    H = H.astype(np.float64)
    if _takes_up(problem.rows):
        H[seen] -= H[seen].mean(axis=0)
    U, s, _ = linalg.svd(H, full_matrices=False)
    U[:, s <= max(U.shape) * np.finfo(Ht.dtype).eps * s[0]] = 0
    U[~seen] = 0
    return np.ascontiguousarray(np.hstack([U.astype(Ht.dtype), bias]))


def _centred(problem: Problem, W, Ht, weight, seen):
    """Center codes and sample biases, and add their means to the feature biases."""
    if not _takes_up(problem.columns):
        return W, Ht
    k = problem.n_components
    mean = _mean(problem, W, weight).astype(W.dtype)
    if problem.rows.has_bias and not _takes_up(problem.rows):
        mean[k] = 0
    Ht = Ht.copy()
    Ht[seen, k] += Ht[seen, :k] @ mean[:k] + mean[k:].sum()
    return W - mean, Ht


def _turned(problem: Problem, W, Ht, weight):
    """Rotate the factors so that the codes are uncorrelated and ordered by explained variance."""
    (codes, row_bias), (H, column_bias) = problem.layout.split(W), problem.layout.split(Ht)
    triangle = _triangle(codes, weight, _mean(problem, W, weight)[: codes.shape[1]])
    if not np.isfinite(triangle).all():
        return W, Ht  # codes that are not finite have no directions
    _, values, Vt = linalg.svd(triangle)
    turn = Vt.T.astype(W.dtype)
    codes, H = codes @ turn, H @ turn
    values = values * np.linalg.norm(H, axis=0)
    order = np.argsort(-values, kind="stable")
    H = H[:, order]
    signs = positive_signs(H)
    if problem.rows.penalty.is_free:  # components beyond the rank of the data become zero
        largest = max(len(W), len(Ht)) * np.finfo(W.dtype).eps * values.max(initial=0)
        signs[values[order] <= largest] = 0
    return (
        np.ascontiguousarray(np.hstack([codes[:, order] * signs, row_bias])),
        np.ascontiguousarray(np.hstack([H * signs, column_bias])),
    )


def _mean(problem: Problem, W, weight):
    """Return the mean of codes and biases if there are feature biases, otherwise zero."""
    if not problem.columns.has_bias:
        return np.zeros(W.shape[1])
    return sum(weight[part] @ rows for part, rows in _parts(W)) / weight.sum()


def _triangle(factor, weight, mean=0.0):
    """Return R of the QR factorization of the weighted and centered rows of a factor.

    The rows are processed in chunks and in double precision. If there are fewer rows than columns,
    R is padded with zeros.
    """
    k = factor.shape[1]
    triangle = np.zeros((0, k))
    for part, rows in _parts(factor):
        rows = np.sqrt(weight[part])[:, None] * (rows - mean)
        triangle = np.linalg.qr(np.vstack([triangle, rows]), mode="r")
    return np.pad(triangle, ((0, k - len(triangle)), (0, 0)))


def _parts(factor):
    """Yield slices of rows, and these rows in double precision."""
    step = max(1, CHUNK // factor.shape[1])
    for start in range(0, len(factor), step):
        part = slice(start, start + step)
        yield part, factor[part].astype(np.float64)


def _weight_of_rows(problem: Problem, is_free=False):
    """Return the weights of the rows that determine the distribution of the codes.

    These are the rows with an observed entry. Without penalties, they are the rows with enough
    entries to determine their codes, if there are any.
    """
    samples = problem.observations
    seen = (samples.row_totals() > 0) & (problem.row_weight > 0)
    if is_free and not samples.complete:
        enough = seen & (samples.n_in_row() >= min(problem.width, samples.shape[1]))
        seen = enough if enough.any() else seen
    return seen * problem.row_weight.astype(np.float64)


def _takes_up(side):
    """Return whether the biases of a side can absorb a mean without a penalty."""
    return side.has_bias and side.bias_ridge == 0


def _mixture(row_cost, column_cost):
    """Return the M that minimizes ``trace(M^-1 row_cost M^-T) + trace(M' column_cost M)``.

    ``M M'`` is the geometric mean of the first matrix and the inverse of the second one. Among all
    solutions the symmetric M changes the components least. Directions without cost are not scaled.
    """
    if not (np.trace(row_cost) > 0 and np.trace(column_cost) > 0):
        return np.eye(len(row_cost))  # for zero codes, the costs are rounding errors
    row_cost = _power(row_cost, 1.0)
    root, inverse = _power(column_cost, 0.5), _power(column_cost, -0.5)
    return _power(inverse @ _power(root @ row_cost @ root, 0.5) @ inverse, 0.5)


def _power(matrix, exponent):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, COSTS_NOTHING * values[-1]) ** exponent) @ vectors.T
