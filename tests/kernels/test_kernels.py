"""The compiled kernels against their reference, the reference against NumPy and SciPy."""

import numpy as np
import pytest
from scipy import linalg, sparse
from sklearn.linear_model import Ridge

from sklearn_mf import kernels
from sklearn_mf.kernels import reference

DTYPES = [np.float32, np.float64]
INDICES = [np.int32, np.int64]


def system(dtype=np.float64, index=np.int64, k=5, n_rows=40, n_columns=30):
    """Sparse rows, one of them empty and one full, and a design for them."""
    rng = np.random.default_rng(0)
    X = np.where(rng.random((n_rows, n_columns)) < 0.4, rng.random((n_rows, n_columns)), 0)
    X[3] = 0
    X[4] = rng.random(n_columns)
    X = sparse.csr_array(X.astype(dtype))
    design = rng.normal(size=(n_columns, k)).astype(dtype)
    weights = rng.random(X.nnz).astype(dtype)
    return X, X.indptr.astype(index), X.indices.astype(index), weights, design


def close(dtype):
    return {"rtol": 1e-3, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-11}


def test_the_kernels_in_use_are_named():
    assert kernels.IMPLEMENTATION in ("compiled", "reference")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_solve_rows_equals_reference(dtype, index, n_threads, weighted):
    X, indptr, indices, weights, design = system(dtype, index)
    ridge = np.linspace(0.1, 1, len(indptr) - 1).astype(dtype)
    shares = np.array([1, 1, 1, 1, 0], dtype=dtype)
    arguments = ((indptr, indices, X.data, weights if weighted else None), design, ridge, shares)
    solution, status = kernels.solve_rows(*arguments, n_threads)
    expected, expected_status = reference.solve_rows(*arguments, 1)
    assert solution.dtype == dtype
    np.testing.assert_array_equal(status, expected_status)
    np.testing.assert_allclose(solution[status == 0], expected[status == 0], **close(dtype))


@pytest.mark.parametrize("order", ["C", "F", "neither"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (300, 70, 19), (517, 33, 8), (5, 0, 3), (40, 7, 0)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dense_times_dense_is_numpys(dtype, shape, order):
    rng = np.random.default_rng(0)
    n, depth, k = shape
    A = rng.normal(size=(n, depth)).astype(dtype)
    A = np.repeat(A, 2, axis=1)[:, ::2] if order == "neither" else np.array(A, order=order)
    B = rng.normal(size=(depth, k)).astype(dtype)
    found = kernels.dense_times_dense(A, B, 1)
    assert found.dtype == dtype
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, A @ B, **close(dtype))
    np.testing.assert_array_equal(found, kernels.dense_times_dense(A, B, 2))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("missing", [0.02, 0.4, 0.8])
@pytest.mark.parametrize("dtype", DTYPES)
def test_solve_dense_rows_equals_reference(dtype, missing, weighted, order):
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(30, 305)).astype(dtype)
    targets[rng.random(targets.shape) < missing] = np.nan
    targets[2] = np.nan
    targets = np.array(targets, order=order)
    design, offsets = rng.normal(size=(305, 4)).astype(dtype), rng.normal(size=305).astype(dtype)
    weight = rng.random(305).astype(dtype) if weighted else np.ones(305, dtype)
    weights = np.broadcast_to(weight, targets.shape) if weighted else None
    gram = design.T @ (design * weight[:, None])
    ridge, shares = np.linspace(0.1, 1, 30).astype(dtype), np.ones(4, dtype)
    for known in (gram, None):
        arguments = (targets, weights, offsets, design, known, ridge, shares)
        solution, status = kernels.solve_dense_rows(*arguments, 2)
        expected, expected_status = reference.solve_dense_rows(*arguments, 1)
        assert solution.dtype == dtype
        np.testing.assert_array_equal(status, expected_status)
        np.testing.assert_allclose(solution, expected, **close(dtype))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_very_long_rows_equal_scipys_solution(n_threads, weighted):
    rng = np.random.default_rng(0)
    lengths = np.array([20_000, 5, 300_000])  # two segments at a time, and more than a round
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    indices = np.concatenate([np.sort(rng.choice(300_000, n, replace=False)) for n in lengths])
    design, targets = rng.normal(size=(300_000, 3)), rng.normal(size=lengths.sum())
    weights = rng.random(len(targets)) if weighted else None
    solution, status = kernels.solve_rows(
        (indptr, indices, targets, weights), design, np.full(3, 0.5), np.ones(3), n_threads
    )
    assert not status.any()
    for i in range(3):
        entries = slice(indptr[i], indptr[i + 1])
        rows = design[indices[entries]]
        weighed = rows * (weights[entries, None] if weighted else 1)
        expected = linalg.solve(weighed.T @ rows + 0.5 * np.eye(3), weighed.T @ targets[entries])
        np.testing.assert_allclose(solution[i], expected, rtol=1e-9, atol=1e-12)


