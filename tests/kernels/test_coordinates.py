"""Coordinate descent on normal equations: positive coefficients, and absolute values."""

import numpy as np
import pytest
from conftest import low_rank, punch_holes, random_csr, store_observed
from scipy import sparse
from scipy.optimize import nnls
from sklearn.linear_model import ElasticNet

from sklearn_mf import kernels
from sklearn_mf.kernels import reference
from sklearn_mf.systems import RowPenalty, RowSystems, solve_active_set

INF = np.inf


def rows(n_rows=40, n_columns=30, k=5, seed=0, dtype=np.float64, index=np.int32, weighted=True):
    rng = np.random.default_rng(seed)
    X = random_csr((n_rows, n_columns), 0.4, rng)
    weights = (rng.random(X.nnz) + 0.5).astype(dtype) if weighted else None
    entries = X.indptr.astype(index), X.indices.astype(index), X.data.astype(dtype), weights
    return entries, rng.normal(size=(n_columns, k)).astype(dtype)


def penalty(n_rows, k, ridge=0.0, l1=0.0, lower=-INF, dtype=np.float64):
    scale = np.random.default_rng(1).random(n_rows).astype(dtype) + dtype(0.5)
    return RowPenalty(scale, *(np.full(k, value, dtype=dtype) for value in (ridge, l1, lower)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_normal_equations_are_those_of_the_reference(dtype, index, weighted, n_threads):
    entries, design = rows(dtype=dtype, index=index, weighted=weighted, k=19)
    found = kernels.normal_equations(entries, design, n_threads)
    for array, expected in zip(found, reference.normal_equations(entries, design, 1), strict=True):
        assert array.dtype == dtype
        np.testing.assert_allclose(array, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("numbers", [(0.1, 0.0, 0.0), (0.0, 0.3, -INF), (0.2, 0.1, 0.0)])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_descent_is_that_of_the_reference(dtype, shared, numbers, n_threads):
    entries, design = rows(dtype=dtype)
    grams, moments = reference.normal_equations(entries, design, 1)
    if shared:
        grams = np.ascontiguousarray(grams.max(axis=0)[None] + 9 * np.eye(5, dtype=dtype))
    start = np.random.default_rng(2).random(moments.shape).astype(dtype)
    arguments = grams, moments, penalty(40, 5, *numbers, dtype=dtype), start, 1e-6, 50
    before = start.copy()
    found = kernels.descend_rows(*arguments, n_threads)
    expected = reference.descend_rows(*arguments, 1)
    for one, other, again in zip(found, expected, kernels.descend_rows(*arguments, 1), strict=True):
        assert one.dtype == dtype
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(start, before)


@pytest.mark.parametrize("kernel", [kernels, reference], ids=["chosen", "reference"])
@pytest.mark.parametrize("shared", [False, True])
def test_the_violation_is_that_of_coordinate_descent_in_scikit_learn(kernel, shared):
    from sklearn.decomposition import _cdnmf_fast

    entries, design = rows(weighted=False)
    grams, moments = reference.normal_equations(entries, np.abs(design), 1)
    if shared:
        grams = np.ascontiguousarray(grams.max(axis=0)[None] + np.eye(5))
    scale, ridge, l1, lower = penalty(40, 5, 0.2, 0.1, 0.0)
    start = np.maximum(np.random.default_rng(2).normal(size=moments.shape), 0)
    numbers = scale, ridge, l1, lower
    found, violation = kernel.descend_rows(grams, moments, numbers, start, 0.0, 1, 1)
    for i in range(40):
        W = start[i : i + 1].copy()
        gram = grams[0 if shared else i] + scale[i] * np.diag(ridge)
        # Its private function changes W; it is here for the numbers of one round.
        moment = moments[i : i + 1] - scale[i] * l1
        total = _cdnmf_fast._update_cdnmf_fast(W, gram, moment, np.arange(5))
        np.testing.assert_allclose(violation[i], total)
        np.testing.assert_allclose(found[i], W[0])


def test_a_row_does_not_depend_on_those_beside_it():
    entries, design = rows(n_rows=70)
    moments = reference.normal_equations(entries, design, 1)[1]
    gram = (design.T @ design)[None]
    scale, *others = penalty(70, 5, 0.1, 0.2, 0.0)
    start = np.zeros((70, 5))
    found, _ = kernels.descend_rows(gram, moments, (scale, *others), start, 1e-3, 100, 1)
    for part in (slice(3, 4), slice(5, 40)):
        numbers = scale[part], *others
        alone, _ = kernels.descend_rows(gram, moments[part], numbers, start[part], 1e-3, 100, 1)
        np.testing.assert_array_equal(alone, found[part])


@pytest.mark.parametrize("kernel", [kernels, reference], ids=["chosen", "reference"])
def test_positive_rows_are_those_of_scipy(kernel):
    entries, design = rows(weighted=False)
    equations = kernel.normal_equations(entries, design, 1)
    found, _ = kernel.descend_rows(
        *equations, penalty(40, 5, lower=0.0), np.zeros((40, 5)), 1e-12, 10_000, 1
    )
    indptr, indices, targets, _ = entries
    for i in range(40):
        part = slice(indptr[i], indptr[i + 1])
        np.testing.assert_allclose(
            found[i], nnls(design[indices[part]], targets[part])[0], atol=1e-6
        )


@pytest.mark.parametrize("positive", [False, True])
def test_rows_with_absolute_values_are_those_of_scikit_learn(positive):
    entries, design = rows(n_rows=8, n_columns=60, weighted=False)
    equations = kernels.normal_equations(entries, design, 1)
    numbers = penalty(8, 5, ridge=0.6, l1=0.9, lower=0.0 if positive else -INF)
    found, _ = kernels.descend_rows(*equations, numbers, np.zeros((8, 5)), 1e-12, 10_000, 1)
    indptr, indices, targets, _ = entries
    for i in range(8):
        part = slice(indptr[i], indptr[i + 1])
        n = len(targets[part])
        strength = numbers[0][i] * 1.5 / n
        net = ElasticNet(strength, l1_ratio=0.6, fit_intercept=False, positive=positive, tol=1e-12)
        net.set_params(max_iter=100_000).fit(design[indices[part]], targets[part])
        np.testing.assert_allclose(found[i], net.coef_, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("numbers", [(0.1, 0.0, 0.0), (0.2, 0.3, -INF), (0.2, 0.1, 0.0)])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_settled_rows_are_those_of_the_reference(dtype, shared, numbers, n_threads):
    entries, design = rows(dtype=dtype, k=19, n_columns=60)
    grams, moments = reference.normal_equations(entries, design, 1)
    if shared:
        grams = np.ascontiguousarray(grams.max(axis=0)[None] + 9 * np.eye(19, dtype=dtype))
    start = np.random.default_rng(2).random(moments.shape).astype(dtype)
    start[:, 3] = 0
    arguments = grams, moments, penalty(40, 19, *numbers, dtype=dtype), start
    before = start.copy()
    found = kernels.solve_active_set_rows(*arguments, n_threads)
    assert found.dtype == dtype
    np.testing.assert_allclose(
        found, reference.solve_active_set_rows(*arguments, 1), rtol=1e-3, atol=1e-3
    )
    np.testing.assert_array_equal(found, kernels.solve_active_set_rows(*arguments, 1))
    np.testing.assert_array_equal(start, before)
    assert not found[:, 3].any()


@pytest.mark.parametrize("kernel", [kernels, reference], ids=["chosen", "reference"])
def test_settling_leaves_singular_systems_and_frees_what_nothing_holds(kernel):
    gram = np.array([[2.0, 1.0], [1.0, 2.0]])
    numbers = np.ones(1), np.zeros(2), np.zeros(2), np.array([0.0, -INF])
    free = kernel.solve_active_set_rows(
        gram[None], np.array([[1.0, -4.0]]), numbers, np.array([[1.0, 0]]), 1
    )
    np.testing.assert_allclose(free, [[2.0, -3.0]], rtol=1e-12)
    singular = np.ones((1, 2, 2))
    start = np.array([[1.0, 2.0]])
    stays = kernel.solve_active_set_rows(singular, np.array([[1.0, 1.0]]), numbers, start, 1)
    np.testing.assert_array_equal(stays, start)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shared", [False, True])
def test_correlated_positive_rows_settle_where_scipys_do(shared, dtype):
    rng = np.random.default_rng(0)
    common = rng.random((200, 1))
    designs = common + 0.1 * rng.random((1 if shared else 12, 200, 9))
    targets = common[:, 0] + 0.1 * rng.normal(size=(12, 200))
    grams = np.array([D.T @ D for D in designs], dtype=dtype)
    moments = np.array([designs[i if len(designs) > 1 else 0].T @ targets[i] for i in range(12)])
    numbers = penalty(12, 9, lower=0.0, dtype=dtype)
    systems = RowSystems(grams, moments.astype(dtype), numbers)
    found = solve_active_set(systems, np.zeros((12, 9), dtype))
    accuracy = {"rtol": 0, "atol": 1e-5 if dtype == np.float32 else 1e-12}
    for i in range(12):
        expected, _ = nnls(designs[i if len(designs) > 1 else 0], targets[i])
        np.testing.assert_allclose(found.rows[i], expected, atol=1e3 * accuracy["atol"])
        alone = solve_active_set(systems.of_rows([i]), np.zeros((1, 9), dtype))
        np.testing.assert_allclose(alone.rows[0], found.rows[i], **accuracy)


def test_no_row_costs_more_than_at_its_start():
    entries, design = rows()
    grams, moments = kernels.normal_equations(entries, design, 1)
    numbers = penalty(40, 5, 0.1, 0.4, 0.0)
    start = np.random.default_rng(3).random((40, 5))

    def cost(v):
        scale, ridge, l1, _ = numbers
        quadratic = 0.5 * np.einsum("ip,ipq,iq->i", v, grams, v) - np.sum(moments * v, axis=1)
        return quadratic + scale * (0.5 * v**2 @ ridge + np.abs(v) @ l1)

    costs = [
        cost(kernels.descend_rows(grams, moments, numbers, start, 0.0, n, 1)[0]) for n in range(6)
    ]
    np.testing.assert_allclose(costs[0], cost(start))
    assert (np.diff(costs, axis=0) <= 1e-12).all()
    assert (costs[5] < costs[0]).all()


@pytest.mark.parametrize("kernel", [kernels, reference], ids=["chosen", "reference"])
@pytest.mark.parametrize("n_rows", [1, 2])
def test_a_coefficient_of_which_nothing_is_known_stays(kernel, n_rows):
    grams, moments = np.array([np.diag([1.0, 0.0])] * n_rows), np.array([[2.0, 0.0]] * n_rows)
    start = np.full((n_rows, 2), 0.5)
    found, _ = kernel.descend_rows(grams, moments, penalty(n_rows, 2), start, 1e-9, 10, 1)
    np.testing.assert_allclose(found, [[2.0, 0.5]] * n_rows)


@pytest.mark.parametrize("with_weights", [False, True])
def test_every_kind_of_storage_gives_the_same_rows(with_weights):
    from sklearn_mf.observations import observe

    rng = np.random.default_rng(0)
    X = low_rank(150, 12)
    X[:70, 3] = np.nan  # a group of rows that miss the same
    X[100:] = punch_holes(X[100:])
    design, offsets = rng.random((12, 4)), rng.random(12)
    numbers = penalty(150, 4, 0.1, 0.2, 0.0)
    weight = rng.random(X.shape) + 0.5 if with_weights else None
    start = np.zeros((150, 4))
    holed = observe(X, entry_weight=weight)
    stored = observe(
        store_observed(X),
        unstored="missing",
        entry_weight=None if weight is None else sparse.csr_array(weight),
    )
    arguments = design, offsets, numbers, start, (1e-10, 1000)
    expected = stored.descend_rows(*arguments)
    found = holed.descend_rows(*arguments)
    np.testing.assert_allclose(found.rows, expected.rows, atol=1e-8)
    np.testing.assert_allclose(found.violation, expected.violation)
    np.testing.assert_allclose(found.loss, expected.loss)
    assert (expected.rows == 0).any()
    # Against the residual itself.
    residual = np.where(np.isnan(X), 0, (X - offsets - expected.rows @ design.T) ** 2)
    nothing = np.where(np.isnan(X), 0, (X - offsets) ** 2)
    counted = 1 if weight is None else weight
    np.testing.assert_allclose(expected.loss, np.sum(counted * (residual - nothing), axis=1) / 2)
    squares = np.sum(counted * np.where(np.isnan(X), 0, X**2))
    np.testing.assert_allclose([holed.total_squares, stored.total_squares], squares)
    zeros = sparse.csr_array(np.where(np.isnan(X), 0, X))
    filled = observe(zeros, sample_weight=rng.random(150))
    dense = observe(zeros.toarray())
    found, expected = filled.descend_rows(*arguments), dense.descend_rows(*arguments)
    np.testing.assert_allclose(found.rows, expected.rows, atol=1e-8)
    np.testing.assert_allclose(found.loss, expected.loss)
    squares = np.sum(zeros.toarray() ** 2, axis=1)
    np.testing.assert_allclose(dense.total_squares, squares.sum())
    np.testing.assert_allclose(filled.total_squares, squares @ filled.row_weight)


@pytest.mark.parametrize("seed", range(10))
def test_rows_settle_where_hardly_any_penalty_puts_them(seed):
    # Two entries do not tell four coefficients: a ridge far below the digits of costs does.
    rng, ridge = np.random.default_rng(seed), 1e-8
    designs, targets = rng.random((6, 2, 4)), rng.random((6, 2)) + 0.5
    grams = designs.transpose(0, 2, 1) @ designs
    moments = (designs.transpose(0, 2, 1) @ targets[:, :, None])[:, :, 0]
    numbers = RowPenalty(np.ones(6), np.full(4, ridge), np.zeros(4), np.zeros(4))
    found = solve_active_set(RowSystems(grams, moments, numbers), np.zeros((6, 4))).rows
    for row, design, target in zip(found, designs, targets, strict=True):
        system = np.vstack([design, np.sqrt(ridge) * np.eye(4)])
        expected, _ = nnls(system, np.concatenate([target, np.zeros(4)]))
        np.testing.assert_allclose(row, expected, atol=1e-4 * expected.max())
