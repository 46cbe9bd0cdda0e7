"""Sums of normal equations: kernels against their reference, and the reference against NumPy."""

import numpy as np
import pytest
from scipy import sparse

from sklearn_mf import kernels
from sklearn_mf.kernels import reference_sums

MODULES = [kernels, reference_sums]
DTYPES = [np.float32, np.float64]


def problem(dtype=np.float64, index=np.int32, k=5, n_rows=40, n_columns=30):
    rng = np.random.default_rng(0)
    X = np.where(rng.random((n_rows, n_columns)) < 0.4, rng.random((n_rows, n_columns)), 0)
    X[3] = 0
    X[4] = rng.random(n_columns)
    X = sparse.csr_array(X.astype(dtype))
    weights = rng.random(X.nnz).astype(dtype)
    design = rng.normal(size=(n_columns, k)).astype(dtype)
    return X, X.indptr.astype(index), X.indices.astype(index), weights, design


def zeros(n_rows, k, dtype):
    return np.zeros((n_rows, k * (k + 1) // 2), dtype), np.zeros((n_rows, k), dtype)


def close(dtype):
    return {"rtol": 1e-4, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-11, "atol": 1e-12}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("module", MODULES)
def test_equations_are_added_to_what_is_there(module, dtype, index, weighted):
    X, indptr, indices, weights, design = problem(dtype, index)
    packed, moments = zeros(X.shape[0], 5, dtype)
    packed += 1
    moments += 2
    entries = indptr, indices, X.data, weights if weighted else None
    module.add_equations(entries, design, packed, moments, 2)
    E = X.toarray() != 0
    E = E.astype(np.float64)
    if weighted:
        E = sparse.csr_array((weights, X.indices, X.indptr), X.shape).toarray()
    grams = np.einsum("ij,jk,jl->ikl", E, design, design)
    i, j = np.triu_indices(5)
    np.testing.assert_allclose(packed, 1 + grams[:, i, j], **close(dtype))
    np.testing.assert_allclose(moments, 2 + (E * X.toarray()) @ design, **close(dtype))
    assert (packed[3] == 1).all()


@pytest.mark.parametrize("k", [1, 7, 16, 65])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("module", MODULES)
def test_systems_are_solved_as_by_numpy(module, dtype, k):
    rng = np.random.default_rng(1)
    A = rng.normal(size=(6, 2 * k, k))
    grams, moments = A.transpose(0, 2, 1) @ A, rng.normal(size=(6, k)).astype(dtype)
    scale, ridge = rng.random(6).astype(dtype) + 0.1, rng.random(k).astype(dtype)
    i, j = np.triu_indices(k)
    packed = np.ascontiguousarray(grams[:, i, j], dtype=dtype)
    found, status = module.solve_systems(packed, moments, scale, ridge, 2)
    matrices = grams + scale[:, None, None] * np.diag(ridge)
    expected = np.linalg.solve(matrices, moments[:, :, None])[:, :, 0]
    assert not status.any()
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=1e-3 if dtype == np.float32 else 1e-9)


@pytest.mark.parametrize("module", MODULES)
def test_singular_systems_are_reported(module):
    packed, moments = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]]), np.ones((2, 2))
    nothing = np.zeros(2)
    solution, status = module.solve_systems(packed, moments, np.ones(2), nothing, 1)
    np.testing.assert_array_equal(status, [1, 0])
    np.testing.assert_allclose(solution[1], 1)


@pytest.mark.parametrize("module", MODULES)
def test_sums_accept_nothing(module):
    nothing = np.zeros(0, np.int32)
    packed, moments = zeros(2, 3, np.float64)
    design, values = np.zeros((4, 3)), np.zeros(0)
    module.add_equations((np.zeros(3, np.int32), nothing, values, None), design, packed, moments, 1)
    assert not packed.any()
    solution, status = module.solve_systems(*zeros(0, 3, np.float64), values, np.ones(3), 1)
    assert solution.shape == (0, 3)
    assert status.shape == (0,)


def test_sums_have_the_same_bits_for_any_number_of_threads():
    X, indptr, indices, weights, design = problem(k=16, n_rows=200)
    results = []
    for n_threads in (1, 2, 3):
        packed, moments = zeros(200, 16, np.float64)
        entries = indptr, indices, X.data, weights
        kernels.add_equations(entries, design, packed, moments, n_threads)
        ones = np.ones(200), np.ones(16)
        solution, _ = kernels.solve_systems(packed, moments, *ones, n_threads)
        results.append((packed, moments, solution))
    for others in results[1:]:
        for one, other in zip(results[0], others, strict=True):
            np.testing.assert_array_equal(one, other)
