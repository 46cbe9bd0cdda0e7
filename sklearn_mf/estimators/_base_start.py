"""Where a fit of MatrixFactorization starts: as `init` says, or from the last fit."""

from dataclasses import replace

import numpy as np

from sklearn_mf.fitting.solver import default_init
from sklearn_mf.objective.constants import first_bias
from sklearn_mf.objective.factor_model import FactorModel
from sklearn_mf.objective.problem import Problem
from sklearn_mf.starts.start import start, without_saddles, zeros
from sklearn_mf.utils._validation import check_complete


def first_factors(estimator, context, posed, random_state):
    """Factors to start from.

    Parameters
    ----------
    estimator : MatrixFactorization
        Its parameters are valid.
    context : tuple of (ndarray or CSR matrix, BaseSolver, ndarray or None)
        Validated X, who solves, and components that are known to be near, transposed, in the unit
        of the data.
    posed : tuple of (Problem, Unit, FactorModel or None)
        What is solved, its unit, and the model of the fit that this one goes on from.
    random_state : RandomState
        Source of random numbers.

    Returns
    -------
    W, Ht : ndarray
        In the unit.
    """
    X, solver, known = context
    problem, unit, model = posed
    if not solver.needs_start:
        if not isinstance(estimator.init, str):  # which is refused if it is wrong
            stated_init(estimator, (X, solver), unit, problem, random_state)
        return zeros(problem)
    if model is not None:
        factor = _last_factor(estimator.positive, replace(model, unit=unit), problem)
        return start(problem, without_saddles(problem, factor, random_state), random_state)
    init = stated_init(estimator, (X, solver), unit, problem, random_state)
    is_auto = isinstance(estimator.init, str) and estimator.init == "auto"
    if known is not None and is_auto and solver.init == "svd":
        init = unit.inside(known, problem.n_components)
    return start(problem, init, random_state)


def stated_init(estimator, context, unit, problem: Problem, random_state):
    """The name of a start, or the features' factor to start from, transposed.

    Parameters
    ----------
    estimator : MatrixFactorization
        Its parameters are valid.
    context : tuple of (ndarray or CSR matrix, BaseSolver)
        Validated X, and who solves.
    unit : Unit
        Of the problem.
    problem : Problem
        What is solved.
    random_state : RandomState
        For an ``init`` that can be called.

    Returns
    -------
    init : str or ndarray of shape (n_features, n_components)
        In the unit.
    """
    (X, solver), init = context, estimator.init
    if isinstance(init, str):
        return default_init(problem, solver) if init == "auto" else init
    name = "init"
    if callable(init):
        init, name = init(X, problem.n_components, random_state), "what the callable init returned"
    H = _checked(check_complete(init, name, dtype=X.dtype), name, problem, estimator.positive)
    return unit.inside(H.T, problem.n_components)


def _checked(H, name, problem: Problem, positive):
    expected = (problem.n_components, problem.observations.shape[1])
    if H.shape != expected:
        raise ValueError(f"{name} has the shape {H.shape}, it must be {expected}.")
    if problem.columns.penalty.positive and H.min() < 0:
        raise ValueError(
            f"{name} has negative values, but positive={positive!r} does not allow them."
        )
    return H


def _last_factor(positive, model: FactorModel, problem: Problem):
    """The features' factor of the last fit; new features are zero, or at their mean."""
    dtype, unit = problem.observations.dtype, model.unit
    H, bias = model.components, model.feature_bias
    H = np.pad(
        H.astype(dtype, copy=False), ((0, 0), (0, problem.observations.shape[1] - len(bias)))
    )
    name = "warm_start=True: components_ of the last fit"
    Ht = _checked(check_complete(H, name, dtype=dtype), name, problem, positive).T
    Ht = unit.inside(Ht, problem.n_components)
    if not problem.columns.has_bias:
        return Ht
    biases = first_bias(problem)
    biases[: len(bias)] = bias / unit.size - problem.offset
    return np.column_stack([Ht, biases])
