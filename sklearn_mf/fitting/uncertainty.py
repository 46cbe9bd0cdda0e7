"""How uncertain predicted entries are, given how uncertain the rows of both factors are.

A model value is ``left_i . right_j``. With independent rows of means l and r, covariances C and
D, its variance is ``r'C r + l'D l + trace(C D)``. For a row that is a ridge regression, C is
the noise variance times the inverse of the matrix of its normal equations (Salakhutdinov &
Mnih 2008, :doi:`10.1145/1390156.1390267`, whose Gibbs sampler draws from these distributions).
"""

import numpy as np

from sklearn_mf.fitting.stream import Past
from sklearn_mf.objective.problem import Problem
from sklearn_mf.systems import RowPenalty, RowSystems

# Numbers in the covariances of the entries that are looked at together.
CHUNK = 1 << 20


def entry_variances(left, right, rows, columns):
    """Variance of model values.

    Parameters
    ----------
    left, right : tuple of (means, covariances, which)
        Of the rows of either factor, which are samples and features: means of shape
        (n_rows, q), covariances of shape (n, q, q), and which of these each row has.
    rows, columns : ndarray of int of shape (n_entries,)
        Of which entries.

    Returns
    -------
    variances : ndarray of shape (n_entries,)
        Without the noise of the entries.
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
    """Of new observations of some entries.

    Parameters
    ----------
    past : Past
        What `fit` has left of its rows.
    problem : Problem
        The rows to predict entries of, in the unit, with the offset of the past.
    factors : tuple of two ndarrays
        Their codes and the features' factor, in the unit.
    cells : tuple of ndarray of int
        Rows and columns of the entries.
    error : float
        Root of the squared residuals of `fit`, in the unit.

    Returns
    -------
    std : ndarray of shape (n_entries,)
        In the unit.
    """
    W, Ht = factors
    Ht = Ht.astype(np.float64)
    stream = past.resumed(problem, Ht)
    left, right = (part.astype(np.float64) for part in problem.model_factors(W, Ht))
    columns = stream.column_systems(problem)
    noise = _noise_variance(problem, past, (right, columns), error)
    # Biases are the last columns: of the samples in W, of the features beside it.
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
    """Which covariance each row of a factor has: its own, or the one of all."""
    return np.arange(len(factor)) if len(covariance) > 1 else np.zeros(len(factor), dtype=np.intp)


def _noise_variance(problem: Problem, past, columns, error):
    """Squared residuals of `fit` per degree of freedom.

    All rows are taken to have as many entries as they have on average, which is exact where
    ``alpha_scaling`` is one, or nothing is penalized. Mixtures of the components that make
    the same model count once.
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
            f"return_std=True finds no noise: {past.n_entries:.0f} entries are no more than "
            f"n_components={problem.n_components} can fit. Lower n_components, or raise alpha_W."
        )
    return error**2 / free
