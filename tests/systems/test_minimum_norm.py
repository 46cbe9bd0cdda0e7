"""Rows that their entries do not determine: of all best solutions the shortest, as of lstsq."""

import time

import numpy as np
import pytest
from conftest import fit_for, minutes_on_reference
from scipy import sparse

from sklearn_mf import MatrixFactorization, kernels
from sklearn_mf.kernels import pseudoinverses, reference
from sklearn_mf.losses.columns import resolve
from sklearn_mf.objective.problem import Problem, Side
from sklearn_mf.observations import observe
from sklearn_mf.penalties import Ridge
from sklearn_mf.systems import RowPenalty

DTYPES = [np.float32, np.float64]


def designs(rng, dtype):
    """A design of any rank: products, duplicates, nearly dependent columns, columns of ones."""
    k, n = int(rng.integers(2, 14)), int(rng.integers(4, 40))
    kind = rng.integers(6)
    if kind == 0:
        design = rng.normal(size=(n, k))
    elif kind == 1:
        rank = int(rng.integers(1, k + 1))
        design = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, k))
    elif kind == 2:
        design = rng.normal(size=(n, k))
        one, other = rng.permutation(k)[:2]
        design[:, one] = design[:, other]
    elif kind == 3:  # correlated, with one sum of others: what elimination amplifies
        design = rng.normal(size=(n, 1)) + rng.normal(size=(n, k)) * 10 ** rng.uniform(-2, 0)
        design[:, rng.integers(k)] = design[:, :-1] @ rng.normal(size=k - 1)
    elif kind == 4:
        design = rng.normal(size=(n, k)) @ np.diag(10.0 ** rng.uniform(-1.5, 1.5, size=k))
        design = design @ rng.normal(size=(k, k))
        one, other = rng.permutation(k)[:2]
        design[:, one] = -2 * design[:, other]
    else:
        rank = int(rng.integers(1, k))
        design = np.abs(rng.normal(size=(n, rank))) @ np.abs(rng.normal(size=(rank, k)))
        design[:, -1] = 1
    return np.ascontiguousarray(design, dtype=dtype)


def rows(rng, design, n_rows=12):
    """Data with holes, entry weights that may be zero or None, and offsets."""
    n_columns = len(design)
    X = rng.normal(size=(n_rows, design.shape[1])) @ design.T
    X = X + 0.3 * rng.normal(size=X.shape)
    X[rng.random(X.shape) < rng.uniform(0, 0.95, size=(n_rows, 1))] = np.nan
    X[np.arange(n_rows), np.arange(n_rows) % n_columns] = 1.0
    weights = None
    if rng.random() < 0.5:
        weights = 10.0 ** rng.uniform(-2, 0, size=X.shape)
        weights[rng.random(X.shape) < 0.2] = 0
        weights[np.arange(n_rows), np.arange(n_rows) % n_columns] = 1.0
        weights = weights.astype(design.dtype)
    offsets = rng.normal(size=n_columns).astype(design.dtype)
    return X.astype(design.dtype), weights, offsets


