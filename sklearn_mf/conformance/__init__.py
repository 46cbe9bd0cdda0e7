"""Checks that losses, penalties, solvers and views of data must pass, including your own.

Each function checks an object and raises an `AssertionError` that names the first problem, as
:func:`sklearn.utils.estimator_checks.check_estimator` does for estimators. The package's own
losses, penalties and solvers are tested by the same functions.
"""

from sklearn_mf.conformance._loss import check_loss
from sklearn_mf.conformance._observations import check_observations
from sklearn_mf.conformance._penalty import check_penalty
from sklearn_mf.conformance._solver import check_solver

__all__ = ["check_loss", "check_observations", "check_penalty", "check_solver"]
