"""Metrics of rankings against scikit-learn, brute force and numbers on paper."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import ndcg_score

from sklearn_mf import kernels, metrics
from sklearn_mf.kernels import ranking
from sklearn_mf.metrics import ranking_report, ranking_samples


def case(n_rows=40, n_columns=30, m=12, seed=0):
    """Graded relevance, rankings by random scores, some short, and a row without relevance."""
    rng = np.random.default_rng(seed)
    gains = rng.integers(1, 6, size=(n_rows, n_columns)) * (rng.random((n_rows, n_columns)) < 0.2)
    gains[3] = 0
    gains[4] = 1 + np.arange(n_columns) % 5
    scores = rng.normal(size=(n_rows, n_columns))
    items = np.argsort(-scores, axis=1)[:, :m].copy()
    return gains.astype(np.float64), scores, items


def by_hand(relevant, columns, k):
    """Metrics of one row as they are defined."""
    hits = [c in relevant for c in columns[:k]]
    n = len(relevant)
    precisions = [sum(hits[: r + 1]) / (r + 1) for r in range(k) if hits[r]]
    return {
        "precision": sum(hits) / k,
        "recall": sum(hits) / n,
        "capped_recall": sum(hits) / min(k, n),
        "hit_rate": float(any(hits)),
        "map": sum(precisions) / min(k, n),
        "mrr": 1 / (hits.index(True) + 1) if any(hits) else 0.0,
    }


@pytest.mark.parametrize("k", [1, 3, 12])
def test_metrics_are_as_they_are_defined(k):
    gains, _, items = case()
    items[5, 4:] = -1
    items[6] = -1
    rows = np.flatnonzero(gains.any(axis=1))
    expected = [by_hand(set(np.flatnonzero(gains[i])), list(items[i]), k) for i in rows]
    samples = ranking_samples(sparse.csr_array(gains), items, k=k)
    report = ranking_report(sparse.csr_array(gains), items, k=k)
    for name in expected[0]:
        values = [row[name] for row in expected]
        np.testing.assert_allclose(samples[f"{name}@{k}"][rows], values, atol=1e-14)
        assert report[f"{name}@{k}"] == pytest.approx(np.mean(values), abs=1e-14)
    assert np.isnan(samples[f"recall@{k}"][3])


@pytest.mark.parametrize("k", [1, 5, 30])
def test_ndcg_is_that_of_scikit_learn(k):
    gains, scores, items = case(m=30)
    kept = gains.any(axis=1)
    for name, relevance in [("ndcg", gains), ("binary_ndcg", (gains > 0).astype(float))]:
        expected = ndcg_score(relevance[kept], scores[kept], k=k)
        assert ranking_report(gains, items, k=k)[f"{name}@{k}"] == pytest.approx(expected)


def test_coverage_and_gini_are_as_they_are_defined():
    gains, _, items = case(m=2)
    counts = np.bincount(items.ravel(), minlength=30)
    differences = np.abs(counts[:, None] - counts).mean()
    report = ranking_report(gains, items, k=2)
    assert report["gini@2"] == pytest.approx(differences / (2 * counts.mean()))
    assert report["coverage@2"] == np.mean(counts > 0)
    same = np.zeros_like(items[:, :1])
    assert metrics.gini_at_k(gains, same, k=1) == pytest.approx(29 / 30)
    assert metrics.gini_at_k(gains, np.full_like(same, -1), k=1) == 0


def test_every_function_is_a_line_of_the_report():
    gains, _, items = case()
    report = ranking_report(gains, items, k=(3, 7))
    names = {name for name in metrics.__all__ if name.endswith("_at_k")}
    assert {f"{name.removesuffix('_at_k')}@{k}" for name in names for k in (3, 7)} == set(report)
    for name in names:
        key = f"{name.removesuffix('_at_k')}@7"
        assert getattr(metrics, name)(gains, items, k=7) == report[key]


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_the_kernel_equals_its_reference_for_any_number_of_threads(index):
    gains, _, items = case(n_rows=300)
    items[7, 3:] = -1
    truth = sparse.csr_array(gains)
    ideal = np.concatenate([np.sort(row[row > 0])[::-1] for row in gains])
    arrays = truth.indptr.astype(index), truth.indices.astype(index), truth.data, ideal
    cutoffs = np.array([1, 5, 12])
    expected = ranking.score_rankings(items, arrays, cutoffs, 1)
    once = kernels.score_rankings(items, arrays, cutoffs, 1)
    np.testing.assert_allclose(once, expected, rtol=1e-13)
    np.testing.assert_array_equal(kernels.score_rankings(items, arrays, cutoffs, 4), once)


def test_what_is_not_positive_is_not_relevant():
    X = sparse.csr_array(
        (np.array([1.0, -2.0, 0.0, np.nan]), ([0, 0, 0, 0], [0, 1, 2, 3])), shape=(1, 5)
    )
    assert metrics.recall_at_k(X, [[0, 4]], k=2) == 1
    assert metrics.precision_at_k(X, [[1, 2]], k=2) == 0
    assert X.nnz == 4
    dense = X.toarray()
    assert ranking_report(dense, [[3, 0]], k=2) == ranking_report(X, [[3, 0]], k=2)


@pytest.mark.parametrize(
    ("items", "k", "message"),
    [
        ([[0.5]], 1, "items must be integers"),
        ([0, 1], 1, "items must be integers of shape"),
        ([[0], [1]], 1, "items has 2 rows, but X_true has 1"),
        ([[3]], 1, "items contains 3 in row 0, but columns are numbered from 0 to 2"),
        ([[-2]], 1, "items contains -2"),
        ([[1, 1]], 1, "column 1 twice in row 0"),
        ([[1, 2]], 3, r"recommend\(X, n=3\)"),
        ([[1, 2]], 0, "k must be a positive integer"),
        ([[1, 2]], 1.5, "k must be"),
        ([[1, 2]], True, "k must be"),
        ([[1, 2]], [], "k must be"),
    ],
)
def test_what_is_no_ranking_is_refused(items, k, message):
    with pytest.raises(ValueError, match=message):
        ranking_report(np.array([[1.0, 0, 2]]), items, k=k)


def test_nothing_relevant_has_no_score():
    with pytest.raises(ValueError, match="no column is relevant"):
        ranking_report(np.zeros((2, 3)), [[0], [1]], k=1)
    assert np.isnan(ranking_samples(np.zeros((2, 3)), [[0], [1]], k=1)["ndcg@1"]).all()
