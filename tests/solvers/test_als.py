"""Alternating least squares: what its two parameters promise."""

import numpy as np
import pytest
from conftest import low_rank, minutes_on_reference, punch_holes, store_observed
from grids import pairwise
from scipy import sparse

from sklearn_mf import MatrixFactorization
from sklearn_mf.solvers import ALS, als


def holed(n_rows=80, n_columns=50, rank=6, condition=1.0, noise=0.1):
    rng = np.random.default_rng(0)
    strength = np.geomspace(1, 1 / condition, rank)
    X = (rng.normal(size=(n_rows, rank)) * strength) @ rng.normal(size=(rank, n_columns))
    return punch_holes(X + noise * rng.normal(size=X.shape))


def curve(X, solver, n_sweeps, **parameters):
    parameters = {"n_components": 6, "alpha_W": 1e-3, "random_state": 0} | parameters
    return MatrixFactorization(solver=solver, max_iter=n_sweeps, tol=0, **parameters).fit(X)


@minutes_on_reference
@pytest.mark.parametrize(
    ("kind", "bias", "loss"),
    pairwise(["dense", "stored", "zero-filled"], [False, "both"], ["squared", "huber"]),
)
def test_conjugate_gradients_reach_the_exact_solvers_minimum(kind, bias, loss):
    X = holed()
    X, unstored = {
        "dense": (X, "zero"),
        "stored": (store_observed(X), "missing"),
        "zero-filled": (sparse.csr_array(np.nan_to_num(X)), "zero"),
    }[kind]
    parameters = {"bias": bias, "unstored": unstored, "loss": loss, "alpha_W": 0.1}
    exact = curve(X, ALS(inner="cholesky"), 300, **parameters)
    refined = curve(X, ALS(inner="cg"), 300, **parameters)
    np.testing.assert_allclose(refined.loss_curve_[-1], exact.loss_curve_[-1], rtol=1e-6)
    np.testing.assert_allclose(
        refined.inverse_transform(refined.transform(X)),
        exact.inverse_transform(exact.transform(X)),
        atol=1e-2,
    )


@minutes_on_reference
def test_conjugate_gradients_take_more_steps_when_progress_stalls():
    X = holed(condition=100, noise=1e-3)
    exact, refined = (curve(X, ALS(inner=inner), 200, alpha_W=1e-6) for inner in ("cholesky", "cg"))
    assert refined.loss_curve_[-1] < 1.1 * exact.loss_curve_[-1]


def test_auto_takes_conjugate_gradients_for_large_ranks():
    X = punch_holes(low_rank(150, 130, 5))
    auto, refined, exact = (
        curve(X, ALS(inner=inner), 3, n_components=110).loss_curve_
        for inner in ("auto", "cg", "cholesky")
    )
    np.testing.assert_array_equal(auto, refined)
    assert not np.array_equal(auto, exact)


@minutes_on_reference
@pytest.mark.parametrize("inner", ["cholesky", "cg"])
@pytest.mark.parametrize("memory", [0, 1, 3, 10])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_objective_never_rises(dtype, memory, inner):
    X = holed(condition=30).astype(dtype)
    losses = np.array(curve(X, ALS(inner=inner, memory=memory), 100).loss_curve_)
    assert (np.diff(losses) <= 50 * np.finfo(dtype).eps * losses[0]).all()


@minutes_on_reference
def test_extrapolation_needs_fewer_sweeps():
    X = holed(condition=10)
    plain = np.array(curve(X, ALS(memory=0), 2000).loss_curve_)
    fast = np.array(curve(X, ALS(), 2000).loss_curve_)
    goal = min(plain[-1], fast[-1]) * (1 + 1e-6)
    assert 3 * np.argmax(fast <= goal) < np.argmax(plain <= goal)


def test_memory_of_nothing_is_plain_alternation():
    X = holed(n_rows=20, n_columns=12, rank=2)
    model = curve(X, ALS(memory=0), 4, n_components=2)
    Ht = curve(X, ALS(), 1, n_components=2).components_.T
    for _ in range(3):
        W = ridge_rows(X, Ht, 1e-3)
        Ht = ridge_rows(X.T, W, 1e-3)
    W = ridge_rows(X, Ht, 1e-3)
    np.testing.assert_allclose(model.inverse_transform(model.transform(X)), W @ Ht.T, atol=1e-4)


def ridge_rows(X, design, alpha):
    """Each row's ridge regression, its penalty scaled by what it observes."""
    solutions = []
    for row in X:
        there = ~np.isnan(row)
        gram = design[there].T @ design[there] + alpha * there.sum() * np.eye(design.shape[1])
        solutions.append(np.linalg.solve(gram, design[there].T @ row[there]))
    return np.array(solutions)


@pytest.mark.parametrize("length", [1.0, 1e-100, 1e-154, 1e-160, 1e-300, 0.0])
def test_extrapolation_bears_steps_of_any_length(length):
    rng = np.random.default_rng(0)
    points = [length * rng.normal(size=(4, 2)) for _ in range(3)]
    images = [point + length * rng.normal(size=(4, 2)) for point in points]
    found = als._extrapolated(points, images, np.ones(2))
    assert np.isfinite(found).all()
    # An affine combination of the images: nothing is added where they agree.
    moved = als._extrapolated([p + 1 for p in points], [image + 1 for image in images], np.ones(2))
    np.testing.assert_allclose(moved, found + 1, atol=1e-6)