def test_solve_rows_is_weighted_ridge_regression():
    X, indptr, indices, weights, design = system()
    ridge = np.full(len(indptr) - 1, 0.7)
    solution, _ = kernels.solve_rows(
        (indptr, indices, X.data, weights), design, ridge, np.ones(5), 1
    )
    for i in (0, 4, 11):
        entries = slice(indptr[i], indptr[i + 1])
        expected = Ridge(alpha=0.7, fit_intercept=False).fit(
            design[indices[entries]], X.data[entries], sample_weight=weights[entries]
        )
        np.testing.assert_allclose(solution[i], expected.coef_, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("k", [1, 3, 64, 130])
def test_solve_rows_over_ranks_and_more_entries_than_a_block(k):
    rng = np.random.default_rng(0)
    X = sparse.csr_array(rng.normal(size=(3, 700)))
    design, ridge = rng.normal(size=(700, k)), np.full(3, 0.5)
    solution, status = kernels.solve_rows(
        (X.indptr, X.indices, X.data, None), design, ridge, np.ones(k), 2
    )
    expected = np.linalg.solve(design.T @ design + 0.5 * np.eye(k), design.T @ X.toarray().T).T
    assert not status.any()
    np.testing.assert_allclose(solution, expected, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("solve", [kernels.solve_rows, reference.solve_rows])
def test_singular_rows_are_reported(solve):
    design = np.array([[1.0, 1.0], [2.0, 2.0], [0.0, 1.0]])
    indptr, indices = np.array([0, 2, 4, 4]), np.array([0, 1, 1, 2])
    _, status = solve((indptr, indices, np.ones(4), None), design, np.zeros(3), np.ones(2), 1)
    np.testing.assert_array_equal(status, [1, 0, 1])


@pytest.mark.parametrize("unit", [1e-12, 1e12])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("solve", [kernels.solve_rows, reference.solve_rows])
def test_regressors_may_have_units_of_their_own(solve, dtype, unit):
    rng = np.random.default_rng(0)
    design, targets = rng.normal(size=(6, 2)).astype(dtype), rng.normal(size=6).astype(dtype)
    expected = np.linalg.lstsq(design, targets)[0]
    design[:, 1] *= unit
    entries = np.array([0, 6]), np.arange(6), targets, None
    solution, status = solve(entries, design, np.zeros(1, dtype), np.ones(2, dtype), 1)
    np.testing.assert_array_equal(status, [0])
    np.testing.assert_allclose(solution[0] * [1, unit], expected, **close(dtype))


def test_least_squares_operator_is_the_pseudoinverse_where_singular():
    design = np.random.default_rng(0).normal(size=(8, 2)) @ np.ones((2, 4))
    operator = kernels.least_squares_operator(design, None, np.zeros(4))
    np.testing.assert_allclose(operator, np.linalg.pinv(design).T, atol=1e-12)


def test_least_squares_operator_is_weighted_ridge_regression():
    rng = np.random.default_rng(0)
    design, weights, target = rng.normal(size=(9, 3)), rng.random(9), rng.normal(size=9)
    solution = target @ kernels.least_squares_operator(design, weights, np.full(3, 0.2))
    expected = Ridge(alpha=0.2, fit_intercept=False).fit(design, target, sample_weight=weights)
    np.testing.assert_allclose(solution, expected.coef_, rtol=1e-10)


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_at_equals_the_dense_product(dtype, index):
    X, indptr, indices, _, design = system(dtype, index)
    W = np.random.default_rng(1).normal(size=(X.shape[0], 5)).astype(dtype)
    expected = (W @ design.T)[X.nonzero()]
    for module in (kernels, reference):
        values = module.values_at(indptr, indices, W, design, 2)
        assert values.dtype == dtype
        np.testing.assert_allclose(values, expected, **close(dtype))


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_sparse_times_dense_equals_scipy(dtype, index):
    X, indptr, indices, _, design = system(dtype, index)
    for module in (kernels, reference):
        product = module.sparse_times_dense((indptr, indices, X.data, None), None, None, design, 2)
        assert product.dtype == dtype
        np.testing.assert_allclose(product, X @ design, **close(dtype))


@pytest.mark.parametrize("module", [kernels, reference])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("by_row", [False, True])
@pytest.mark.parametrize("by_column", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_sparse_times_dense_centres_and_weighs_what_is_stored(
    dtype, by_column, by_row, weighted, module
):
    X, indptr, indices, weights, design = system(dtype)
    rng = np.random.default_rng(1)
    offsets = rng.normal(size=X.shape[1]).astype(dtype) if by_column else None
    row_offsets = rng.normal(size=X.shape[0]).astype(dtype) if by_row else None
    rows, columns = X.nonzero()
    values = X.data - (offsets[columns] if by_column else 0) - (row_offsets[rows] if by_row else 0)
    values *= weights if weighted else 1
    expected = sparse.csr_array((values, (rows, columns)), shape=X.shape) @ design
    entries = (indptr, indices, X.data, weights if weighted else None)
    product = module.sparse_times_dense(entries, offsets, row_offsets, design, 2)
    assert product.dtype == dtype
    np.testing.assert_allclose(product, expected, **close(dtype))


def test_kernels_give_the_same_bits_for_any_number_of_threads():
    X, indptr, indices, weights, design = system(n_rows=500, n_columns=200, k=8)
    ridge, shares = np.full(500, 0.1), np.ones(8)
    rows = [
        kernels.solve_rows((indptr, indices, X.data, weights), design, ridge, shares, n)[0]
        for n in (1, 2, 3)
    ]
    products = [
        kernels.sparse_times_dense((indptr, indices, X.data, None), None, None, design, n)
        for n in (1, 2, 3)
    ]
    for results in (rows, products):
        np.testing.assert_array_equal(results[0], results[1])
        np.testing.assert_array_equal(results[0], results[2])


def test_a_very_long_row_has_the_same_bits_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    design, targets = rng.normal(size=(100_000, 4)), rng.normal(size=100_000)
    arguments = ((np.array([0, 100_000]), np.arange(100_000), targets, None), design)
    one, two, three = (
        kernels.solve_rows(*arguments, np.ones(1), np.ones(4), n)[0] for n in (1, 2, 3)
    )
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize("module", [kernels, reference])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_refined_rows_arrive_at_the_solution(dtype, index, weighted, module):
    X, indptr, indices, weights, design = system(dtype, index)
    ridge = np.linspace(0.1, 1, len(indptr) - 1).astype(dtype)
    shares = np.array([1, 1, 1, 1, 0.5], dtype=dtype)
    arguments = ((indptr, indices, X.data, weights if weighted else None), design, ridge, shares)
    start = np.random.default_rng(1).normal(size=(X.shape[0], 5)).astype(dtype)
    before = start.copy()
    refined = module.refine_rows(*arguments, start, np.finfo(dtype).eps, 2)
    expected, status = reference.solve_rows(*arguments, 1)
    assert refined.dtype == dtype
    np.testing.assert_array_equal(start, before)
    np.testing.assert_allclose(refined[status == 0], expected[status == 0], **close(dtype))


@pytest.mark.parametrize("reduction", [0.5, 0.1, 0.01])
def test_refined_rows_stop_where_the_reference_does(reduction):
    X, indptr, indices, weights, design = system(k=8)
    start = np.random.default_rng(1).normal(size=(X.shape[0], 8))
    arguments = ((indptr, indices, X.data, weights), design, np.full(len(start), 0.1), np.ones(8))
    one, two = (kernels.refine_rows(*arguments, start, reduction, n) for n in (1, 2))
    expected = reference.refine_rows(*arguments, start, reduction, 1)
    np.testing.assert_allclose(one, expected, rtol=1e-9, atol=1e-11)
    np.testing.assert_array_equal(one, two)


def test_kernels_accept_nothing():
    empty = np.zeros(0)
    indptr, indices = np.zeros(4, dtype=np.int64), np.zeros(0, dtype=np.int64)
    nothing = (indptr, indices, empty, None)
    for module in (kernels, reference):
        solution, status = module.solve_rows(nothing, np.ones((5, 2)), np.zeros(3), np.ones(2), 2)
        assert solution.shape == (3, 2)
        np.testing.assert_array_equal(status, 1)
        assert not module.refine_rows(
            nothing,
            np.ones((5, 2)),
            np.zeros(3),
            np.ones(2),
            solution + 1,
            0.1,
            2,
        ).any()
        assert not module.sparse_times_dense(nothing, None, None, np.ones((5, 2)), 2).any()
        assert module.values_at(indptr, indices, np.ones((3, 2)), np.ones((5, 2)), 2).size == 0
