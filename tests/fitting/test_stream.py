"""Streams: what `partial_fit` owes to the batch fit, whatever way the rows come in."""

import gc
import pickle
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from conftest import fit_for, low_rank, minutes_on_reference, punch_holes, store_observed
from grids import pairwise
from scipy import sparse
from sklearn.exceptions import NotFittedError

from sklearn_mf import MatrixFactorization
from sklearn_mf.fitting.stream import Stream
from sklearn_mf.objective.factor_model import FactorModel
from sklearn_mf.objective.objective import Objective
from sklearn_mf.observations import observe
from sklearn_mf.systems import solve

BIASES = [False, "features", "samples", "both"]


def model(**parameters):
    defaults = {"n_components": 3, "alpha_W": 0.02, "random_state": 0, "max_iter": 5000}
    return MatrixFactorization(**defaults | parameters)


def batches(X, size, *more):
    for first in range(0, X.shape[0], size):
        yield [part[first : first + size] for part in (X, *more)]


def streamed(estimator, X, size, times=1):
    for _ in range(times):
        for (batch,) in batches(X, size):
            estimator.partial_fit(batch)
    return estimator


def objective(fitted, X, offset=None):
    """Penalised squared error of X at the codes of `transform`, in plain NumPy."""
    W, seen = fitted.transform(X), ~np.isnan(X)
    residual = np.where(seen, X - fitted.inverse_transform(W), 0)
    alpha = fitted.alpha_W
    cost = 0.5 * np.sum(residual**2) + 0.5 * alpha * seen.sum(axis=1) @ (W**2).sum(axis=1)
    columns = (fitted.components_**2).sum(axis=0)
    if fitted.bias == "both":
        offset = np.nanmean(X) if offset is None else offset
        columns = columns + (fitted.feature_bias_ - offset) ** 2
    return cost + 0.5 * alpha * seen.sum(axis=0) @ columns


def values(fitted, X):
    return fitted.inverse_transform(fitted.transform(X))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bias", "rank", "missing", "alpha"),
    pairwise([False, "features", "both"], [5, 10], [0.3, 0.5], [0.0, 0.02]),
)
def test_one_pass_of_100_batches_comes_close_to_the_batch_fit(bias, rank, missing, alpha):
    X = punch_holes(low_rank(5000, 100, rank, noise=0.5, mean=1.0), missing)
    settings = {"n_components": rank, "alpha_W": alpha, "bias": bias, "tol": 1e-5}
    fitted = model(**settings).fit(X)
    online = streamed(model(**settings), X, 50)
    assert objective(online, X) < 1.02 * objective(fitted, X)


@minutes_on_reference
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("alpha", [0.0, 0.02])
def test_one_pass_comes_close_on_small_data(bias, alpha):
    X = punch_holes(low_rank(2000, 20, mean=1.0), 0.4)
    fitted = model(bias=bias, alpha_W=alpha, tol=1e-6).fit(X)
    online = streamed(model(bias=bias, alpha_W=alpha), X, 20)
    assert objective(online, X) < 1.02 * objective(fitted, X)


@minutes_on_reference
@pytest.mark.parametrize("bias", BIASES)
def test_single_rows_come_close(bias):
    X = punch_holes(low_rank(300, 20, mean=1.0), 0.3)
    fitted = model(bias=bias, tol=1e-6).fit(X)
    online = streamed(model(bias=bias), X, 1)
    assert objective(online, X) < 1.02 * objective(fitted, X)


@minutes_on_reference
@pytest.mark.parametrize("bias", BIASES)
def test_repeated_passes_converge_to_the_batch_fit(bias):
    X = punch_holes(low_rank(100, 20, mean=1.0))
    fitted = model(bias=bias, tol=1e-10).fit(X)
    online = streamed(model(bias=bias), X, 50, times=60)
    np.testing.assert_allclose(objective(online, X), objective(fitted, X), rtol=1e-3)


