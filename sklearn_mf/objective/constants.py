"""Constants that predict the data best: of each feature, and one for all entries."""

from dataclasses import replace

import numpy as np

from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.penalties import Ridge


def first_bias(problem: Problem):
    """Mean of each feature as a bias; zero where nothing is observed, or there is no bias."""
    samples = problem.observations
    bias = np.zeros(samples.shape[1], dtype=samples.dtype)
    if problem.columns.has_bias:
        seen = problem.T.observations.row_totals() > 0
        bias[seen] = (problem.loss.from_mean(column_means(samples)) - problem.offset)[seen]
    return bias


def column_means(observations: ObservedMatrix):
    """Mean of what is observed in each column; 0 where nothing is.

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
    """Model value of each column that costs least if it is all there is.

    Parameters
    ----------
    problem : Problem
        The data and the loss; its penalties do not matter.

    Returns
    -------
    constants : ndarray of shape (n_columns,)
        Under the squared loss the means, under that of a median the medians.
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
    """One model value for all observed entries, from which biases are counted."""
    samples, loss = problem.observations, problem.loss
    totals = samples.T.row_totals().astype(np.float64)
    if loss.fits_mean and loss.kinds is None:
        return float(loss.from_mean(np.dot(column_means(samples), totals) / totals.sum()))
    constants = column_constants(problem)
    if loss.kinds is None:
        return float(np.dot(constants, totals) / totals.sum())
    return _cheapest_constant(problem, constants, totals)


def with_offset(problem: Problem):
    """The problem, biases of samples being deviations from the mean of all observed entries."""
    if not problem.rows.has_bias:
        return problem
    return replace(problem, offset=overall_constant(problem))


def _cheapest_constant(problem: Problem, constants, totals):
    """Of all columns' mean constant, and those of the columns with one loss, what costs least.

    The mean of numbers and logarithms may be beyond what their losses can tell.
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
