"""What a fit took is let go when it ends, not when Python looks for circles."""

import gc
import pickle
import weakref

import numpy as np
import pytest
from conftest import low_rank, punch_holes, store_observed
from sklearn.base import clone

from sklearn_mf import NMF, MatrixFactorization, MiniBatchNMF
from sklearn_mf.losses import Squared
from sklearn_mf.objective.problem import Problem, Side
from sklearn_mf.observations import observe
from sklearn_mf.penalties import Ridge

ESTIMATORS = {
    "als": MatrixFactorization(3, solver="als", alpha_W=0.1),
    "lbfgs": MatrixFactorization(3, solver="lbfgs", alpha_W=0.1, tol=1e-2),
    "sgd": MatrixFactorization(3, solver="sgd", alpha_W=0.1, tol=1e-1),
    "cd": NMF(3),
    "mu": NMF(3, solver="mu", beta_loss="kullback-leibler", tol=1e-2),
    "minibatches": MiniBatchNMF(3, batch_size=10, max_iter=2, tol=0, max_no_improvement=None),
}


@pytest.fixture
def no_search_for_circles():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_search_for_circles")
@pytest.mark.parametrize("layout", [np.array, store_observed])
@pytest.mark.parametrize(
    ("name", "method"),
    [(name, "fit") for name in ESTIMATORS]
    + [("als", "partial_fit"), ("minibatches", "partial_fit")],
)
def test_data_are_let_go(name, layout, method):
    model = clone(ESTIMATORS[name])
    X = layout(punch_holes(np.abs(low_rank())))
    data = X if isinstance(X, np.ndarray) else X.data
    if layout is store_observed:
        model.set_params(unstored="missing")
    fitted = getattr(model, method)(X)
    last = weakref.ref(data)
    del X, data
    assert last() is None
    assert fitted.components_.shape == (3, 20)


def test_each_is_the_others_twin_and_comes_alone():
    problem = Problem(observe(low_rank()), Squared(), Side(Ridge(0.1)), Side(Ridge(0.1)), 3)
    for one in (problem, problem.observations):
        assert one.T is one.T
        assert one.T.T is one
        alone = pickle.loads(pickle.dumps(one))
        assert alone.T.T is alone
    view = observe(low_rank()).T  # the other one is gone
    np.testing.assert_array_equal(view.T.values, low_rank())