@minutes_on_reference
@pytest.mark.parametrize("kwargs", [{"positive": True}, {"l1_ratio": 0.3}, {"positive": "H"}])
def test_penalties_that_are_not_smooth(kwargs):
    X = punch_holes(np.abs(low_rank(400, 20, mean=1.0)))
    fitted = model(**kwargs, tol=1e-7).fit(X)
    online = streamed(model(**kwargs), X, 20, times=3)
    if kwargs.get("positive"):
        assert online.components_.min() >= 0
    assert objective(online, X) < 1.05 * objective(fitted, X)


@minutes_on_reference
@pytest.mark.parametrize("loss", ["huber", "logistic", "poisson"])
def test_losses_that_are_not_squared(loss):
    X = fit_for(loss, punch_holes(low_rank(1000, 20)))
    settings = {"loss": loss, "bias": "features", "alpha_W": 0.05}
    fitted = model(**settings).fit(X)
    online = streamed(model(**settings), X, 50, times=3)
    assert online.score(X) > 0.85 * fitted.score(X)
    assert fitted.score(X) > 0.5


def test_a_large_batch_is_a_half_step_of_alternating_least_squares():
    """Codes at the start, then each feature by ridge regression on them, in NumPy."""
    X = punch_holes(low_rank(3000, 12))
    H, alpha = np.random.default_rng(0).normal(size=(3, 12)), 0.05
    fitted = model(alpha_W=alpha, init=H).partial_fit(X)

    def ridge(design, targets):
        observed = ~np.isnan(targets)
        rows = design[observed]
        gram = rows.T @ rows + alpha * observed.sum() * np.eye(3)
        return np.linalg.solve(gram, rows.T @ targets[observed])

    W = np.array([ridge(H.T, x) for x in X])
    expected = np.array([ridge(W, x) for x in X.T])
    # The stream mixes the components afterwards, which leaves what they span.
    span, *_ = np.linalg.svd(expected, full_matrices=False)
    found, *_ = np.linalg.svd(fitted.components_.T, full_matrices=False)
    np.testing.assert_allclose(found @ found.T, span @ span.T, atol=1e-4)


def test_without_penalty_the_half_step_is_exact():
    X = low_rank(3000, 12)
    H = np.random.default_rng(0).normal(size=(3, 12))
    fitted = model(alpha_W=0.0, init=H).partial_fit(X)
    W = np.linalg.lstsq(H.T, X.T)[0].T
    np.testing.assert_allclose(fitted.components_, np.linalg.lstsq(W, X)[0], atol=1e-5)


@pytest.mark.parametrize("bias", BIASES)
def test_nan_in_a_dense_array_is_not_stored_in_a_sparse_one(bias):
    X = punch_holes(low_rank(60, 20, mean=1.0))
    dense = streamed(model(bias=bias), X, 20)
    stored = streamed(model(bias=bias, unstored="missing"), store_observed(X), 20)
    np.testing.assert_allclose(stored.components_, dense.components_, atol=1e-8)
    np.testing.assert_allclose(stored.feature_bias_, dense.feature_bias_, atol=1e-8)


@pytest.mark.parametrize("bias", BIASES)
def test_zero_in_a_dense_array_is_not_stored_in_a_sparse_one(bias):
    X = np.where(np.random.default_rng(0).random((60, 20)) < 0.6, 0, low_rank(60, 20))
    dense = streamed(model(bias=bias), X, 20)
    stored = streamed(model(bias=bias), sparse.csr_array(X), 20)
    np.testing.assert_allclose(values(stored, X), values(dense, X), atol=1e-6)


@pytest.mark.parametrize("bias", BIASES)
def test_sample_weights_are_repetitions(bias):
    X = punch_holes(low_rank(60, 20, mean=1.0))
    weight = np.random.default_rng(0).integers(0, 3, len(X))
    weighted, repeated = model(bias=bias), model(bias=bias)
    for part, weights in batches(X, 20, weight):
        weighted.partial_fit(part, sample_weight=weights)
        repeated.partial_fit(np.repeat(part, weights, axis=0))
    np.testing.assert_allclose(values(weighted, X), values(repeated, X), rtol=1e-6, atol=1e-7)
    assert weighted.n_samples_seen_ == repeated.n_samples_seen_ == weight.sum()


