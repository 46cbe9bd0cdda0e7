"""Every view of the same data gives the same answers: those of plain NumPy."""

import numpy as np
import pytest
from conftest import low_rank, punch_holes, store_observed
from scipy import sparse

from sklearn_mf.losses import Huber, Squared
from sklearn_mf.observations import _base, observe
from sklearn_mf.systems import RowPenalty

rng = np.random.default_rng(3)
HOLED = punch_holes(low_rank(12, 9))
SPARSE = np.where(rng.random((12, 9)) < 0.6, 0, low_rank(12, 9))
SPARSE_HOLED = np.where(rng.random((12, 9)) < 0.1, np.nan, SPARSE)
SAMPLE_WEIGHT = rng.integers(0, 4, 12).astype(float)
ENTRY_WEIGHT = rng.integers(0, 3, (12, 9)).astype(float)


def sparse_with_nan(X):
    stored = sparse.csr_array(np.nan_to_num(X, nan=1e300))
    stored.data[stored.data == 1e300] = np.nan
    return stored


VIEWS = {
    "complete": (low_rank(12, 9), lambda X, **kwargs: observe(X, **kwargs)),
    "fortran": (HOLED, lambda X, **kwargs: observe(np.asfortranarray(X), **kwargs)),
    "holed": (HOLED, lambda X, **kwargs: observe(X, **kwargs)),
    "stored": (
        HOLED,
        lambda X, **kwargs: observe(store_observed(X), unstored="missing", **kwargs),
    ),
    "zero-filled": (SPARSE, lambda X, **kwargs: observe(sparse.csr_array(X), **kwargs)),
    "zero-filled holed": (SPARSE_HOLED, lambda X, **kwargs: observe(sparse_with_nan(X), **kwargs)),
}


@pytest.fixture(params=VIEWS)
def name(request):
    return request.param


@pytest.fixture(params=["plain", "sample_weight", "entry_weight", "both"])
def weights(request):
    chosen = {}
    if request.param in ("sample_weight", "both"):
        chosen["sample_weight"] = SAMPLE_WEIGHT
    if request.param in ("entry_weight", "both"):
        chosen["entry_weight"] = ENTRY_WEIGHT
    return chosen


@pytest.fixture(params=[1 << 20, 16], ids=["one block", "many blocks"])
def view(request, name, weights, monkeypatch):
    """A view, the data it shows, and what every entry counts for."""
    monkeypatch.setattr(_base, "BLOCK_ENTRIES", request.param)
    X, make = VIEWS[name]
    entry = weights.get("entry_weight", np.ones_like(X)) * ~np.isnan(X)
    return make(X, **weights), np.nan_to_num(X), entry, weights.get("sample_weight", np.ones(12))


def test_totals_and_counts(view):
    seen, _, entry, sample = view
    np.testing.assert_allclose(seen.row_totals(), entry.sum(axis=1))
    np.testing.assert_allclose(seen.T.row_totals(), sample @ entry)
    assert seen.n_observed == np.count_nonzero(entry)
    assert seen.shape == seen.T.shape[::-1] == entry.shape


def test_complete_means_every_cell_observed_without_entry_weights(name, weights):
    X, make = VIEWS[name]
    assert make(X, **weights).complete == ("entry_weight" not in weights and not np.isnan(X).any())


def test_products(view):
    seen, X, entry, _ = view
    dense, offsets, row_offsets = rng.normal(size=(9, 4)), rng.normal(size=9), rng.normal(size=12)
    np.testing.assert_allclose(
        seen.product(dense, offsets, row_offsets),
        (entry * (X - offsets - row_offsets[:, None])) @ dense,
        atol=1e-12,
    )
    np.testing.assert_allclose(
        seen.T.product(dense=np.ones((12, 1)), offsets=np.zeros(12))[:, 0],
        (entry * X).sum(axis=0),
        atol=1e-12,
    )


@pytest.mark.parametrize("loss", [Squared(), Huber(delta=0.5)], ids=["squared", "huber"])
def test_loss_and_gradient(view, loss):
    seen, X, entry, sample = view
    W, Ht = rng.normal(size=(12, 3)), rng.normal(size=(9, 3))
    counts = sample[:, None] * entry
    residual = loss.gradient(X, W @ Ht.T)
    expected = (counts * loss.value(X, W @ Ht.T)).sum()
    total, W_gradient, Ht_gradient = seen.loss_and_gradient(W, Ht, loss)
    np.testing.assert_allclose(total, expected, rtol=1e-10)
    np.testing.assert_allclose(seen.total_loss(W, Ht, loss), expected, rtol=1e-10)
    np.testing.assert_allclose(W_gradient, (entry * residual) @ Ht, atol=1e-10)
    np.testing.assert_allclose(Ht_gradient, (counts * residual).T @ W, atol=1e-10)


def normal_equations(X, counts, design, offsets, ridge):
    return np.array(
        [
            np.linalg.solve(
                (design * c[:, None]).T @ design + r * np.eye(design.shape[1]),
                (design * c[:, None]).T @ (x - offsets),
            )
            for x, c, r in zip(X, counts, ridge, strict=True)
        ]
    )


def test_row_solutions(view):
    seen, X, entry, _ = view
    design, offsets = rng.normal(size=(9, 3)), rng.normal(size=9)
    ridge = 0.1 + seen.row_totals()
    np.testing.assert_allclose(
        seen.solve_rows(design, offsets, RowPenalty.of_ridge(ridge, np.ones(3))),
        normal_equations(X, entry, design, offsets, ridge),
        atol=1e-10,
    )


