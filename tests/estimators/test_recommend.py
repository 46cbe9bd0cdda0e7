"""Recommendations of every factorization, by their public methods."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from conftest import minutes_on_reference, random_csr
from scipy import sparse
from threadpoolctl import threadpool_limits

from sklearn_mf import NMF, ImplicitFactorization, MatrixFactorization, MiniBatchNMF

ESTIMATORS = [
    ImplicitFactorization(3, bias="features", random_state=0),
    MatrixFactorization(3, alpha_W=0.05, random_state=0),
    MatrixFactorization(3, bias="both", unstored="missing", alpha_W=0.05, random_state=0),
    MatrixFactorization(2, loss="poisson", alpha_W=0.05, max_iter=20, tol=0, random_state=0),
    NMF(3, alpha_W=0.01, init="nndsvda", tol=1e-2, random_state=0),
    MiniBatchNMF(3, alpha_W=0.01, tol=1e-2, random_state=0),
]


def counts(n_samples=80, n_features=30, seed=0):
    """Counts of three tastes; every row and column has some."""
    rng = np.random.default_rng(seed)
    tastes, topics = rng.gamma(0.5, size=(n_samples, 3)), rng.gamma(0.5, size=(3, n_features))
    X = rng.poisson(tastes @ topics + 0.1).astype(float)
    X[np.arange(n_samples), np.arange(n_samples) % n_features] += 1
    return sparse.csr_array(X)


@pytest.fixture(params=ESTIMATORS, ids=str)
def estimator(request):
    return request.param.fit(counts())


def brute(predicted, allowed, n):
    items = np.full((len(predicted), n), -1)
    for i, row in enumerate(predicted):
        order = sorted(np.flatnonzero(allowed[i]), key=lambda j: (-row[j], j))[:n]
        items[i, : len(order)] = order
    return items


def test_new_rows_get_the_best_of_what_they_have_not_seen(estimator):
    X = counts(20, seed=1)
    predicted = estimator.inverse_transform(estimator.transform(X))
    items, scores = estimator.recommend(X, n=28)
    np.testing.assert_array_equal(items, brute(predicted, X.toarray() == 0, 28))
    there = np.take_along_axis(predicted, np.maximum(items, 0), axis=1)
    np.testing.assert_allclose(scores, np.where(items < 0, np.nan, there), rtol=1e-6)
    everything = estimator.recommend(X, n=5, exclude_seen=False, return_scores=False)
    np.testing.assert_array_equal(everything, brute(predicted, np.ones(X.shape, bool), 5))


def test_whitened_codes_are_led_back():
    X = counts()
    model = MatrixFactorization(3, whiten=True, alpha_W=0.05, random_state=0).fit(X)
    predicted = model.inverse_transform(model.transform(X))
    expected = brute(predicted, X.toarray() == 0, 6)
    np.testing.assert_array_equal(model.recommend(X, n=6, return_scores=False), expected)


def test_batches_are_parts_of_the_whole(estimator):
    X = counts(50, seed=1)
    exclude = random_csr(X.shape, 0.2)
    items, scores = estimator.recommend(X, n=6, items=np.arange(20), exclude=exclude)
    found = list(
        estimator.iter_recommend(X, n=6, batch_size=16, items=np.arange(20), exclude=exclude)
    )
    rows, *parts = (np.concatenate(part) for part in zip(*found, strict=True))
    np.testing.assert_array_equal(rows, np.arange(50))
    np.testing.assert_array_equal(parts[0], items)
    np.testing.assert_allclose(parts[1], scores, rtol=1e-12)


def test_data_do_not_change(estimator):
    X, exclude = counts(20), sparse.csr_array(np.eye(20, 30))
    before = X.copy(), exclude.copy()
    estimator.recommend(X, exclude=exclude)
    estimator.explain(X[:2], 3)
    for now, then in zip((X, exclude), before, strict=True):
        for part in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(now, part), getattr(then, part))


def test_similar_features_have_components_in_the_same_direction(estimator):
    H = estimator.components_.T
    lengths = np.linalg.norm(H, axis=1)
    cosines = H @ H.T / np.outer(lengths, lengths)
    np.fill_diagonal(cosines, -np.inf)
    items, scores = estimator.similar_features([3, 7], n=4)
    np.testing.assert_allclose(scores, -np.sort(-cosines[[3, 7]], axis=1)[:, :4], rtol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(cosines[[3, 7]], items, 1), scores, rtol=1e-6)
    assert estimator.similar_features(n=4, return_scores=False).shape == (30, 4)


def test_similar_samples_have_codes_in_the_same_direction(estimator):
    X = counts(25, seed=1)
    W = estimator.transform(X)[:, : estimator.n_components_]
    unit = W / np.maximum(np.linalg.norm(W, axis=1), 1e-300)[:, None]
    cosines = unit @ unit.T
    _, scores = estimator.similar_samples(X[:5], n=3, among=X)
    expected = -np.sort(-cosines[:5], axis=1)[:, :3]
    np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-6)
    np.fill_diagonal(cosines, -np.inf)
    rows, scores = estimator.similar_samples(X, n=3)
    assert not (rows == np.arange(25)[:, None]).any()
    np.testing.assert_allclose(scores, -np.sort(-cosines, axis=1)[:, :3], rtol=1e-6, atol=1e-6)


def test_an_entry_contributes_what_a_prediction_loses_without_it(estimator):
    X = counts(5, seed=1)
    items, contributions = estimator.explain(X, column=4, n=3)
    assert np.isfinite(contributions[items >= 0]).all()
    for i in range(5):
        dense = X[i : i + 1].toarray()
        without = dense.copy()
        without[0, items[i, 0]] = 0
        before, after = (
            estimator.inverse_transform(estimator.transform(sparse.csr_array(row)))[0, 4]
            for row in (dense, without)
        )
        assert contributions[i, 0] == pytest.approx(before - after, rel=1e-5, abs=1e-7)


def test_reranked_recommendations_are_some_of_them_and_less_alike(estimator):
    X = counts(30, seed=1)
    items, scores = estimator.recommend(X, n=15)
    chosen, values = estimator.rerank_mmr(items, scores, n=5, diversity=0.7)
    for i in range(30):
        np.testing.assert_array_equal(chosen[i, 0], items[i, 0])
        assert set(chosen[i]) <= set(items[i])
        np.testing.assert_array_equal(
            values[i], scores[i][[list(items[i]).index(j) for j in chosen[i]]]
        )
    H = estimator.components_.T
    unit = H / np.linalg.norm(H, axis=1)[:, None]

    def likeness(columns):
        return np.mean([np.triu(unit[c] @ unit[c].T, 1).sum() for c in columns])

    assert likeness(chosen) < likeness(items[:, :5])


def test_threads_do_not_change_a_bit(estimator):
    X = counts(60, seed=1)
    found = []
    for n_threads in (1, 4):
        with threadpool_limits(n_threads):
            found.append([*estimator.recommend(X, n=7), *estimator.similar_features(n=3)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_have_the_precision_of_the_data(dtype):
    X = counts().astype(dtype)
    model = MatrixFactorization(2, alpha_W=0.1, random_state=0).fit(X)
    assert model.recommend(X)[1].dtype == dtype
    assert model.similar_features()[1].dtype == dtype


def test_containers_of_the_same_data_get_the_same():
    X = counts(40)
    model = MatrixFactorization(2, alpha_W=0.1, random_state=0).fit(X)
    items = model.recommend(X, n=4, return_scores=False)
    for other in (X.toarray(), sparse.csc_matrix(X), X.toarray().tolist()):
        np.testing.assert_array_equal(model.recommend(other, n=4, return_scores=False), items)


def test_what_nan_hides_has_not_been_seen():
    X = counts(40).toarray()
    holed = np.where(X == 0, np.nan, X)
    marked = np.where(X == 0, -1, X)
    model = MatrixFactorization(2, alpha_W=0.1, random_state=0).fit(holed)
    items = model.recommend(holed, n=4, return_scores=False)
    assert (X[np.arange(40)[:, None], items][items >= 0] == 0).all()
    other = MatrixFactorization(2, alpha_W=0.1, random_state=0, missing_values=-1).fit(marked)
    np.testing.assert_array_equal(other.recommend(marked, n=4, return_scores=False), items)


def test_names_of_a_frame_are_understood():
    names = [f"item {j}" for j in range(30)]
    X = pd.DataFrame(counts(40).toarray(), columns=names)
    model = MatrixFactorization(2, alpha_W=0.1, random_state=0).fit(X)
    wanted = ["item 7", "item 3", "item 20"]
    for items in (wanted, np.array(wanted), pd.Index(wanted), pd.Series(wanted)):
        found = model.recommend(X, n=2, items=items, exclude_seen=False, return_scores=False)
        assert set(np.unique(found)) <= {3, 7, 20}
    by_name, by_number = model.explain(X[:2], "item 4"), model.explain(X[:2], 4)
    np.testing.assert_array_equal(by_name, by_number)
    np.testing.assert_array_equal(
        model.similar_features(["item 4", "item 2"])[0], model.similar_features([4, 2])[0]
    )


def test_a_row_of_which_nothing_is_known_gets_what_is_expected_of_all():
    X = counts()
    model = MatrixFactorization(2, bias="features", alpha_W=0.1, random_state=0, unstored="missing")
    model.fit(X)
    with pytest.warns(UserWarning, match="no observed entry"):
        items, scores = model.recommend(sparse.csr_array((1, 30)), n=30)
    np.testing.assert_array_equal(items[0], np.argsort(-model.feature_bias_, kind="stable"))
    np.testing.assert_allclose(scores[0], -np.sort(-model.feature_bias_))
    with pytest.warns(UserWarning, match="first is row 1") as record:
        batches = list(
            model.iter_recommend(sparse.csr_array(np.eye(3, 30) * [[1], [0], [1]]), batch_size=1)
        )
    assert len(batches) == 3
    assert sum("no observed entry" in str(w.message) for w in record) == 1


def test_rows_that_have_everything_are_told_of():
    X = np.random.default_rng(0).normal(size=(20, 6))
    model = MatrixFactorization(2, random_state=0).fit(X)
    with pytest.warns(UserWarning, match="Nothing is left to recommend to any row"):
        items = model.recommend(X, n=3, return_scores=False)
    assert (items == -1).all()
    assert (model.recommend(X, n=3, exclude_seen=False, return_scores=False) >= 0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model, X: model.recommend(X, n=0), "n == 0, must be >= 1"),
        (lambda model, X: model.recommend(X, n=1.5), "n must be an instance of int"),
        (lambda model, X: model.recommend(X, n=True), "n must be an integer"),
        (lambda model, X: model.recommend(X, items=3), "items must be a list of columns"),
        (lambda model, X: model.explain(X, [3, 4]), "column must be one column"),
        (lambda model, X: model.recommend(X[:, :3]), "X has 3 features"),
        (lambda model, X: model.iter_recommend(X, batch_size=0), "batch_size == 0"),
        (lambda model, X: model.iter_recommend(X, items=[99]), "items contains column 99"),
        (lambda model, X: model.explain(X, 30), "column contains column 30"),
        (lambda model, X: model.similar_features([-1]), "columns contains column -1"),
        (lambda model, X: model.rerank_mmr([[0, 0]], [[1, 1]]), "column 0 twice in row 0"),
        (lambda model, X: model.rerank_mmr([[0, 1]], [[1]]), "scores has the shape"),
        (lambda model, X: model.rerank_mmr([[0]], [[1]], diversity=2), "diversity == 2"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    X = counts()
    model = MatrixFactorization(2, alpha_W=0.1, random_state=0).fit(X)
    with pytest.raises((ValueError, TypeError), match=message):
        call(model, X)


@minutes_on_reference
def test_memory_is_that_of_a_few_blocks_of_scores():
    rng = np.random.default_rng(0)
    n_samples, n_features = 8_000, 5_000  # whose scores are 160 MB
    entries = rng.integers(0, n_samples, 50_000), rng.integers(0, n_features, 50_000)
    X = sparse.csr_array((np.ones(50_000, np.float32), entries), shape=(n_samples, n_features))
    model = MatrixFactorization(4, max_iter=2, tol=0, alpha_W=0.1, random_state=0).fit(X)
    tracemalloc.start()
    model.recommend(X, n=5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6


def test_a_row_of_which_nothing_is_known_gets_what_all_like():
    rng = np.random.default_rng(0)
    liked = rng.random((200, 12)) < np.linspace(0.05, 0.6, 12)
    X = sparse.csr_array(liked.astype(float))
    items = (
        ImplicitFactorization(3, random_state=0)
        .fit(X)
        .recommend(sparse.csr_array((2, 12)), n=3, return_scores=False)
    )
    assert set(items[0]) <= {8, 9, 10, 11}
    np.testing.assert_array_equal(items[0], items[1])
