"""One form of the many factors that make the same model, so that codes mean the same.

A product W H stays what it is if an invertible matrix moves from one factor to the other, and if
a mean of the codes moves into the biases of the features. Where no penalty tells such factors
apart, or a ridge lets them turn, the solver's last ones are one choice of many. Every fit ends
in this one:

- without penalty components are orthonormal and codes centred, as far as there are biases that
  can take up their mean;
- with ridge penalties of both factors the penalties are least;
- codes are uncorrelated, ordered by the variance that they explain, and the entry of largest
  size in each component is positive.

On complete data under the squared loss this is principal component analysis. Nothing of the size
of the data is formed: the work is that of a QR factorization of each factor.
"""

from typing import NamedTuple

import numpy as np
from scipy import linalg

from sklearn_mf.objective.problem import Problem

# Share of the largest cost below which a direction of the components costs nothing.
COSTS_NOTHING = 1e-12
# Numbers of a factor that are looked at together.
CHUNK = 1 << 20
# Share by which entries of a component differ that are equally large but for rounding.
NEARLY = 1e-8


class Spectrum(NamedTuple):
    """How much of the data each component explains, as sums of squares.

    Attributes
    ----------
    squares : ndarray of shape (n_components,)
        Of the model values of each component, about their mean where features have biases.
    total : float
        Of the data about their biases; estimated from the observed entries if some are missing.
    """

    squares: np.ndarray
    total: float


def canonical(problem: Problem, W, Ht):
    """The factors in the one form, with the codes that `fold_in` finds.

    Parameters
    ----------
    problem : Problem
        If rotations change what its penalties are, the components stay as they are.
    W : ndarray of shape (n_rows, k) or None
        Codes that go with the components, about; None where nobody knows them.
    Ht : ndarray of shape (n_columns, k)
        Components.

    Returns
    -------
    W : ndarray of shape (n_rows, k)
        Codes, the fold-in at the components.
    Ht : ndarray of shape (n_columns, k)
        Components; those of columns without an entry stay zero.
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
    """Whether components may be of any length and mixture."""
    return problem.rows.penalty.is_free and problem.columns.penalty.is_free


def is_balanceable(problem: Problem):
    """Whether the penalties, squares of both factors, single out one form of the model."""
    sides = problem.rows.penalty, problem.columns.penalty
    return problem.is_quadratic and all(penalty.ridge > 0 for penalty in sides)


def spectrum_of(problem: Problem, W, Ht, error):
    """How much of the data the components explain.

    The residuals of the observed entries stand for those of all, and so do their products with
    the model: those are what the penalty of each row says, its code being a ridge regression.

    Parameters
    ----------
    problem : Problem
        The data.
    W : ndarray of shape (n_rows, k)
        Codes, the fold-in at the components.
    Ht : ndarray of shape (n_columns, k)
        Components.
    error : float
        Half the sum of squared residuals over the observed entries.

    Returns
    -------
    spectrum : Spectrum
        Sums of squares over all cells of rows and columns with an entry.
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
    """Signs that make the entry of largest size in each column positive, as `svd_flip` does.

    Of entries that are equally large up to rounding error it is the first: rounding would choose
    otherwise.

    Parameters
    ----------
    Ht : ndarray of shape (n_columns, k)
        Components.

    Returns
    -------
    signs : ndarray of shape (k,)
        1 or -1.
    """
    sizes = np.abs(Ht)
    nearly = 1 - max(NEARLY, 10 * float(np.finfo(Ht.dtype).eps))
    first = np.argmax(sizes >= nearly * sizes.max(axis=0, initial=0), axis=0)
    return np.where(Ht[first, np.arange(Ht.shape[1])] < 0, -1, 1).astype(Ht.dtype)


def least_costly(problem: Problem, gram, Ht, scale):
    """The features' factor in the form whose penalties are least, near to what it was.

    `Problem.balanced` scales components. Here all that leaves the model as it is can be chosen: a
    shift of the codes that the biases of the features take up, one of the components that those
    of the samples do, and a mixture of the components.

    Parameters
    ----------
    problem : Problem
        With ridge penalties of both factors.
    gram : ndarray of shape (q, q)
        Products of the rows ``(w, c, 1)`` of the left factor, as far as there are biases, weighted
        and summed as the rows' penalties are.
    Ht : ndarray of shape (n_columns, k)
        The features' factor.
    scale : ndarray of shape (n_columns,)
        Of the columns' penalties.

    Returns
    -------
    right : ndarray of shape (n_columns, k)
        The features' factor, mixed.
    change : ndarray of shape (q, q)
        What the rows of the left factor are to be multiplied with.
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
    """The shifts of `least_costly`: the features' factor, and the change of the left one."""
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
    """Of a symmetric system, which one of two penalties may make all but singular beside the other.

    A shift along what components do not see would be rounding error.
    """
    return np.linalg.lstsq(system, pull, rcond=None)[0]


