"""The constants that predict the data best: one for each feature, or one for all entries."""

from dataclasses import replace

import numpy as np

from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.penalties import Ridge


def first_bias(problem: Problem):
    """Return the mean of each feature as a bias; zero without observed entries or a bias."""
    samples = problem.observations
    bias = np.zeros(samples.shape[1], dtype=samples.dtype)
    if problem.columns.has_bias:
        seen = problem.T.observations.row_totals() > 0
        bias[seen] = (problem.loss.from_mean(column_means(samples)) - problem.offset)[seen]
    return bias


def column_means(observations: ObservedMatrix):
    """Return the mean of the observed entries in each column; 0 if there are none.

    Parameters
    ----------
    observations : ObservedMatrix
        The data.

    Returns
    -------
    means : ndarray of shape (n_columns,)
        Weighted means.
    """
    totals = observations.T.row_totals()
    sums = observations.column_sums().astype(observations.dtype)
    return np.divide(sums, totals, out=np.zeros_like(sums), where=totals > 0)


def column_constants(problem: Problem):
    """Return the best constant model value of each column.

    Parameters
    ----------
    problem : Problem
        The data and the loss; the penalties are not used.

    Returns
    -------
    constants : ndarray of shape (n_columns,)
        The constants: means under the squared loss, medians under the absolute loss.
    """
    samples = problem.observations
    if problem.loss.fits_mean:
        return problem.loss.from_mean(column_means(samples))
    free = Ridge(0.0)
    alone = replace(
        problem,
        rows=replace(problem.rows, penalty=free, has_bias=False),
        columns=replace(problem.columns, penalty=free, has_bias=True, bias_ridge=0.0),
        n_components=0,
        offset=0.0,
    )
    return alone.T.fold_in(np.zeros((samples.shape[0], 0), dtype=samples.dtype))[:, 0]


def overall_constant(problem: Problem):
    """Return the best constant model value of all observed entries, the offset of biases."""
    samples, loss = problem.observations, problem.loss
    totals = samples.T.row_totals().astype(np.float64)
    if loss.fits_mean and loss.kinds is None:
        return float(loss.from_mean(np.dot(column_means(samples), totals) / totals.sum()))
    constants = column_constants(problem)
    if loss.kinds is None:
        return float(np.dot(constants, totals) / totals.sum())
    return _cheapest_constant(problem, constants, totals)


def with_offset(problem: Problem):
    """Return the problem with an offset: sample biases are deviations from the overall mean."""
    if not problem.rows.has_bias:
        return problem
    return replace(problem, offset=overall_constant(problem))


def _cheapest_constant(problem: Problem, constants, totals):
    """Return the best of several constants: the mean over all columns, or over those of one loss.

    The mean of model values on different scales, such as numbers and logarithms, may be too large
    for some losses.
    """
    samples, loss = problem.observations, problem.loss
    groups = [np.full(len(totals), True), *(loss.kinds == kind for kind in np.unique(loss.kinds))]
    ones = np.ones((samples.shape[0], 1), dtype=samples.dtype)
    means, costs = [], []
    for group in groups:
        if totals[group].any():
            means.append(np.average(constants[group], weights=totals[group]))
            model = np.full((samples.shape[1], 1), means[-1], dtype=samples.dtype)
            with np.errstate(over="ignore", invalid="ignore"):
                costs.append(samples.total_loss(ones, model, loss))
    return float(means[np.argmin(np.nan_to_num(costs, nan=np.inf))])
