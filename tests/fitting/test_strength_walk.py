"""How the default rank and strength are found: in few steps, on hold-outs that are one problem."""

import numpy as np
import pytest
from conftest import above_kernels
from scipy import sparse
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_iris,
    load_wine,
    make_classification,
)
from sklearn.preprocessing import scale

from sklearn_mf import MatrixFactorization
from sklearn_mf.fitting.strength import Trials
from sklearn_mf.losses import Squared
from sklearn_mf.objective.problem import Problem, Side
from sklearn_mf.observations import observe
from sklearn_mf.penalties import Ridge
from sklearn_mf.starts.widened import narrowed, widened


def with_holes(X, share, seed=0):
    hidden = np.random.default_rng(seed).random(X.shape) < share
    hidden[hidden.all(axis=1), 0] = False
    return np.where(hidden, np.nan, X), hidden


def stored(X):
    """What is not NaN, as a CSR matrix and as observations."""
    rows, columns = np.nonzero(~np.isnan(X))
    matrix = sparse.csr_array((X[rows, columns], (rows, columns)), shape=X.shape)
    return matrix, observe(matrix, unstored="missing")


def problem_of(observations, rank):
    return Problem(observations, Squared(), Side(Ridge(0.0)), Side(Ridge(0.0)), rank)


@pytest.mark.parametrize("weighted", [False, True])
def test_repeated_observations_lie_along_a_diagonal(weighted):
    rng = np.random.default_rng(0)
    X, _ = with_holes(rng.normal(size=(7, 5)), 0.4)
    matrix, observations = stored(X)
    if weighted:
        weight = rng.random(7)
        observations = observe(matrix, unstored="missing", sample_weight=weight)
    repeated = observations.repeated(3)
    expected = sparse.block_diag([matrix] * 3).toarray()
    np.testing.assert_array_equal(repeated.matrix(repeated.values).toarray(), expected)
    assert repeated.n_observed == 3 * observations.n_observed
    if weighted:
        np.testing.assert_array_equal(repeated.row_weight, np.tile(weight, 3))


@pytest.mark.parametrize("rank", [1, 2, 4])
@pytest.mark.parametrize("n_blocks", [1, 3])
@pytest.mark.parametrize("n_columns", [9, 90])
def test_every_block_gets_its_own_components(n_columns, n_blocks, rank):
    """Of complete blocks the new components span their leading singular vectors."""
    rng = np.random.default_rng(rank)
    decay = 0.2 ** np.arange(9)
    blocks = [
        rng.normal(size=(30, 9)) * decay @ rng.normal(size=(9, n_columns)) for _ in range(n_blocks)
    ]
    matrix = sparse.csr_array(sparse.block_diag(blocks))
    problem = problem_of(observe(matrix, unstored="missing"), rank)
    nothing = np.zeros((30 * n_blocks, 0)), np.zeros((n_columns * n_blocks, 0))
    _, Ht = widened(problem, *nothing, np.random.RandomState(0), n_blocks)
    for block, found in zip(blocks, np.split(Ht, n_blocks), strict=True):
        vectors = np.linalg.svd(block)[2][:rank]
        found, _ = np.linalg.qr(found)
        np.testing.assert_allclose(np.linalg.svd(vectors @ found)[1], 1, atol=1e-3)


@pytest.mark.parametrize("n_blocks", [1, 3])
def test_of_narrowed_factors_the_largest_components_stay(n_blocks):
    rng = np.random.default_rng(0)
    W, Ht = rng.normal(size=(20 * n_blocks, 6)), rng.normal(size=(8 * n_blocks, 6))
    _, observations = stored(np.ones((20, 8)))
    problem = problem_of(observations.repeated(n_blocks), 2)
    found = narrowed(problem, W, Ht, n_blocks)
    for part in zip(*(np.split(V, n_blocks) for V in (W, Ht, *found)), strict=True):
        before, after = part[0] @ part[1].T, part[2] @ part[3].T
        U, sizes, Vt = np.linalg.svd(before, full_matrices=False)
        np.testing.assert_allclose(after, U[:, :2] * sizes[:2] @ Vt[:2], atol=1e-10)


@above_kernels
@pytest.mark.parametrize("load", [load_iris, load_wine, load_diabetes, load_breast_cancer])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_few_points_are_tried(load, share, monkeypatch):
    """What the choice costs beside the fit, counted and not timed: 40 to 65 sweeps before."""
    X, _ = with_holes(scale(load().data), share)
    sweeps, error = [], Trials._error

    def counted(self, *args):
        sweeps.append(1)
        return error(self, *args)

    monkeypatch.setattr(Trials, "_error", counted)
    MatrixFactorization(random_state=0).fit(X)
    assert len(sweeps) <= 36


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_the_full_rank_is_tried_whatever_smaller_ones_say(share):
    """Columns that are sums of others: no small rank helps, the largest does."""
    data, _ = make_classification(800, 40, n_informative=10, n_redundant=10, random_state=0)
    X = scale(data)
    visible, hidden = with_holes(X, share)
    model = MatrixFactorization(random_state=0).fit(visible)
    restored = model.inverse_transform(model.transform(visible))
    error, of_means = (np.mean((values - X)[hidden] ** 2) for values in (restored, 0 * X))
    assert error < 0.59 * of_means


@above_kernels
@pytest.mark.parametrize("seed", range(3))
def test_large_tables_are_judged_by_some_of_their_rows(seed):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(5000, 6)) @ rng.normal(size=(6, 40))
    visible, hidden = with_holes(truth + 0.3 * rng.normal(size=truth.shape), 0.3)
    model = MatrixFactorization(random_state=0).fit(visible)
    restored = model.inverse_transform(model.transform(visible))
    assert model.n_components_ == 6
    # What least squares leave of the noise where six codes are told by 28 normal regressors each.
    least = 0.3 * np.sqrt(6 / (28 - 6 - 1))
    assert np.sqrt(np.mean((restored - truth)[hidden] ** 2)) < 1.1 * least


def test_nothing_of_the_walk_stays_behind():
    X, _ = with_holes(load_iris().data, 0.2)
    model = MatrixFactorization(random_state=0).fit(X)
    plain = MatrixFactorization(2, alpha_W=0.1).fit(X)
    assert set(vars(model)) == set(vars(plain))


def test_the_walk_does_not_overrule_a_named_start():
    X, _ = with_holes(scale(load_wine().data), 0.2)
    model = MatrixFactorization(3, init="random", random_state=0, max_iter=1, tol=0).fit(X)
    explicit = MatrixFactorization(
        3, init="random", alpha_W=model.alpha_W_, random_state=0, max_iter=1, tol=0
    ).fit(X)
    np.testing.assert_allclose(model.components_, explicit.components_, rtol=1e-10)
