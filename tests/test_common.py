"""scikit-learn's own checks, over solvers, biases and penalties, with no expected failure.

But one: the stochastic solver visits entries in an order that depends on how many rows there are,
and each visit changes what the next one sees. So a sample of weight two and the sample twice have
the same objective, not the same digits.
"""

from itertools import product

from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_mf import MatrixFactorization
from sklearn_mf.utils.discovery import all_losses, all_solvers

KINDS = ["dense", "sparse"]
BIASES = [False, "features", "samples", "both"]


def configurations():
    """Every solver x bias x {alpha 0, alpha > 0} that the solver serves, and every loss."""
    for (solver, _), bias, alpha in product(all_solvers(), BIASES, [0.0, 0.1]):
        if solver == "svd" and bias in ("samples", "both"):
            continue  # refused, see test_validation.py
        yield MatrixFactorization(
            solver=solver, bias=bias, alpha_W=alpha, max_iter=1000, random_state=0
        )
    for loss, _ in all_losses():
        if loss not in ("squared", "logistic"):  # which was above, and whose data are binary
            yield MatrixFactorization(loss=loss, alpha_W=0.1, max_iter=1000, random_state=0)


def expected_failures(estimator):
    if estimator.solver != "sgd":
        return {}
    reason = "Repeating a sample changes the order in which entries are visited."
    return {f"check_sample_weight_equivalence_on_{kind}_data": reason for kind in KINDS}


@parametrize_with_checks(list(configurations()), expected_failed_checks=expected_failures)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