def test_column_solutions(view):
    seen, X, entry, sample = view
    design, offsets = rng.normal(size=(12, 3)), rng.normal(size=12)
    ridge = 0.1 + seen.T.row_totals()
    np.testing.assert_allclose(
        seen.T.solve_rows(design, offsets, RowPenalty.of_ridge(ridge, np.ones(3))),
        normal_equations(X.T, (sample[:, None] * entry).T, design, offsets, ridge),
        atol=1e-10,
    )


def test_singular_rows_take_the_minimum_norm_solution(view):
    seen, X, entry, _ = view
    design = rng.normal(size=(9, 1)) @ np.ones((1, 3))
    solution = seen.solve_rows(design, np.zeros(9), RowPenalty.of_ridge(np.zeros(12), np.ones(3)))
    for row, x, weight in zip(solution, X, entry, strict=True):
        root = np.sqrt(weight)[:, None]
        np.testing.assert_allclose(row, np.linalg.pinv(root * design) @ (root[:, 0] * x), atol=1e-9)


def test_split_hides_a_share_and_leaves_every_row_an_entry(view):
    seen = view[0]
    for _, block in seen.blocks():
        visible, hidden = block.split(0.5, np.random.default_rng(0))
        assert visible.n_observed + hidden.n_observed == block.n_observed
        occupied = block.row_totals() > 0
        assert (visible.row_totals()[occupied] > 0).all()
        np.testing.assert_allclose(
            visible.row_totals() + hidden.row_totals(), block.row_totals(), atol=1e-12
        )


def test_transposed_twice_is_the_same_object(view):
    assert view[0].T.T is view[0]


@pytest.mark.parametrize("unstored", ["zero", "missing"])
@pytest.mark.parametrize("weight_container", [np.asarray, sparse.csr_array])
def test_sparse_data_with_any_kind_of_entry_weight(unstored, weight_container):
    X = SPARSE if unstored == "zero" else np.where(SPARSE == 0, np.nan, SPARSE)
    stored = sparse.csr_array(SPARSE)
    seen = observe(stored, unstored=unstored, entry_weight=weight_container(ENTRY_WEIGHT))
    expected = observe(X, entry_weight=ENTRY_WEIGHT)
    dense, offsets = rng.normal(size=(9, 2)), rng.normal(size=9)
    np.testing.assert_allclose(seen.row_totals(), expected.row_totals())
    np.testing.assert_allclose(
        seen.product(dense, offsets), expected.product(dense, offsets), atol=1e-12
    )


def test_duplicates_are_summed_without_a_change_to_the_matrix_of_the_user():
    X = sparse.csr_array(
        (np.array([1.0, 2.0, 5.0]), np.array([1, 1, 0]), np.array([0, 3])), shape=(1, 2)
    )
    seen = observe(X, unstored="missing")
    np.testing.assert_allclose(seen.product(np.eye(2), np.zeros(2)), [[5.0, 3.0]])
    np.testing.assert_array_equal(X.data, [1, 2, 5])
    np.testing.assert_array_equal(X.indices, [1, 1, 0])


@pytest.mark.parametrize("sample_weight", [None, np.linspace(0.5, 2, 400)])
def test_rows_that_miss_the_same_entries_are_solved_as_if_alone(sample_weight):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 12))
    X[:90, :3] = np.nan  # a group
    X[100:200, 5:] = np.nan  # another, more than half of it missing
    X[200:210, 7] = np.nan  # too few to share
    X[300:] = np.where(rng.random((100, 12)) < 0.3, np.nan, X[300:])
    X[300:, 0] = np.nan
    design, offsets, ridge = rng.normal(size=(12, 3)), rng.normal(size=12), 0.5 * np.ones(400)
    dense = observe(X, sample_weight=sample_weight)
    assert sorted(len(rows) for rows in dense._row_groups) == [90, 100, 100]
    np.testing.assert_allclose(
        dense.solve_rows(design, offsets, RowPenalty.of_ridge(ridge, np.ones(3))),
        observe(store_observed(X), unstored="missing").solve_rows(
            design, offsets, RowPenalty.of_ridge(ridge, np.ones(3))
        ),
        rtol=1e-9,
        atol=1e-12,
    )


def test_an_enormous_column_that_a_row_lacks_costs_no_accuracy():
    rng = np.random.default_rng(0)
    design = rng.normal(size=(20, 2))
    design[0] *= 1e7
    X = rng.normal(size=(5, 20))
    X[1, 0] = np.nan
    solution = observe(X).solve_rows(
        design, np.zeros(20), RowPenalty.of_ridge(np.zeros(5), np.ones(2))
    )
    expected = np.linalg.lstsq(design[1:], X[1, 1:])[0]
    np.testing.assert_allclose(solution[1], expected, rtol=1e-10)


def test_a_group_of_rows_without_entries_is_zero():
    X = np.random.default_rng(0).normal(size=(200, 5))
    X[:100] = np.nan
    for ridge in (np.zeros(200), np.ones(200)):
        solution = observe(X).solve_rows(
            np.eye(5, 2), np.ones(5), RowPenalty.of_ridge(ridge, np.ones(2))
        )
        assert not solution[:100].any()
        assert np.isfinite(solution).all()