def test_entry_weight_zero_is_missing():
    X = low_rank(60, 20)
    holed = punch_holes(X)
    weight = (~np.isnan(holed)).astype(float)
    weighted, missing = model(), model()
    for part, weights, with_holes in batches(X, 20, weight, holed):
        weighted.partial_fit(part, entry_weight=weights)
        missing.partial_fit(with_holes)
    np.testing.assert_allclose(values(weighted, holed), values(missing, holed), atol=1e-7)


def test_the_order_within_a_batch_does_not_matter():
    X = punch_holes(low_rank(60, 20))
    forward, backward = model(), model()
    for (part,) in batches(X, 30):
        forward.partial_fit(part)
        backward.partial_fit(part[::-1])
    np.testing.assert_allclose(values(forward, X), values(backward, X), atol=1e-7)


@pytest.mark.parametrize("bias", BIASES)
def test_rows_without_entries_change_nothing(bias):
    X = punch_holes(low_rank(60, 20, mean=1.0))
    padded = np.vstack([np.full((5, 20), np.nan), X, np.full((3, 20), np.nan)])
    plain, more = model(bias=bias).partial_fit(X), model(bias=bias).partial_fit(padded)
    np.testing.assert_allclose(more.components_, plain.components_, rtol=1e-6, atol=1e-9)
    before = more.components_
    with pytest.warns(UserWarning, match="no observed entry: this batch changes nothing"):
        more.partial_fit(padded[:5])
    assert more.components_ is before
    assert more.n_samples_seen_ == 60


def test_an_empty_first_batch_leaves_the_estimator_unfitted():
    estimator = model()
    with pytest.warns(UserWarning, match="this batch changes nothing"):
        estimator.partial_fit(np.full((2, 20), np.nan))
    with pytest.raises(NotFittedError):
        estimator.transform(low_rank(5, 20))
    assert estimator.partial_fit(low_rank(5, 20)).n_components_ == 3


@pytest.mark.parametrize("bias", BIASES)
def test_features_never_observed_stay_at_zero_until_they_are(bias):
    X = punch_holes(low_rank(600, 20, mean=1.0))
    late = X.copy()
    late[:200, 4] = np.nan
    online = model(bias=bias).partial_fit(late[:200])
    np.testing.assert_array_equal(online.components_[:, 4], 0)
    expected = {False: 0.0, "features": 0.0}.get(bias, np.nanmean(late[:200]))
    np.testing.assert_allclose(online.feature_bias_[4], expected, atol=1e-9)
    for (part,) in batches(late[200:], 20):
        online.partial_fit(part)
    fitted = model(bias=bias, tol=1e-6).fit(late)
    errors = [np.nanmean((values(one, X) - X)[:, 4] ** 2) for one in (online, fitted)]
    assert errors[0] < 1.05 * errors[1]


@pytest.mark.parametrize(("bias", "alpha", "holes"), pairwise(BIASES, [0.0, 0.02], [0.0, 0.3]))
def test_a_row_after_fit_does_not_throw_the_components_away(bias, alpha, holes):
    X = low_rank(500, 20, mean=1.0)
    X = punch_holes(X, holes) if holes else X
    fitted = model(bias=bias, alpha_W=alpha, tol=1e-8).fit(X)
    assert fitted.n_samples_seen_ == 500
    before = values(fitted, X)
    strange = 5 * np.random.default_rng(0).normal(size=(1, 20))
    after = values(fitted.partial_fit(strange), X)
    assert fitted.n_samples_seen_ == 501
    assert np.std(after - before) < 0.1 * np.std(before)
    assert np.any(after != before)


@pytest.mark.parametrize("bias", BIASES)
def test_a_fit_goes_on_with_the_rest(bias):
    X = punch_holes(low_rank(1000, 20, mean=1.0))
    whole = model(bias=bias, tol=1e-7).fit(X)
    online = streamed(model(bias=bias, tol=1e-7).fit(X[:500]), X[500:], 10)
    assert objective(online, X) < 1.01 * objective(whole, X)