def shortest(design, x, weights, offsets):
    """Truth: NumPy's least squares, in double precision.

    Columns of one length tell what is rounding error of the design; it is this rank for which
    the solution is sought.
    """
    seen = ~np.isnan(x)
    root = np.ones(seen.sum()) if weights is None else np.sqrt(weights[seen].astype(float))
    D = root[:, None] * design[seen].astype(float)
    t = root * (x[seen].astype(float) - offsets[seen])
    lengths = np.linalg.norm(D, axis=0)
    shares = np.linalg.svd(D / np.where(lengths > 0, lengths, 1), compute_uv=False)
    shares = shares / shares[0]
    eps = np.finfo(design.dtype).eps
    # Near the limit of what can be told, either answer is right.
    clear = not ((shares > 0.1 * np.sqrt(eps)) & (shares < 10 * np.sqrt(eps))).any()
    # lstsq must not take rounding error of the design for a direction either.
    values = np.linalg.svd(D, compute_uv=False)
    rank = int((shares > np.sqrt(eps)).sum())
    limit = 0.5 * values[rank - 1] / values[0]
    return np.linalg.lstsq(D, t, rcond=limit)[0], D, t, clear


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_row_is_as_short_as_lstsqs_and_fits_as_well(dtype, monkeypatch):
    rng = np.random.default_rng(0)
    cases = 0
    tol = 1e-2 if dtype == np.float32 else 1e-6
    for _ in range(80):
        design = designs(rng, dtype)
        X, weights, offsets = rows(rng, design)
        k = design.shape[1]
        nothing = RowPenalty.of_ridge(np.zeros(len(X), dtype), np.ones(k, dtype))
        found = {}
        for name, kernel in zip(("compiled", "reference"), (kernels, reference), strict=True):
            with monkeypatch.context() as patched:
                patched.setattr("sklearn_mf.kernels.solve_rows", kernel.solve_rows)
                patched.setattr("sklearn_mf.kernels.solve_dense_rows", kernel.solve_dense_rows)
                stored = sparse.csr_array(np.where(np.isnan(X), 0, X))
                r, c = np.nonzero(~np.isnan(X))
                stored = sparse.csr_array((X[r, c], (r, c)), shape=X.shape)
                for place, data in (("dense", X), ("sparse", stored)):
                    of_entries = None if weights is None else sparse.csr_array(weights)
                    view = observe(
                        data,
                        unstored="missing",
                        entry_weight=weights if place == "dense" else of_entries,
                    )
                    found[name, place] = view.solve_rows(design, offsets, nothing)
        for i, x in enumerate(X):
            w = None if weights is None else weights[i]
            expected, D, t, clear = shortest(design, x, w, offsets)
            if not clear:
                continue
            cases += 1
            size, error = np.linalg.norm(expected), np.linalg.norm(D @ expected - t)
            for solution in found.values():
                v = solution[i].astype(float)
                assert np.linalg.norm(v) <= 1.01 * size
                assert np.linalg.norm(D @ v - t) <= error + tol * np.linalg.norm(t)
    assert cases > 800


@minutes_on_reference
@pytest.mark.parametrize("loss", ["logistic", "poisson", "huber"])
def test_singular_rows_take_little_longer_than_others(loss):
    """They took a thousand times as long, row by row and iteration by iteration."""
    rng = np.random.default_rng(0)
    W, H = rng.normal(size=(800, 10)) / 2, rng.normal(size=(10, 40)) / 3
    X = fit_for(loss, 2 * W @ H)
    few = np.argsort(rng.random(X.shape), axis=1) < rng.integers(1, 9, size=(800, 1))
    X = np.where(few, X, np.nan)
    seconds = {}
    for alpha in (0.01, 0.0):
        problem = Problem(observe(X), resolve(loss, X), Side(Ridge(alpha)), Side(Ridge(0.01)), 10)
        times = []
        for _ in range(3):
            began = time.perf_counter()
            codes = problem.fold_in(np.ascontiguousarray(H.T))
            times.append(time.perf_counter() - began)
        seconds[alpha] = min(times)
        assert np.isfinite(codes).all()
    assert seconds[0.0] < 5 * seconds[0.01] + 0.2


def test_a_design_beyond_all_numbers_spoils_no_other():
    rng = np.random.default_rng(0)
    designs = rng.normal(size=(3, 6, 2))
    designs[1, 0, 0] = 1e200
    found = pseudoinverses(designs, np.finfo(float).eps)
    assert np.isnan(found[1]).all()
    for i in (0, 2):
        np.testing.assert_allclose(found[i], np.linalg.pinv(designs[i]), atol=1e-12)


def test_paths_end_where_factors_run_away():
    """Of a table of three entries and many zeros they do under the weakest penalties."""
    X = np.zeros((5, 3))
    X[0, 0], X[3, 1], X[4, 2] = -0.12712493, -1.68846047, 0.0995922
    model = MatrixFactorization("auto", random_state=1).fit(X)
    assert model.n_components_ >= 1
    assert np.isfinite(model.components_).all()
