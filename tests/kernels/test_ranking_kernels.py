"""Rankings by compiled kernels against their reference, and the reference against sorting."""

import numpy as np
import pytest

from sklearn_mf import kernels
from sklearn_mf.kernels import ranking

DTYPES = [np.float32, np.float64]


def sorted_rows(scores, n):
    """The best columns by a complete sort: by score, then by column."""
    columns = np.full((len(scores), n), -1)
    for i, row in enumerate(scores):
        order = sorted((j for j in range(len(row)) if row[j] == row[j]), key=lambda j: (-row[j], j))
        columns[i, : len(order[:n])] = order[:n]
    return columns


def values_at(scores, columns):
    values = np.take_along_axis(scores, np.maximum(columns, 0), axis=1)
    return np.where(columns < 0, np.nan, values)


def tables(dtype):
    rng = np.random.default_rng(0)
    table = rng.normal(size=(30, 331)).astype(dtype)
    holes = np.where(rng.random(table.shape) < 0.97, dtype(np.nan), table)
    extremes = np.where(rng.random(table.shape) < 0.3, dtype(np.inf) * np.sign(table), table)
    return {
        "all different": table,
        "ascending": np.sort(table, axis=1),
        "few different": np.round(table).astype(dtype),
        "all equal": np.ones_like(table),
        "mostly missing": holes,
        "all missing": np.full_like(table, np.nan),
        "infinite": extremes,
        "narrow": np.ascontiguousarray(table[:, :3]),
    }


@pytest.mark.parametrize("name", tables(np.float64))
@pytest.mark.parametrize("n", [1, 2, 10, 64, 400])
@pytest.mark.parametrize("dtype", DTYPES)
def test_top_columns_are_those_of_a_complete_sort(dtype, n, name):
    scores = tables(dtype)[name]
    before = scores.copy()
    for module in (kernels, ranking):
        columns, values = module.top_columns(scores, n, 1)
        np.testing.assert_array_equal(columns, sorted_rows(scores, n))
        np.testing.assert_array_equal(values, values_at(scores, columns))
        assert values.dtype == dtype
    np.testing.assert_array_equal(scores, before)


def ranked(module, scores, slack, left, right, n, n_threads=1, step=None):
    """Rankings by products, columns being offered some at a time."""
    columns = np.full((len(left), n), -1, dtype=np.int64)
    values = np.full((len(left), n), np.nan, dtype=left.dtype)
    step = step or len(right)
    for first in range(0, len(right), step):
        part = np.ascontiguousarray(scores[:, first : first + step])
        module.offer_products(part, first, slack, left, right, columns, values, n_threads)
    module.sort_rankings(columns, values)
    return columns, values


@pytest.mark.parametrize("step", [None, 3, 64])
@pytest.mark.parametrize("n", [1, 7, 150])
@pytest.mark.parametrize("k", [1, 3, 8, 37])
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_are_ranked_as_they_are_and_not_as_they_were_rounded(dtype, k, n, step):
    rng = np.random.default_rng(k)
    # Small integers, whose products are exact in any order of summation, with many ties.
    left = rng.integers(-2, 3, size=(25, k)).astype(dtype)
    right = rng.integers(-2, 3, size=(200, k)).astype(dtype)
    exact = left @ right.T
    blurred = exact + rng.uniform(-0.4, 0.4, size=exact.shape).astype(dtype)
    blurred[rng.random(exact.shape) < 0.2] = np.nan
    known = np.where(np.isnan(blurred), dtype(np.nan), exact)
    slack = np.full(len(left), 0.4, dtype=dtype)
    for module in (kernels, ranking):
        columns, values = ranked(module, blurred, slack, left, right, n, step=step)
        np.testing.assert_array_equal(columns, sorted_rows(known, n))
        np.testing.assert_array_equal(values, values_at(known, columns))


@pytest.mark.parametrize("dtype", DTYPES)
def test_rankings_are_the_same_for_any_number_of_threads(dtype):
    rng = np.random.default_rng(0)
    left, right = (rng.normal(size=(n, 20)).astype(dtype) for n in (100, 500))
    scores, slack = left @ right.T, np.full(100, 1e-3, dtype)
    for once, twice in zip(
        ranked(kernels, scores, slack, left, right, 10, 1),
        ranked(kernels, scores, slack, left, right, 10, 4),
        strict=True,
    ):
        np.testing.assert_array_equal(once, twice)
    for once, twice in zip(
        kernels.top_columns(scores, 10, 1), kernels.top_columns(scores, 10, 4), strict=True
    ):
        np.testing.assert_array_equal(once, twice)


@pytest.mark.parametrize("slack", [np.inf, np.nan, 0])
def test_scores_that_overflow_leave_every_column_a_candidate(slack):
    left = np.full((1, 1), 2, dtype=np.float32)
    right = np.arange(200, dtype=np.float32)[:, None]
    scores = np.full((1, 200), np.inf, dtype=np.float32)
    slack = np.array([slack], dtype=np.float32)
    for module in (kernels, ranking):
        columns, _ = ranked(module, scores, slack, left, right, 3)
        np.testing.assert_array_equal(columns, [[199, 198, 197]])


def test_no_rows_and_no_columns():
    for shape in [(0, 5), (5, 0)]:
        for module in (kernels, ranking):
            columns, values = module.top_columns(np.zeros(shape), 2, 1)
            assert columns.shape == values.shape == (shape[0], 2)
            assert (columns == -1).all()
