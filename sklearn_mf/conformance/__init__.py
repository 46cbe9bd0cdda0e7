"""What a loss, a penalty, a solver or a view of data must satisfy, whoever wrote it.

Each function tries an object and raises an `AssertionError` that says what does not hold, as
:func:`sklearn.utils.estimator_checks.check_estimator` does of estimators. Those of the package
are tested by the same functions.
"""

from sklearn_mf.conformance._loss import check_loss
from sklearn_mf.conformance._observations import check_observations
from sklearn_mf.conformance._penalty import check_penalty
from sklearn_mf.conformance._solver import check_solver

__all__ = ["check_loss", "check_observations", "check_penalty", "check_solver"]