def _cheapest(problem: Problem, W, Ht):
    """The components in the form whose penalties are least, for about these codes.

    The factors share the singular values of the model, as the penalties weigh it. Those are not
    taken from products of each factor with itself, which have half the digits.
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
    """Components that span the same space; as many are zero as others are mixtures of."""
    H, bias = problem.layout.split(Ht)
    H = H.astype(np.float64)
    if _takes_up(problem.rows):
        H[seen] -= H[seen].mean(axis=0)
    U, s, _ = linalg.svd(H, full_matrices=False)
    U[:, s <= max(U.shape) * np.finfo(Ht.dtype).eps * s[0]] = 0
    U[~seen] = 0
    return np.ascontiguousarray(np.hstack([U.astype(Ht.dtype), bias]))


def _centred(problem: Problem, W, Ht, weight, seen):
    """Codes less their mean, and sample biases less theirs; feature biases take them up."""
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
    """Factors turned until codes are uncorrelated, in the order of what they explain."""
    (codes, row_bias), (H, column_bias) = problem.layout.split(W), problem.layout.split(Ht)
    triangle = _triangle(codes, weight, _mean(problem, W, weight)[: codes.shape[1]])
    if not np.isfinite(triangle).all():
        return W, Ht  # codes without a finite best have no directions
    _, values, Vt = linalg.svd(triangle)
    turn = Vt.T.astype(W.dtype)
    codes, H = codes @ turn, H @ turn
    values = values * np.linalg.norm(H, axis=0)
    order = np.argsort(-values, kind="stable")
    H = H[:, order]
    signs = positive_signs(H)
    if problem.rows.penalty.is_free:  # what is beyond the rank of the data says so
        largest = max(len(W), len(Ht)) * np.finfo(W.dtype).eps * values.max(initial=0)
        signs[values[order] <= largest] = 0
    return (
        np.ascontiguousarray(np.hstack([codes[:, order] * signs, row_bias])),
        np.ascontiguousarray(np.hstack([H * signs, column_bias])),
    )


def _mean(problem: Problem, W, weight):
    """Mean of codes and biases where features have biases, else zero."""
    if not problem.columns.has_bias:
        return np.zeros(W.shape[1])
    return sum(weight[part] @ rows for part, rows in _parts(W)) / weight.sum()


def _triangle(factor, weight, mean=0.0):
    """R of the QR factorization of the rows of a factor, less a mean, each times its root weight.

    Few rows at a time, in double precision: it stands for all of them. Of fewer rows than columns
    zeros follow.
    """
    k = factor.shape[1]
    triangle = np.zeros((0, k))
    for part, rows in _parts(factor):
        rows = np.sqrt(weight[part])[:, None] * (rows - mean)
        triangle = np.linalg.qr(np.vstack([triangle, rows]), mode="r")
    return np.pad(triangle, ((0, k - len(triangle)), (0, 0)))


def _parts(factor):
    """Yield (slice of rows, these in double precision)."""
    step = max(1, CHUNK // factor.shape[1])
    for start in range(0, len(factor), step):
        part = slice(start, start + step)
        yield part, factor[part].astype(np.float64)


def _weight_of_rows(problem: Problem, is_free=False):
    """Weight of the rows that tell how codes are distributed: those with an entry.

    Without penalty those with enough entries to determine their codes, if there are any.
    """
    samples = problem.observations
    seen = (samples.row_totals() > 0) & (problem.row_weight > 0)
    if is_free and not samples.complete:
        enough = seen & (samples.n_in_row() >= min(problem.width, samples.shape[1]))
        seen = enough if enough.any() else seen
    return seen * problem.row_weight.astype(np.float64)


def _takes_up(side):
    """Whether the biases of a side are free to take up a mean."""
    return side.has_bias and side.bias_ridge == 0


def _mixture(row_cost, column_cost):
    """M that makes ``trace(M^-1 row_cost M^-T) + trace(M' column_cost M)`` least.

    ``M M'`` is the geometric mean of the first and the inverse of the second; of all M the
    symmetric one moves the components least. Directions of no cost keep their length.
    """
    if not (np.trace(row_cost) > 0 and np.trace(column_cost) > 0):
        return np.eye(len(row_cost))  # of codes of zeros the costs are rounding error
    row_cost = _power(row_cost, 1.0)
    root, inverse = _power(column_cost, 0.5), _power(column_cost, -0.5)
    return _power(inverse @ _power(root @ row_cost @ root, 0.5) @ inverse, 0.5)


def _power(matrix, exponent):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, COSTS_NOTHING * values[-1]) ** exponent) @ vectors.T
