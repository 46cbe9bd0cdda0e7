"""Uncertainty of predicted entries from the uncertainties of the rows of both factors.

A model value is ``left_i . right_j``. If the rows are independent with means l and r and
covariances C and D, its variance is ``r'C r + l'D l + trace(C D)``. For a row that is a ridge
regression, C is the noise variance times the inverse of the matrix of its normal equations
(Salakhutdinov & Mnih 2008, :doi:`10.1145/1390156.1390267`, whose Gibbs sampler draws from these
distributions).
"""

import numpy as np

from sklearn_mf.fitting.stream import Past
from sklearn_mf.objective.problem import Problem
from sklearn_mf.systems import RowPenalty, RowSystems

# Number of floats in the covariances of entries that are processed together.
CHUNK = 1 << 20


def entry_variances(left, right, rows, columns):
    """Return the variances of model values.

    Parameters
    ----------
    left, right : tuple of (means, covariances, which)
        For the rows of either factor (samples and features): means of shape (n_rows, q),
        covariances of shape (n, q, q), and the index of the covariance of each row.
    rows, columns : ndarray of int of shape (n_entries,)
        Row and column of each entry.

    Returns
    -------
    variances : ndarray of shape (n_entries,)
        The variances, without the noise of the entries.
    """
    left, left_covariances, which_left = left
    right, right_covariances, which_right = right
    variances = np.empty(len(rows))
    step = max(1, CHUNK // left.shape[1] ** 2)
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        i, j = rows[part], columns[part]
        l_i, C = left[i], left_covariances[which_left[i]]
        r_j, D = right[j], right_covariances[which_right[j]]
        of_row = np.einsum("nk,nk->n", (C @ r_j[:, :, None])[:, :, 0], r_j)
        of_column = np.einsum("nk,nk->n", (D @ l_i[:, :, None])[:, :, 0], l_i)
        variances[part] = of_row + of_column + np.einsum("nkl,nkl->n", C, D)
    return variances


def standard_deviations(past: Past, problem: Problem, factors, cells, error):
    """Return the standard deviations of new observations of some entries.

    Parameters
    ----------
    past : Past
        The summary of `fit`.
    problem : Problem
        The problem of the rows, in the unit, with the offset of the summary.
    factors : tuple of two ndarrays
        The codes of the rows and the factor of the features, in the unit.
    cells : tuple of ndarray of int
        Rows and columns of the entries.
    error : float
        Root of the sum of squared residuals of `fit`, in the unit.

    Returns
    -------
    std : ndarray of shape (n_entries,)
        The standard deviations, in the unit.
    """
    W, Ht = factors
    Ht = Ht.astype(np.float64)
    stream = past.resumed(problem, Ht)
    left, right = (part.astype(np.float64) for part in problem.model_factors(W, Ht))
    columns = stream.column_systems(problem)
    noise = _noise_variance(problem, past, (right, columns), error)
    # Biases are the last columns: that of the samples in W, that of the features after it.
    width, q = problem.width, left.shape[1]
    rows = problem.row_systems(Ht.astype(problem.observations.dtype))
    C, D = np.zeros((len(rows.grams), q, q)), np.zeros((len(columns.grams), q, q))
    C[:, :width, :width] = rows.covariances(noise, past.moment[:width, :width])
    free = [*range(problem.n_components), q - 1][: columns.grams.shape[1]]
    prior = (right.T @ right / len(right))[np.ix_(free, free)]
    D[np.ix_(range(len(D)), free, free)] = columns.covariances(noise, prior)
    sides = (left, C, _numbers(C, left)), (right, D, _numbers(D, right))
    return np.sqrt(noise + entry_variances(*sides, *cells))


def _numbers(covariance, factor):
    """Return the index of the covariance of each row: its own one, or a common one."""
    return np.arange(len(factor)) if len(covariance) > 1 else np.zeros(len(factor), dtype=np.intp)


def _noise_variance(problem: Problem, past, columns, error):
    """Return the squared residuals of `fit` per degree of freedom.

    All rows are assumed to have the average number of entries. This is exact if ``alpha_scaling``
    is one, or without penalties. Mixtures of the components that give the same model are counted
    once.
    """
    right, systems = columns
    of_columns = systems.degrees_of_freedom()
    of_columns = of_columns.sum() * (len(right) / len(of_columns))
    design = right[:, : problem.width]
    n_in_row = past.n_entries / past.n_rows
    gram = (design.T * past.totals) @ design / past.n_rows
    scale = np.array([n_in_row**problem.alpha_scaling])
    penalty = RowPenalty.of_ridge(scale, problem.row_penalty.ridge.astype(np.float64))
    of_row = float(
        RowSystems(gram[None], np.zeros((1, len(gram))), penalty).degrees_of_freedom()[0]
    )
    free = past.n_entries - past.n_rows * of_row - of_columns + of_row**2
    if free < 1:
        raise ValueError(
            f"return_std=True cannot estimate the noise: {past.n_entries:.0f} observed entries are "
            f"not more than n_components={problem.n_components} can fit. Decrease n_components, or "
            "increase alpha_W."
        )
    return error**2 / free
