"""What models recommend, against complete sorts of what they predict."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics.pairwise import cosine_similarity

from sklearn_mf import MatrixFactorization
from sklearn_mf.objective.factor_model import FactorModel
from sklearn_mf.retrieval import (
    Candidates,
    best_columns,
    contributions,
    most_similar,
    reranked,
    seen_in,
)
from sklearn_mf.retrieval import top as top_module


def ratings(dtype=np.float64, n_samples=60, n_features=40):
    rng = np.random.default_rng(0)
    X = rng.integers(1, 6, size=(n_samples, n_features)).astype(dtype)
    X[rng.random(X.shape) < 0.7] = 0
    return sparse.csr_array(X)


def fitted(X, **parameters):
    parameters = {"unstored": "missing", "alpha_W": 0.1, "random_state": 0} | parameters
    return MatrixFactorization(3, **parameters).fit(X)


def unmarked(rows):
    return lambda scores, columns: None


def brute(predicted, allowed, n):
    """Sorted by what is predicted, then by column."""
    items = np.full((len(predicted), n), -1)
    for i, row in enumerate(predicted):
        order = sorted(np.flatnonzero(allowed[i]), key=lambda j: (-row[j], j))[:n]
        items[i, : len(order)] = order
    return items


@pytest.mark.parametrize("bias", [False, "features", "both"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_best_columns_are_those_of_a_sort(dtype, bias):
    X = ratings(dtype)
    estimator = fitted(X, bias=bias)
    W = estimator.transform(X)
    seen = X.toarray() > 0
    items, scores = best_columns(
        FactorModel.of(estimator), W, 12, Candidates(None, (seen_in(X, "missing"),))
    )
    predicted = estimator.inverse_transform(W)
    assert scores.dtype == dtype
    np.testing.assert_array_equal(items, brute(predicted, ~seen, 12))
    np.testing.assert_allclose(scores, np.take_along_axis(predicted, items, axis=1), rtol=1e-4)


@pytest.mark.parametrize("loss", ["logistic", "poisson"])
def test_scores_are_on_the_scale_of_the_data(loss):
    X = ratings().toarray()
    X = np.where(X > 2, 1.0, 0.0) if loss == "logistic" else X
    estimator = MatrixFactorization(2, loss=loss, alpha_W=0.1, random_state=0).fit(X)
    W = estimator.transform(X)
    items, scores = best_columns(FactorModel.of(estimator), W, 5, Candidates())
    predicted = estimator.inverse_transform(W)
    np.testing.assert_array_equal(items, brute(predicted, np.ones(X.shape, bool), 5))
    np.testing.assert_allclose(scores, np.take_along_axis(predicted, items, axis=1), rtol=1e-9)


def test_columns_with_losses_of_their_own_are_compared_by_their_means():
    X = ratings().toarray()
    X[:, :10] = X[:, :10] > 2
    losses = [("logistic", slice(0, 10)), ("squared", slice(10, None))]
    estimator = MatrixFactorization(2, loss=losses, alpha_W=0.1, random_state=0).fit(X)
    W = estimator.transform(X)
    predicted = estimator.inverse_transform(W)
    few = np.arange(5, 20)
    for columns, allowed in [(None, np.arange(40) >= 0), (few, np.isin(np.arange(40), few))]:
        items, scores = best_columns(FactorModel.of(estimator), W, 25, Candidates(columns))
        np.testing.assert_array_equal(items, brute(predicted, np.tile(allowed, (60, 1)), 25))
        there = np.take_along_axis(predicted, np.maximum(items, 0), axis=1)
        np.testing.assert_allclose(scores, np.where(items < 0, np.nan, there), rtol=1e-9)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array, sparse.coo_matrix])
def test_filters_of_rows_and_columns(container):
    X = ratings()
    estimator = fitted(X)
    W = estimator.transform(X)
    predicted = estimator.inverse_transform(W)
    rng = np.random.default_rng(1)
    excluded, allowed = (rng.random(X.shape) < share for share in (0.3, 0.5))
    excluded[3], allowed[4] = True, False
    columns = np.array([30, 2, 2, 7, 39, 11])
    seen = X.toarray() > 0
    of_column = np.isin(np.arange(X.shape[1]), columns)
    for items, exclude, expected in [
        (columns, None, of_column & ~seen),
        (of_column, container(excluded), of_column & ~seen & ~excluded),
        (container(allowed), container(excluded), allowed & ~seen & ~excluded),
        (None, container(excluded), ~seen & ~excluded),
    ]:
        candidates = Candidates.of(items, exclude, seen_in(X, "missing"), X.shape)
        found, scores = best_columns(FactorModel.of(estimator), W, 10, candidates)
        np.testing.assert_array_equal(found, brute(predicted, expected, 10))
        np.testing.assert_array_equal(np.isnan(scores), found < 0)
    assert (found[3] == -1).all()


def test_names_of_columns():
    names = [f"item {j}" for j in range(5)]
    candidates = Candidates.of(["item 3", "item 1"], None, None, (2, 5), names)
    np.testing.assert_array_equal(candidates.columns, [1, 3])
    with pytest.raises(ValueError, match=r"items contains 'item 8', which is not.*Did you mean"):
        Candidates.of(["item 8"], None, None, (2, 5), names)
    with pytest.raises(ValueError, match="the training data had none"):
        Candidates.of(["item 3"], None, None, (2, 5))


@pytest.mark.parametrize(
    ("items", "exclude", "message"),
    [
        ([5], None, "column 5, but columns are numbered from 0 to 4"),
        ([-1], None, "column -1"),
        ([], None, "items is empty"),
        ([True, False], None, "a mask of 2 columns, but X has 5"),
        ([0.5], None, "integers, names or a mask"),
        (np.ones((2, 4), bool), None, r"items has shape \(2, 4\), but must have shape \(2, 5\)"),
        (None, np.ones((3, 5), bool), r"exclude has shape \(3, 5\)"),
        (None, np.ones((2, 5)), "exclude must be a sparse or boolean mask"),
    ],
)
def test_wrong_filters_are_refused(items, exclude, message):
    with pytest.raises(ValueError, match=message):
        Candidates.of(items, exclude, None, (2, 5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ties_go_to_the_lower_column_whatever_blas_does(dtype):
    rng = np.random.default_rng(0)
    few = rng.normal(size=(7, 13)).astype(dtype)
    which = rng.integers(0, 7, size=3001)
    left = rng.normal(size=(101, 13)).astype(dtype)
    columns, values = top_module.best_of_product(left, few[which], 600, unmarked)
    for i in range(len(left)):
        # Of columns that are the same, each before the next; and all of one before another.
        found = which[columns[i]]
        starts = np.flatnonzero(np.diff(found, prepend=-1))
        assert len(set(found[starts])) == len(starts)
        for part in np.split(columns[i], starts[1:]):
            assert (np.diff(part) > 0).all()
            assert part[0] == np.flatnonzero(which == which[part[0]])[0]
    assert (np.diff(values, axis=1) <= 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_gets_the_same_alone_and_for_any_number_of_threads(dtype, monkeypatch):
    rng = np.random.default_rng(0)
    left, right = (rng.normal(size=(n, 33)).astype(dtype) for n in (300, 500))
    columns, values = top_module.best_of_product(left, right, 9, unmarked)
    monkeypatch.setattr(top_module, "ROWS", 7)  # many blocks
    monkeypatch.setattr(top_module, "COLUMNS", 40)
    for threads in (1, 3):
        monkeypatch.setattr("sklearn_mf.utils._threads.n_threads", lambda *_, n=threads: n)
        found = top_module.best_of_product(left, right, 9, unmarked)
        np.testing.assert_array_equal(found[0], columns)
        np.testing.assert_array_equal(found[1], values)
    alone = top_module.best_of_product(left[5:6], right, 9, unmarked)
    np.testing.assert_array_equal(alone[0], columns[5:6])
    np.testing.assert_array_equal(alone[1], values[5:6])


def test_seen_is_what_was_observed():
    X = sparse.csr_array(
        (np.array([2.0, 0.0, np.nan, -1.0]), ([0, 0, 1, 1], [0, 1, 0, 2])), shape=(2, 3)
    )
    for unstored, expected in [
        ("zero", [[True, False, False], [False, False, True]]),
        ("missing", [[True, True, False], [False, False, True]]),
    ]:
        np.testing.assert_array_equal(seen_in(X, unstored).toarray(), expected)
    dense = np.array([[2.0, 0.0, np.nan], [np.nan, np.nan, -1.0]])
    np.testing.assert_array_equal(seen_in(dense, "missing"), ~np.isnan(dense))
    np.testing.assert_array_equal(seen_in(dense, "zero"), np.nan_to_num(dense) != 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_similar_vectors_are_those_of_the_largest_cosines(dtype):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 4)).astype(dtype)
    vectors[7] = 0
    cosines = cosine_similarity(vectors)
    allowed = ~np.eye(50, dtype=bool)
    allowed[7], allowed[:, 7] = False, False
    numbers, found = most_similar(vectors, vectors, 10, np.arange(50))
    np.testing.assert_array_equal(numbers, brute(cosines, allowed, 10))
    there = np.take_along_axis(cosines, np.maximum(numbers, 0), axis=1)
    np.testing.assert_allclose(found, np.where(numbers < 0, np.nan, there), rtol=1e-5)


def test_vectors_whose_squares_are_no_numbers_have_a_direction():
    vectors = np.array([[1e-300, 0], [0, 1e300], [1, 0]])
    numbers, found = most_similar(vectors, vectors, 1, np.arange(3))
    assert numbers[0, 0] == 2
    assert found[0, 0] == 1


def test_contributions_are_differences_of_predictions():
    X = ratings()
    estimator, X = fitted(X, bias="both"), X[:8]
    seen = seen_in(X, "missing")
    items, differences = contributions(
        lambda rows: estimator.inverse_transform(estimator.transform(rows))[:, 4], X, seen, 30
    )
    dense = np.where(X.toarray() == 0, np.nan, X.toarray())
    for i in range(8):
        known = np.flatnonzero(X.toarray()[i])
        assert set(items[i][items[i] >= 0]) == set(known)
        expected = {}
        before = estimator.inverse_transform(estimator.transform(dense[i : i + 1]))[0, 4]
        for j in known:
            without = dense[i : i + 1].copy()
            without[0, j] = np.nan
            after = estimator.inverse_transform(estimator.transform(without))[0, 4]
            expected[j] = before - after
        n = len(known)
        np.testing.assert_allclose(
            differences[i, :n], [expected[j] for j in items[i, :n]], atol=1e-9
        )
        assert (np.diff(differences[i, :n]) <= 0).all()
        assert np.isnan(differences[i, n:]).all()


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_contributions_where_zeros_are_zeros(container):
    X = ratings(n_samples=6).toarray()
    estimator = MatrixFactorization(2, alpha_W=0.1, random_state=0).fit(X)

    def predict(rows):
        return estimator.inverse_transform(estimator.transform(rows))[:, 1]

    rows = container(X)
    items, differences = contributions(predict, rows, seen_in(rows, "zero"), 3)
    for i in range(6):
        without = X[i : i + 1].copy()
        without[0, items[i, 0]] = 0
        expected = predict(X[i : i + 1]) - predict(without)
        np.testing.assert_allclose(differences[i, 0], expected[0], atol=1e-9)


def mmr_by_hand(columns, values, vectors, n, d):
    cosines = cosine_similarity(vectors)
    scaled = (values - np.nanmin(values)) / (np.nanmax(values) - np.nanmin(values))
    left, chosen = [p for p in range(len(columns)) if columns[p] >= 0], []
    while left and len(chosen) < n:
        gain = [
            (1 - d) * scaled[p]
            - d * max((cosines[columns[p], columns[q]] for q in chosen), default=0)
            for p in left
        ]
        chosen.append(left.pop(int(np.argmax(gain))))
    return [columns[p] for p in chosen]


@pytest.mark.parametrize("diversity", [0, 0.3, 0.8, 1])
def test_reranking_is_maximal_marginal_relevance(diversity):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(30, 3))
    values = -np.sort(-rng.normal(size=(9, 12)), axis=1)
    columns = np.array([rng.permutation(30)[:12] for _ in range(9)])
    columns[2, 5:], values[2, 5:] = -1, np.nan
    columns[3], values[3] = -1, np.nan
    found, relevance = reranked(columns, values, vectors, 8, diversity)
    for i in range(9):
        if i != 3:
            expected = mmr_by_hand(columns[i], values[i], vectors, 8, diversity)
            np.testing.assert_array_equal(found[i][: len(expected)], expected)
            assert (found[i][len(expected) :] == -1).all()
    assert (found[3] == -1).all()
    np.testing.assert_array_equal(np.isnan(relevance), found < 0)
    if diversity == 0:
        np.testing.assert_array_equal(found, columns[:, :8])
