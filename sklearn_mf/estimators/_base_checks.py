"""Errors and warnings about observations, in terms of the parameters of estimators."""

import numpy as np

from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.utils._warnings import EmptyFeatures, warn


def warn_of_empty_rows(observations: ObservedMatrix, mean_code=None):
    """Warn about rows without an observed entry, and say what their codes are."""
    empty = np.flatnonzero(observations.row_totals() == 0)
    if len(empty):
        codes = "zero" if mean_code is None else "the mean of the codes in fit"
        warn(
            f"{len(empty)} of {observations.shape[0]} samples have no observed entry, the "
            f"first is row {empty[0]}: their codes are {codes}.",
        )


def warn_of_empty_columns(observations: ObservedMatrix, expected="their components are zero"):
    """Warn about features without an observed entry, and say what is predicted for them."""
    empty = np.flatnonzero(observations.T.row_totals() == 0)
    if len(empty):
        warn(
            f"{len(empty)} of {observations.shape[1]} features have no observed entry, the "
            f"first is column {empty[0]}: {expected}.",
            EmptyFeatures,
        )


def what_is_expected(problem: Problem):
    """What the model predicts for features without an observed entry, in words."""
    if not problem.columns.penalty.is_rowwise:
        return "their components follow from the penalty alone"
    mean = "" if problem.rows.has_bias else ", and an overall mean is predicted for them"
    return f"their components are zero{mean}"


def check_observed(observations: ObservedMatrix):
    """Refuse data without any observed entry."""
    if observations.empty_rows().all() or not observations.T.row_totals().any():
        raise ValueError("X has no observed entry: all entries are missing or have weight 0.")


def check_positions(positions, name, size):
    if np.ma.is_masked(positions):
        raise ValueError(f"{name} has masked positions: every entry needs a row and a column.")
    positions = np.asarray(positions)
    if positions.size == 0:
        return np.zeros(0, dtype=np.int64)
    if positions.ndim != 1 or not np.issubdtype(positions.dtype, np.integer):
        raise ValueError(f"{name} must be a one-dimensional array of integers.")
    if not (positions.min() >= 0 and positions.max() < size):
        raise ValueError(f"{name} must lie in [0, {size}), the size of X on that side.")
    return positions.astype(np.int64)