def test_fit_starts_anew():
    X, other = punch_holes(low_rank(60, 20)), punch_holes(low_rank(60, 20, seed=5))
    once, twice = model().fit(X), model().partial_fit(other).fit(X)
    np.testing.assert_array_equal(once.components_, twice.components_)
    np.testing.assert_array_equal(
        once.partial_fit(other).components_, twice.partial_fit(other).components_
    )


@pytest.mark.parametrize("bias", BIASES)
def test_a_pickle_goes_on_as_the_original_does(bias):
    X = punch_holes(low_rank(60, 20))
    original = streamed(model(bias=bias), X[:40], 10)
    copy = pickle.loads(pickle.dumps(original))
    original.partial_fit(X[40:])
    np.testing.assert_array_equal(copy.partial_fit(X[40:]).components_, original.components_)


@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_memory_stays_flat(holes):
    rng, online = np.random.default_rng(0), model()
    H = rng.normal(size=(3, 50))

    def go_on(n):
        for _ in range(n):
            X = rng.normal(size=(100, 3)) @ H + 0.1 * rng.normal(size=(100, 50))
            online.partial_fit(np.where(rng.random(X.shape) < holes, np.nan, X))

    go_on(10)
    size = len(pickle.dumps(online))
    tracemalloc.start()
    go_on(10)
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    go_on(50)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 100 * 50 * 8  # one batch
    assert abs(len(pickle.dumps(online)) - size) < 1000


def test_complete_data_share_their_sums_until_a_hole_comes():
    X = low_rank(60, 20)
    online = streamed(model(), X[:40], 20)
    assert online._stream.sums.grams.shape == (1, 3, 3)
    assert online.partial_fit(punch_holes(X)[40:])._stream.sums.grams.shape == (20, 3, 3)


