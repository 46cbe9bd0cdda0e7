"""Sparse data beside a background of zeros: the same as a dense table with entry weights."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import random_csr
from scipy import sparse

from sklearn_mf import kernels
from sklearn_mf.kernels import reference_prior
from sklearn_mf.losses import Huber, Squared
from sklearn_mf.objective.problem import Problem, Side
from sklearn_mf.observations import BackgroundObservations, observe
from sklearn_mf.penalties import ElasticNet
from sklearn_mf.solvers import ALS
from sklearn_mf.systems import RowPenalty, SharedBasis

BACKGROUND = 0.1
DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def both_views(dtype=np.float64, shape=(40, 30), weighted=True, seed=0):
    """The same data as a background with corrections, and as a dense table with weights."""
    rng = np.random.default_rng(seed)
    X = random_csr(shape, 0.3, rng, dtype)
    X.data[:] = 1
    extra = (rng.random(X.nnz) + 0.5).astype(dtype)
    row_weight = None
    if weighted:
        row_weight = (rng.random(shape[0]) + 0.2).astype(dtype)
        row_weight[3] = 0
    weights = sparse.csr_array((extra, X.indices, X.indptr), shape).toarray() + dtype(BACKGROUND)
    one = BackgroundObservations.of_entries(X, extra, BACKGROUND, row_weight)
    return one, observe(X.toarray(), entry_weight=weights, sample_weight=row_weight)


def close(dtype, loose=1.0):
    return {
        "rtol": loose * (1e-9 if dtype == np.float64 else 2e-3),
        "atol": 1e-9 * loose + (1e-3 if dtype == np.float32 else 0),
    }


@DTYPES
@pytest.mark.parametrize("side", ["rows", "columns"])
def test_sums_are_those_of_the_dense_table(dtype, side):
    one, other = both_views(dtype)
    if side == "columns":
        one, other = one.T, other.T
    rng = np.random.default_rng(1)
    dense = rng.normal(size=(one.shape[1], 4)).astype(dtype)
    offsets = rng.normal(size=one.shape[1]).astype(dtype)
    row_offsets = rng.normal(size=one.shape[0]).astype(dtype)
    for name in ("row_totals", "column_sums", "n_in_row"):
        np.testing.assert_allclose(getattr(one, name)(), getattr(other, name)(), rtol=1e-5)
    for name in ("typical_size", "total_squares"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-5)
    for args in ((dense, offsets, row_offsets), (dense, 0 * offsets)):
        np.testing.assert_allclose(one.product(*args), other.product(*args), **close(dtype))
    W = rng.normal(size=(one.shape[0], 4)).astype(dtype)
    for loss in (Squared(), Huber(delta=0.5)):
        expected = other.total_loss(W, dense, loss)
        np.testing.assert_allclose(one.total_loss(W, dense, loss), expected, rtol=1e-5)
        for found, expected in zip(
            one.loss_and_gradient(W, dense, loss),
            other.loss_and_gradient(W, dense, loss),
            strict=True,
        ):
            np.testing.assert_allclose(found, expected, **close(dtype))


@DTYPES
@pytest.mark.parametrize(
    "penalty",
    [
        ElasticNet(0.3, 0.0),
        ElasticNet(0.0, 0.0),
        ElasticNet(0.3, 0.2),
        ElasticNet(0.3, 0.0, positive=True),
    ],
)
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("k", [1, 5, 29])
def test_rows_are_those_of_the_dense_table(dtype, penalty, has_bias, k):
    one, other = both_views(dtype)
    side = Side(penalty, has_bias, bias_ridge=0.1)
    rng = np.random.default_rng(2)
    for view, dense in ((one, other), (one.T, other.T)):
        problem = Problem(view, Squared(), side, side, k, offset=0.2 * has_bias)
        Ht = rng.normal(size=(view.shape[1], problem.T.width)).astype(dtype)
        found = problem.fold_in(Ht)
        expected = replace(problem, observations=dense).fold_in(Ht)
        if k < 29:
            np.testing.assert_allclose(found, expected, **close(dtype))
        # Of nearly singular rows the cost is what precision tells.
        cost = replace(problem, observations=dense).value(expected, Ht)
        assert replace(problem, observations=dense).value(found, Ht) <= cost * (1 + 1e-4)
        expected = replace(problem, observations=dense).value(found, Ht)
        np.testing.assert_allclose(problem.value(found, Ht), expected, rtol=1e-5, atol=1e-3)


def test_a_free_bias_beside_penalized_components():
    one, other = both_views()
    penalized, free = Side(ElasticNet(0.3, 0.0)), Side(ElasticNet(0.3, 0.0), True, bias_ridge=0.0)
    problem = Problem(one, Squared(), penalized, free, 4)
    W = np.random.default_rng(0).normal(size=(40, 4))
    expected = replace(problem, observations=other).T.fold_in(W)
    np.testing.assert_allclose(problem.T.fold_in(W), expected, rtol=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_components_that_are_zero_or_alike_leave_the_shortest_rows(alpha):
    one, other = both_views()
    side = Side(ElasticNet(alpha, 0.0))
    Ht = np.random.default_rng(0).normal(size=(30, 5))
    Ht[:, 1], Ht[:, 2] = 0, Ht[:, 0]
    problem = Problem(one, Squared(), side, side, 5)
    expected = replace(problem, observations=other).fold_in(Ht)
    np.testing.assert_allclose(problem.fold_in(Ht), expected, rtol=1e-6, atol=1e-8)


@DTYPES
def test_confidence_of_a_billion_is_solved(dtype):
    rng = np.random.default_rng(0)
    X = random_csr((20, 15), 0.4, rng, dtype)
    X.data[:] = 1
    extra = np.full(X.nnz, 1e9, dtype)
    one = BackgroundObservations.of_entries(X, extra, 1.0)
    problem = Problem(one, Squared(), Side(ElasticNet(1e-6, 0.0)), Side(ElasticNet(1e-6, 0.0)), 3)
    Ht = rng.normal(size=(15, 3)).astype(dtype)
    wide = replace(problem, observations=one.in_double())
    weights = one.take(slice(0, 20)).weights.astype(np.float64)
    for i, row in enumerate(problem.fold_in(Ht)):
        ridge = 1e-6 * wide.penalty_scale[i] * np.eye(3)
        H = Ht.astype(np.float64)
        expected = np.linalg.solve(
            (H.T * weights[i]) @ H + ridge, (H.T * weights[i]) @ X.toarray()[i].astype(np.float64)
        )
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-6)


@DTYPES
def test_alternation_is_that_of_the_dense_table(dtype):
    one, other = both_views(dtype)
    side = Side(ElasticNet(0.05, 0.0))
    problem = Problem(one, Squared(), side, side, 4)
    Ht = np.random.default_rng(3).normal(size=(30, 4)).astype(dtype)
    W = np.zeros((40, 4), dtype)
    curves = [
        ALS(inner="cholesky").solve(part, W, Ht, max_iter=10, tol=0).history
        for part in (problem, replace(problem, observations=other))
    ]
    np.testing.assert_allclose(*curves, rtol=1e-9 if dtype == np.float64 else 1e-4)


def test_no_value_or_column_of_it_depends_on_the_unit():
    one, other = both_views()
    np.testing.assert_allclose(one.times(3.0).total_squares, 9 * other.total_squares)


def test_what_is_held_out_becomes_background():
    one, _ = both_views(weighted=False)
    held_out = one.hold_out(0.2, np.random.default_rng(0))
    hidden = held_out.hidden.matrix(held_out.hidden.values).toarray()
    visible = held_out.visible.take(slice(0, 40))
    whole = one.take(slice(0, 40))
    np.testing.assert_allclose(visible.values + hidden, whole.values)
    at = hidden > 0
    assert 0.1 < at.sum() / whole.values.sum() < 0.3
    np.testing.assert_allclose(visible.weights[at], BACKGROUND)
    np.testing.assert_allclose(held_out.hidden.weights, whole.weights[at])


# The basis and the kernels --------------------------------------------------------------------


@pytest.mark.parametrize("ridge", [[0.3, 0.3, 0.3, 0.3], [0.3, 0.3, 0.3, 0.0], [0.0] * 4])
def test_gram_matrix_and_ridge_are_diagonal_in_the_shared_basis(ridge):
    rng = np.random.default_rng(0)
    H = rng.normal(size=(20, 4))
    scale = rng.random(7) + 0.5
    basis = SharedBasis.of(H.T @ H, rng.normal(size=4), RowPenalty.of_ridge(scale, np.array(ridge)))
    for s in scale:
        turned = basis.vectors.T @ (H.T @ H + s * np.diag(ridge)) @ basis.vectors
        expected = np.diag(basis.prior.gram + s * basis.prior.ridge)
        np.testing.assert_allclose(turned, expected, atol=1e-10)
    rows = rng.normal(size=(5, 4))
    np.testing.assert_allclose(basis.outside(basis.inside(rows)), rows)


def prior_rows(dtype, index, k, with_moments=True, n_rows=60, n_columns=80):
    rng = np.random.default_rng(k)
    X = random_csr((n_rows, n_columns), 0.5, rng)
    X = X.multiply(rng.random(X.shape) < rng.random((n_rows, 1))).tocsr()
    entries = (
        X.indptr.astype(index),
        X.indices.astype(index),
        rng.normal(size=X.nnz).astype(dtype),
        (rng.random(X.nnz) + 0.1).astype(dtype),
    )
    sizes = {"moments": k, "gram": k, "scale": n_rows, "ridge": k}
    prior = {name: rng.random(size).astype(dtype) + dtype(0.1) for name, size in sizes.items()}
    prior["moments"] *= with_moments
    return entries, rng.normal(size=(n_columns, k)).astype(dtype), tuple(prior.values())


@DTYPES
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("k", [1, 7, 33])
@pytest.mark.parametrize("with_moments", [False, True])
def test_rows_with_a_prior_are_those_of_the_reference(dtype, index, k, with_moments):
    args = prior_rows(dtype, index, k, with_moments)
    found, status = kernels.solve_prior_rows(*args, 2)
    expected, _ = reference_prior.solve_prior_rows(*args, 1)
    assert found.dtype == dtype
    assert not status.any()
    np.testing.assert_allclose(found, expected, **close(dtype))
    np.testing.assert_array_equal(found, kernels.solve_prior_rows(*args, 1)[0])


@DTYPES
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("k", [1, 7, 33])
@pytest.mark.parametrize("with_moments", [False, True])
@pytest.mark.parametrize(
    ("name", "accuracy"),
    [
        ("refine_prior_rows", (0.1, 100)),
        ("refine_prior_rows", (0.0, 2)),
        ("descend_prior_rows", 5),
        ("descend_prior_rows", 16),
        ("descend_prior_rows", 64),
    ],
)
def test_improved_rows_with_a_prior_are_those_of_the_reference(
    dtype, index, k, with_moments, name, accuracy
):
    start = np.random.default_rng(4).normal(size=(60, k)).astype(dtype)
    args = *prior_rows(dtype, index, k, with_moments), start, accuracy
    before = start.copy()
    found, status = getattr(kernels, name)(*args, 2)
    expected, _ = getattr(reference_prior, name)(*args, 1)
    assert not status.any()
    np.testing.assert_allclose(found, expected, **close(dtype, loose=10))
    np.testing.assert_array_equal(found, getattr(kernels, name)(*args, 1)[0])
    np.testing.assert_array_equal(start, before)


@pytest.mark.parametrize("name", ["refine_prior_rows", "descend_prior_rows"])
def test_improved_rows_arrive_at_the_solution(name):
    entries, design, prior = prior_rows(np.float64, np.int32, 12)
    expected, _ = kernels.solve_prior_rows(entries, design, prior, 1)
    rows = np.zeros_like(expected)
    for _ in range(100):
        accuracy = (1e-12, 100) if name == "refine_prior_rows" else 5
        rows, _ = getattr(kernels, name)(entries, design, prior, rows, accuracy, 1)
    np.testing.assert_allclose(rows, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", ["background", "dense", "holed", "zero-filled", "stored"])
@pytest.mark.parametrize("inner", ["cg", "blocks"])
def test_every_way_of_alternation_ends_at_the_same_minimum(kind, inner):
    one, other = both_views()
    table = other.values
    side = Side(ElasticNet(0.3, 0.0), has_bias=True, bias_ridge=0.3)
    observations = {
        "background": one,
        "dense": observe(table),
        "holed": other,
        "zero-filled": observe(sparse.csr_array(table)),
        "stored": observe(sparse.csr_array(table), unstored="missing"),
    }[kind]
    problem = Problem(observations, Squared(), side, side, 4)
    Ht = np.random.default_rng(3).normal(size=(30, 5))
    W = np.zeros((40, 5))
    exact, found = (
        ALS(inner=how, block_size=2).solve(problem, W, Ht, max_iter=1000, tol=1e-12).objective
        for how in ("cholesky", inner)
    )
    assert found == pytest.approx(exact, rel=1e-5)
