"""scikit-learn's own checks, over solvers, biases, penalties and losses: no expected failure.

But one: the stochastic solver visits entries in an order that depends on how many rows there are,
and each visit changes what the next one sees. So a sample of weight two and the sample twice have
the same objective, not the same digits.
"""

from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_mf import NMF, MatrixFactorization, MiniBatchNMF, kernels
from sklearn_mf.losses import Absolute, Huber, Poisson, Quantile
from sklearn_mf.solvers import GradientDescent

KINDS = ["dense", "sparse"]
BIASES = [False, "features", "samples", "both"]
COMMON = {"max_iter": 1000, "random_state": 0}
# Corners are round enough for descents to end within these iterations.
LOSSES = [Huber(), Absolute(1.0), Quantile(0.7, 0.3), Poisson()]
TWO_LOSSES = [("squared", slice(0, 1)), ("huber", slice(1, None))]
ITERATIVE = ["gd", "adam", "lbfgs"]


def configurations():
    """Every solver over biases, penalties, constraints and losses that it serves."""
    if kernels.IMPLEMENTATION == "reference":
        # Loops in Python take hours for all of them; what they compute is tested elsewhere.
        for solver in ("als", "svd"):
            yield MatrixFactorization(solver=solver, bias="features", alpha_W=0.1, **COMMON)
        yield MatrixFactorization(positive=True, alpha_W=0.1, l1_ratio=0.5, **COMMON)
        return
    # At a rank as high as that of the data, minima are flat: no need to go to their bottom.
    flat = {"max_iter": 5000, "tol": 1e-2}
    yield NMF(**flat)
    yield NMF(3, alpha_W=0.1, l1_ratio=0.5, **flat)
    yield MiniBatchNMF(3, init="random", beta_loss=1, fresh_restarts=True, alpha_W=0.1, tol=1e-2)
    # Solvers, biases and penalties do not interact in what is checked: each pair is tried once.
    for solver, bias, alpha in [
        ("als", "samples", 0.0),
        ("als", "both", 0.1),
        ("svd", False, 0.1),
        ("svd", "features", 0.0),
        ("gd", "both", 0.0),
        ("adam", "both", 0.1),
        ("lbfgs", False, 0.0),
        ("sgd", "both", 0.1),
    ]:
        yield MatrixFactorization(solver=solver, bias=bias, alpha_W=alpha, **COMMON)
    for positive in (True, "H"):
        parameters = {"solver": "cd", "positive": positive, "alpha_W": 0.1, "random_state": 0}
        yield MatrixFactorization(**parameters, **flat)
    for solver, positive in [
        ("als", True),
        ("als", "W"),
        ("gd", "H"),
        ("lbfgs", True),
    ]:
        # Where nothing is signed, absolute values too; see test_lbfgs.py for the others.
        l1_ratio = 0.5 if positive is True else 0.0
        yield MatrixFactorization(
            solver=solver, positive=positive, alpha_W=0.1, l1_ratio=l1_ratio, **COMMON
        )
    for solver, loss in zip(ITERATIVE, LOSSES[:3], strict=True):
        yield MatrixFactorization(solver=solver, loss=loss, alpha_W=0.1, **COMMON)
    for loss in (Huber(), Poisson(), TWO_LOSSES):
        yield MatrixFactorization(loss=loss, alpha_W=0.1, **COMMON)
    solver = GradientDescent(momentum="auto", preconditioned=True)
    yield MatrixFactorization(solver=solver, alpha_W=0.1, **COMMON)


def expected_failures(estimator):
    if getattr(estimator, "solver", None) != "sgd":
        return {}
    reason = "Repeating a sample changes the order in which entries are visited."
    return {f"check_sample_weight_equivalence_on_{kind}_data": reason for kind in KINDS}


# F
@parametrize_with_checks(list(configurations()), expected_failed_checks=expected_failures)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
