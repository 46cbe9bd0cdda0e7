"""A view of data that the package does not know: a product that is never formed."""

import inspect

import numpy as np
import pytest

from sklearn_mf.conformance import check_observations
from sklearn_mf.losses import Huber, Squared
from sklearn_mf.objective import Problem, Side
from sklearn_mf.observations import DenseObservations, ObservedMatrix, _base, observe
from sklearn_mf.penalties import Ridge
from sklearn_mf.solvers import ALS, LBFGS, GradientDescent
from sklearn_mf.starts.start import start


class ProductOfTwo(ObservedMatrix):
    """The complete matrix A B, of which some rows at a time are formed.

    Parameters
    ----------
    A : ndarray of shape (n_rows, r)
        Left factor.
    B : ndarray of shape (r, n_columns)
        Right factor.
    """

    def __init__(self, A, B, row_weight=None, column_weight=None):
        super().__init__((len(A), B.shape[1]), A.dtype, row_weight, column_weight, None)
        self.A, self.B = A, B

    def _transposed(self):
        return ProductOfTwo(self.B.T, self.A.T, self.column_weight, self.row_weight)

    def take(self, rows):
        weight = None if self.row_weight is None else self.row_weight[rows]
        return DenseObservations(self.A[rows] @ self.B, None, weight, self.column_weight)

    def times(self, factor):
        A = self.A * self.dtype.type(factor)
        return ProductOfTwo(A, self.B, self.row_weight, self.column_weight)


rng = np.random.default_rng(0)
A, B = rng.normal(size=(20, 4)), rng.normal(size=(4, 9))
WEIGHT = rng.integers(1, 4, 20).astype(float)


@pytest.mark.parametrize("entries", [1 << 19, 20], ids=["one block", "many blocks"])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_it_is_a_view(weight, entries, monkeypatch):
    monkeypatch.setattr(_base, "BLOCK_ENTRIES", entries)
    check_observations(ProductOfTwo(A, B, weight), A @ B, sample_weight=weight)


@pytest.mark.parametrize("loss", [Squared(), Huber(0.5)], ids=str)
@pytest.mark.parametrize("solver", [ALS(), GradientDescent(), LBFGS()], ids=str)
@pytest.mark.parametrize("has_bias", [False, True])
def test_solvers_need_not_know(solver, loss, has_bias):
    found = []
    for observations in (ProductOfTwo(A, B, WEIGHT), observe(A @ B, sample_weight=WEIGHT)):
        sides = Side(Ridge(0.05)), Side(Ridge(0.05), has_bias)
        problem = Problem(observations, loss, *sides, n_components=2)
        factors = start(problem, "svd", np.random.RandomState(0))
        state = solver.solve(problem, *factors, max_iter=20, tol=0)
        found.append((state.objective, problem.fold_in(state.Ht) @ state.Ht[:, :2].T))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


class HalfWritten(ObservedMatrix):
    def take(self, rows):
        return None


def test_what_is_left_out_is_named():
    with pytest.raises(TypeError, match=r"HalfWritten.*_transposed.*times"):
        HalfWritten((1, 1), np.dtype(float), None, None, None)


def test_what_only_blocks_answer_says_so():
    with pytest.raises(TypeError, match="ProductOfTwo is not a block: use model of its blocks"):
        ProductOfTwo(A, B).model(A, B.T)


def test_every_block_answers_what_blocks_do():
    view = ProductOfTwo(A, B)
    names = [n for n, f in vars(ObservedMatrix).items() if "raise self._no_block" in _source(f)]
    assert len(names) >= 7
    for block in (view.take(slice(0, 5)), view.stored()):
        assert all(getattr(type(block), name) is not vars(ObservedMatrix)[name] for name in names)


def _source(thing):
    return inspect.getsource(thing) if inspect.isfunction(thing) else ""


class Wrong(ProductOfTwo):
    def product(self, dense, offsets, row_offsets=0):
        return super().product(dense, offsets)


def test_a_wrong_answer_is_caught():
    with pytest.raises(AssertionError, match="product"):
        check_observations(Wrong(A, B), A @ B)
