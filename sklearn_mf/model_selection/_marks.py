"""The value with which an estimator expects missing entries to be marked."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from sklearn_mf.utils._validation import Real, is_nan


def mark_of(estimator):
    """Return the `missing_values` of an estimator, for code that hides entries of its X.

    It is the parameter of the estimator itself, in a pipeline that of the first step that has one,
    and in other meta-estimators that of the estimators inside them.

    Parameters
    ----------
    estimator : estimator
        A factorization, an imputer, or a composition of them.

    Returns
    -------
    mark : float
        The mark; NaN if no estimator has such a parameter.

    Raises
    ------
    ValueError
        If entries of X cannot be hidden: the mark of a pipeline is not NaN and its steps before the
        imputer would change it, estimators in parallel have different marks, or a mark is not a
        number.
    """
    mark = _mark_of(estimator)
    return np.nan if mark is None or is_nan(mark) else mark


def _mark_of(estimator):
    """Return a mark, or None if no estimator has one."""
    if not hasattr(estimator, "get_params"):
        return None
    parameters = estimator.get_params(deep=False)
    if "missing_values" in parameters:
        mark = parameters["missing_values"]
        if not (isinstance(mark, Real) or is_nan(mark)):
            raise ValueError(
                f"Entries of X cannot be hidden from {type(estimator).__name__} with "
                f"missing_values={mark!r}, which is not a number. Use NaN, or a number."
            )
        return mark
    if isinstance(estimator, Pipeline):
        return _mark_of_steps(estimator)
    marks = [mark for child in _children(parameters) if (mark := _mark_of(child)) is not None]
    if any(not _same(mark, marks[0]) for mark in marks):
        raise ValueError(
            f"Entries of X cannot be hidden from {type(estimator).__name__}, whose estimators have "
            f"different missing_values: {marks}. Use the same value for all of them."
        )
    return marks[0] if marks else None


def _mark_of_steps(pipeline):
    before = None
    for name, step in pipeline.steps:
        if step is None or step == "passthrough":
            continue
        mark = _mark_of(step)
        if mark is None:
            before = before or name
            continue
        if before is not None and not is_nan(mark):
            raise ValueError(
                f"Entries of X cannot be hidden from a pipeline whose step {name!r} has "
                f"missing_values={mark!r}: the step {before!r} before it has no missing_values, "
                "and would treat the mark as a value. Mark missing entries by NaN."
            )
        return mark
    return None


def _children(parameters):
    """Yield the estimators among parameters, also in the lists of composed estimators."""
    for value in parameters.values():
        if isinstance(value, BaseEstimator):
            yield value
        elif isinstance(value, list | tuple):
            for item in value:
                if isinstance(item, tuple):
                    yield from (part for part in item if isinstance(part, BaseEstimator))


def _same(a, b):
    return a == b or (is_nan(a) and is_nan(b))
