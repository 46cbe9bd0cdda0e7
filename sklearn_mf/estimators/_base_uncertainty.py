"""From fitted factors to the standard deviations of entries."""

from dataclasses import replace

import numpy as np

from sklearn_mf.fitting.stream import Past
from sklearn_mf.fitting.uncertainty import entry_variances
from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.systems import RowPenalty, RowSystems


def standard_deviations(estimator, observations: ObservedMatrix, W, cells):
    """Of new observations of some entries.

    Parameters
    ----------
    estimator : BaseFactorization
        Fitted.
    observations : ObservedMatrix
        Rows to predict entries of.
    W : ndarray of shape (n_rows, n_features_out)
        Their codes.
    cells : tuple of ndarray of int
        Rows and columns of the entries.

    Returns
    -------
    std : ndarray of shape (n_entries,)
        Standard deviations.
    """
    past = getattr(estimator, "_stream", None)
    if not estimator.loss_.is_squared:
        raise ValueError("return_std=True needs loss='squared': other losses have no noise.")
    if not isinstance(past, Past):
        raise ValueError(
            f"return_std=True: of its rows this {type(estimator).__name__} keeps too little to "
            "know. Use MatrixFactorization, and fit instead of partial_fit."
        )
    k, unit = estimator.n_components_, estimator._unit
    problem = estimator._problem(observations, estimator.loss_, k)
    problem = replace(unit.problem(problem), offset=past.offset)
    Ht = estimator._factor_so_far(problem, unit).astype(np.float64)
    stream = past.resumed(problem, Ht)
    factors = problem.model_factors(unit.inside(W, k), Ht)
    left, right = (part.astype(np.float64) for part in factors)
    columns = stream.column_systems(problem)
    noise = _noise_variance(estimator, problem, past, (right, columns))
    # Biases are the last columns: of the samples in W, of the features beside it.
    width, q = problem.width, left.shape[1]
    rows = problem.row_systems(Ht.astype(observations.dtype))
    C, D = np.zeros((len(rows.grams), q, q)), np.zeros((len(columns.grams), q, q))
    C[:, :width, :width] = rows.covariances(noise, past.moment[:width, :width])
    free = [*range(problem.n_components), q - 1][: columns.grams.shape[1]]
    prior = (right.T @ right / len(right))[np.ix_(free, free)]
    D[np.ix_(range(len(D)), free, free)] = columns.covariances(noise, prior)
    sides = (left, C, _numbers(C, left)), (right, D, _numbers(D, right))
    std = unit.size * np.sqrt(noise + entry_variances(*sides, *cells))
    return std.astype(observations.dtype)


def _numbers(covariance, factor):
    """Which covariance each row of a factor has: its own, or the one of all."""
    return np.arange(len(factor)) if len(covariance) > 1 else np.zeros(len(factor), dtype=np.intp)


def _noise_variance(estimator, problem: Problem, past, columns):
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
    return (estimator.reconstruction_err_ / estimator._unit.size) ** 2 / free