def drifting(n, turn):
    """Rows whose components turn a little with every row, and their hidden truth."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 3, 20))
    for i in range(n):
        H = np.cos(turn * i) * first + np.sin(turn * i) * second
        clean = rng.normal(size=(10, 3)) @ H
        hidden = rng.random(clean.shape) < 0.3
        yield np.where(hidden, np.nan, clean + 0.1 * rng.normal(size=clean.shape)), clean, hidden


def test_forgetting_follows_a_drift():
    errors = []
    for forget_factor in (1.0, 0.99):
        online, squares = model(alpha_W=0.01, forget_factor=forget_factor), []
        for i, (X, clean, hidden) in enumerate(drifting(150, 0.02)):
            if i >= 75:
                squares.append(np.mean((values(online, X) - clean)[hidden] ** 2))
            online.partial_fit(X)
        errors.append(np.sqrt(np.mean(squares)))
    assert errors[1] < 0.6 * errors[0]


def test_what_is_forgotten_does_not_depend_on_the_size_of_batches():
    X = punch_holes(low_rank(60, 20))
    problem_counts = []
    for size in (1, 7, 60):
        stream = streamed(model(forget_factor=0.95), X, size)._stream
        problem_counts.append((stream.n_kept, stream.n_rows))
    # Each batch counts fully; without that it would be (1 - 0.95^60) / 0.05.
    np.testing.assert_allclose(problem_counts[0], ((1 - 0.95**60) / 0.05, 60))
    assert problem_counts[0][0] < problem_counts[1][0] < problem_counts[2][0] == 60


@pytest.mark.parametrize(
    ("bias", "size"), [(False, 1), ("features", 20), ("samples", 20), ("both", 1)]
)
def test_float32_stays_float32(bias, size):
    X = punch_holes(low_rank(120, 20, mean=1.0))
    single = streamed(model(bias=bias), X.astype(np.float32), size)
    double = streamed(model(bias=bias), X, size)
    assert single.components_.dtype == single.feature_bias_.dtype == np.float32
    assert single.transform(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(objective(single, X), objective(double, X), rtol=0.02)


def test_names_and_containers():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(low_rank(40, 5), columns=list("abcde"))
    online = model(n_components=2).set_output(transform="pandas").partial_fit(X[:20])
    assert list(online.partial_fit(X[20:]).feature_names_in_) == list("abcde")
    assert isinstance(online.transform(X), pd.DataFrame)
    with pytest.raises(ValueError, match="feature names should match"):
        online.partial_fit(X[list("edcba")])


def test_the_rank():
    X = low_rank(4, 20)
    assert model(n_components=None).partial_fit(X).n_components_ == 10
    assert model(n_components=7).partial_fit(X).components_.shape == (7, 20)
    with pytest.raises(ValueError, match=r"n_components=21 is too large.*n_features=20"):
        model(n_components=21).partial_fit(X)
    online = model(n_components=3).partial_fit(X)
    with pytest.raises(ValueError, match="n_components=4, but the components so far are 3"):
        online.set_params(n_components=4).partial_fit(X)


def test_another_bias_is_refused():
    online = model().partial_fit(low_rank(10, 20))
    with pytest.raises(ValueError, match="bias has changed"):
        online.set_params(bias="both").partial_fit(low_rank(10, 20))


def test_a_refused_batch_changes_nothing():
    X = low_rank(30, 20)
    online = model().partial_fit(X)
    before = pickle.dumps(online)
    with pytest.raises(ValueError, match="20 features"):
        online.partial_fit(X[:, :10])
    with pytest.raises(ValueError, match="infinity"):
        online.partial_fit(np.where(X[0, 0] == X, np.inf, X))
    with pytest.raises(ValueError, match="entry_weight"):
        online.partial_fit(X, entry_weight=-np.ones_like(X))
    assert pickle.dumps(online) == before


def test_zeros_are_no_trap():
    X = low_rank(100, 20)
    online = streamed(model().partial_fit(np.zeros((5, 20))), X, 20)
    assert np.std(values(online, X) - X) < 0.5 * np.std(X)


class TestSolve:
    def test_sound_systems(self):
        rng = np.random.default_rng(0)
        roots = rng.normal(size=(5, 6, 3))
        systems, targets = np.swapaxes(roots, 1, 2) @ roots, rng.normal(size=(5, 3, 2))
        expected = np.linalg.solve(systems, targets)
        np.testing.assert_allclose(solve(systems, targets, 1e-16), expected)
        shared = solve(systems[:1], targets, 1e-16)
        np.testing.assert_allclose(shared, [np.linalg.solve(systems[0], t) for t in targets])

    def test_singular_systems_take_the_smallest_solution(self):
        rng = np.random.default_rng(0)
        roots = rng.normal(size=(4, 2, 3))  # of rank 2
        roots[1] = 0
        systems = np.swapaxes(roots, 1, 2) @ roots
        targets = systems @ rng.normal(size=(4, 3, 1))
        eps = np.finfo(np.float64).eps
        expected = np.linalg.pinv(systems, rcond=1e-10) @ targets
        np.testing.assert_allclose(solve(systems, targets, eps), expected, atol=1e-8)


def penalties(stream, Ht, problem):
    """What the codes in the sums of a stream cost, and the components."""
    k, width = problem.n_components, problem.width
    squares = np.diagonal(stream.sums.grams, axis1=1, axis2=2)[:, :width].sum()
    columns = (Ht[:, :k] ** 2).sum(axis=1)
    if problem.columns.bias_ridge:
        columns = columns + Ht[:, k] ** 2
    return 0.02 * (squares + stream.totals @ columns)


@pytest.mark.parametrize("bias", BIASES)
def test_the_form_of_least_penalties_leaves_the_model_as_it_is(bias):
    X, rng = punch_holes(low_rank(300, 20, mean=1.0)), np.random.default_rng(0)
    online = streamed(model(bias=bias), X, 30)
    problem = Objective.of(online, online.loss_).problem(observe(X), 3)
    problem = replace(problem, offset=online._stream.offset)
    Ht = FactorModel.of(online).features_factor(problem)
    Ht[:, :3] = Ht[:, :3] @ (np.eye(3) + 0.3 * rng.normal(size=(3, 3)))
    stream = Stream.empty(problem).started(problem, Ht)
    before = stream.updated(problem, Ht, 1.0)[0]
    factor = before.solved(problem, Ht)
    after, balanced = before.balanced(problem, factor)
    # The same data explained by the same left rows, but for a change of coordinates.
    explained = [
        np.sum(one.sums.solved(1e-16) * one.sums.moments, axis=1) for one in (before, after)
    ]
    np.testing.assert_allclose(*explained, rtol=1e-6)
    least = penalties(after, balanced, problem)
    assert least < penalties(before, factor, problem)
    for _ in range(20):  # of all mixtures of the components none costs less
        mix, change = np.eye(3) + 0.05 * rng.normal(size=(3, 3)), np.eye(after.sums.grams.shape[1])
        change[:3, :3] = np.linalg.inv(mix)
        other = balanced.copy()
        other[:, :3] = balanced[:, :3] @ mix
        assert penalties(after._with_left(change), other, problem) > least


class TestNewColumns:
    @pytest.mark.parametrize("bias", BIASES)
    @pytest.mark.parametrize("container", [np.asarray, store_observed])
    def test_columns_of_the_fit_get_their_components(self, bias, container):
        X = punch_holes(low_rank(60, 12, mean=1.0))
        settings = {"tol": 1e-13, "unstored": "missing", "solver": "als"}
        fitted = model(bias=bias, **settings).fit(container(X))
        H = fitted.transform_columns(container(X[:, 3:7]), fitted.transform(container(X)))
        expected = fitted.components_.T
        if bias in ("features", "both"):
            expected = np.column_stack([expected, fitted.feature_bias_])
        np.testing.assert_allclose(H, expected[3:7], atol=1e-4)

    def test_unseen_columns_are_predicted(self):
        X = low_rank(200, 30)
        fitted = model(bias="features").fit(X[:, :20])
        W = fitted.transform(X[:, :20])
        half = X[:, 20:].copy()
        half[100:] = np.nan
        H = fitted.transform_columns(half, W)
        found = W @ H[:, :3].T + H[:, 3]
        assert np.std((found - X[:, 20:])[100:]) < 0.2 * np.std(X)

    def test_an_empty_column_is_zero_and_warned_of(self):
        X = low_rank(30, 10)
        fitted = model().fit(X)
        with pytest.warns(UserWarning, match="1 of 2 features have no observed entry"):
            H = fitted.transform_columns(
                np.column_stack([X[:, 0], np.full(30, np.nan)]), fitted.transform(X)
            )
        np.testing.assert_array_equal(H[1], 0)
        assert H[0].any()

    def test_codes_of_another_shape_are_refused(self):
        X = low_rank(30, 10)
        fitted = model(bias="both").fit(X)
        with pytest.raises(ValueError, match=r"W has the shape \(30, 3\), it must be \(30, 4\)"):
            fitted.transform_columns(X, fitted.transform(X)[:, :3])
        with pytest.raises(NotFittedError):
            model().transform_columns(X, X)


class TestGrowth:
    @pytest.mark.parametrize("bias", BIASES)
    def test_more_columns_end_where_a_cold_fit_does_and_sooner(self, bias):
        X = punch_holes(low_rank(200, 50, mean=1.0), 0.8)
        settings = {"bias": bias, "solver": "als", "tol": 1e-6, "warm_start": True}
        grown = model(**settings).fit(X[:, :45]).fit(X)
        cold = model(**settings).fit(X)
        np.testing.assert_allclose(objective(grown, X), objective(cold, X), rtol=1e-3)
        assert grown.n_iter_ < cold.n_iter_
        assert grown.components_.shape == (3, 50)

    def test_fewer_columns_are_refused(self):
        grown = model(warm_start=True).fit(low_rank(30, 10))
        with pytest.raises(ValueError, match="X has 9 features, but warm_start=True"):
            grown.fit(low_rank(30, 9))
        assert grown.n_features_in_ == 10

    def test_names_must_be_a_prefix(self):
        pd = pytest.importorskip("pandas")
        X = pd.DataFrame(low_rank(30, 6), columns=list("abcdef"))
        grown = model(warm_start=True).fit(X[list("abcd")]).fit(X)
        assert list(grown.feature_names_in_) == list("abcdef")
        with pytest.raises(ValueError, match="first features of X must be those of the last fit"):
            grown.fit(X[list("bacdef")])
