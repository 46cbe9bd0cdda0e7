"""Scores of predictions of hidden entries: R^2, or D^2 for other losses."""

from dataclasses import replace

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from sklearn_mf.fitting.threads import threads_for
from sklearn_mf.objective.constants import column_constants
from sklearn_mf.objective.factor_model import FactorModel
from sklearn_mf.objective.problem import Problem
from sklearn_mf.utils._hiding import hiding_stream
from sklearn_mf.utils._threads import quiet_products
from sklearn_mf.utils._warnings import warn

# Fraction of the observed entries of each row that are hidden, and the seed that selects them.
HIDDEN_SHARE, HIDDEN_SEED = 0.2, 0


def explained_share(error, baseline):
    """Return R^2 or D^2: 1 for perfect predictions, 0 if they are no better than constants.

    Parameters
    ----------
    error : float
        Loss of the model.
    baseline : float
        Loss of the constants.

    Returns
    -------
    share : float
        The score ``1 - error / baseline``.
    """
    return 1 - error / baseline if baseline > 0 else float(error <= baseline)


def score_of_hidden_entries(problem: Problem, model: FactorModel):
    """Return the R^2 or D^2 of hidden entries, a fraction of each row.

    Parameters
    ----------
    problem : Problem
        The rows, in the unit of the model.
    model : FactorModel
        The model to be scored.

    Returns
    -------
    score : float
        The score; NaN, with a warning, if nothing can be hidden or compared.
    """
    problem, Ht = model.fixed(problem)
    observations, loss = problem.observations, problem.loss
    with threads_for(observations):
        constants = column_constants(problem)[:, None]
    in_column = observations.T.n_in_row()
    rng = hiding_stream(HIDDEN_SEED)
    error = baseline = n_hidden = 0
    comparable = False
    for _, block in observations.blocks():
        visible, hidden = block.split(HIDDEN_SHARE, rng)
        with threads_for(visible), quiet_products():
            W = model.solve(replace(problem, observations=visible), Ht)
            error += hidden.total_loss(*problem.model_factors(W, Ht), loss)
        ones = np.ones((block.shape[0], 1), dtype=block.dtype)
        baseline += hidden.total_loss(ones, constants, loss)
        n_hidden += hidden.n_observed
        comparable |= bool(hidden.T.n_in_row()[in_column > 1].any())
    if not comparable:
        why = "no row of X has two observed entries, so none can be hidden"
        if n_hidden:
            why = "no hidden entry has another observed entry in its column for comparison"
        warn(f"score is not defined: {why}. Score more rows at once.", UndefinedMetricWarning)
        return float("nan")
    # If predictions overflow, the score is minus infinity.
    return explained_share(np.inf if np.isnan(error) else error, baseline)
