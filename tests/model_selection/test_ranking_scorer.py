"""Rankings of hidden entries, against loops by hand."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from conftest import minutes_on_reference
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from sklearn_mf import NMF, ImplicitFactorization, MatrixFactorization
from sklearn_mf.model_selection import (
    EntryHoldout,
    EntryShuffleSplit,
    EntryTimeSplit,
    RankingScorer,
    cross_val_entries,
    hide_entries,
    observed_entries,
)
from sklearn_mf.recommending import pivot_entries
from sklearn_mf.utils._hiding import hiding_stream, random_share_of_rows


def counts(n_samples=120, n_features=40, seed=0):
    rng = np.random.default_rng(seed)
    tastes, topics = rng.gamma(0.4, size=(n_samples, 4)), rng.gamma(0.4, size=(4, n_features))
    X = rng.poisson(tastes @ topics).astype(float)
    X[np.arange(n_samples), np.arange(n_samples) % n_features] += 1
    return sparse.csr_array(X)


def recall_by_hand(estimator, visible, hidden, k):
    """Mean over rows of the share of hidden entries that are among the first k unseen."""
    predicted = estimator.inverse_transform(estimator.transform(visible))
    seen, hidden = visible.toarray() != 0, hidden.toarray() > 0
    shares = []
    for i in np.flatnonzero(hidden.any(axis=1)):
        unseen = np.flatnonzero(~seen[i])
        best = unseen[np.argsort(-predicted[i, unseen], kind="stable")[:k]]
        shares.append(hidden[i, best].sum() / hidden[i].sum())
    return np.mean(shares)


def parts(X, fraction=0.2, seed=0):
    """What the scorer leaves visible, and what it hides."""
    rows, _, _ = observed_entries(X)
    chosen = np.flatnonzero(random_share_of_rows(rows, fraction, hiding_stream(seed)))
    visible = hide_entries(X, chosen)
    return visible, X - visible


@pytest.mark.parametrize(
    "estimator",
    [
        ImplicitFactorization(3, random_state=0),
        MatrixFactorization(3, alpha_W=0.1, random_state=0),
        MatrixFactorization(3, bias="both", unstored="missing", alpha_W=0.1, random_state=0),
        make_pipeline(MaxAbsScaler(), NMF(3, init="nndsvda", tol=1e-2, random_state=0)),
    ],
    ids=str,
)
def test_hidden_entries_are_ranked_among_all_that_is_not_visible(estimator):
    X, new = counts(), counts(50, seed=1)
    estimator = clone(estimator).fit(X)
    visible, hidden = parts(new)
    assert hidden.nnz > 20
    expected = recall_by_hand(estimator, visible, hidden, 7)
    score = RankingScorer("recall@7")(estimator, new)
    assert score == pytest.approx(expected, abs=1e-12)
    assert 0 < score < 1


def test_grid_search_finds_the_winner_of_a_loop_by_hand():
    X = counts()
    grid = [1, 3, 8, 20]
    search = GridSearchCV(
        ImplicitFactorization(random_state=0),
        {"n_components": grid},
        scoring=RankingScorer("recall@5", fraction=0.3, random_state=3),
        cv=KFold(3),
    ).fit(X)
    means = []
    for n_components in grid:
        scores = []
        for train, test in KFold(3).split(X):
            model = ImplicitFactorization(n_components, random_state=0).fit(X[train])
            scores.append(recall_by_hand(model, *parts(X[test], 0.3, 3), 5))
        means.append(np.mean(scores))
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], means, atol=1e-12)
    assert search.best_params_["n_components"] == grid[int(np.argmax(means))]
    assert len(set(means)) > 1


def test_the_number_of_topics_is_found_by_words_that_are_hidden():
    rng = np.random.default_rng(0)
    topics = np.kron(np.eye(4), rng.gamma(1, size=15)) / 15  # of words of their own
    X = sparse.csr_array(rng.poisson(60 * rng.dirichlet(np.full(4, 0.2), 250) @ topics))
    nmf = NMF(init="nndsvda", beta_loss="kullback-leibler", solver="mu", tol=1e-3, random_state=0)
    search = GridSearchCV(
        nmf, {"n_components": [1, 2, 4, 12, 30]}, scoring=RankingScorer("ndcg@10"), cv=3
    )
    assert search.fit(X.astype(float)).best_params_ == {"n_components": 4}


def test_a_splitter_may_say_what_is_hidden():
    X = counts()
    model = ImplicitFactorization(3, random_state=0)
    cv = EntryShuffleSplit(2, test_size=0.2, random_state=0)
    scores = cross_val_entries(model, X, cv=cv, metric=RankingScorer("recall@5"))["test_score"]
    for score, (_, test) in zip(scores, cv.split(X), strict=True):
        visible = hide_entries(X, test)
        expected = recall_by_hand(clone(model).fit(visible), visible, X - visible, 5)
        assert score == pytest.approx(expected, abs=1e-12)


def test_later_entries_are_ranked_by_what_was_before():
    X = counts()
    times = np.random.default_rng(0).permutation(X.nnz)
    result = cross_val_entries(
        NMF(3, init="nndsvda", tol=1e-2),
        X,
        cv=EntryTimeSplit(0.3),
        groups=times,
        metric=RankingScorer("hit_rate@10"),
    )
    assert 0 < result["test_score"][0] <= 1


def test_a_holdout_ranks_for_rows_of_the_fit():
    X = counts()
    holdout = EntryHoldout(
        ImplicitFactorization(3, random_state=0), metric=RankingScorer("recall@5")
    ).fit(X)
    (visible,) = (hide_entries(X, test) for _, test in holdout.splitter_.split(X))
    expected = recall_by_hand(holdout.estimator_, visible, X - visible, 5)
    assert holdout.score(X) == pytest.approx(expected, abs=1e-12)
    rows = np.arange(X.shape[0])
    grid = {"estimator__n_components": [1, 3]}
    search = GridSearchCV(holdout, grid, cv=[(rows, rows)]).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_every_metric_may_be_asked_for():
    X = counts()
    model = ImplicitFactorization(3, random_state=0).fit(X)
    for name in ("precision", "capped_recall", "map", "mrr", "ndcg", "binary_ndcg", "coverage"):
        assert 0 < RankingScorer(f"{name}@10")(model, X) <= 1
    assert -1 <= RankingScorer("gini@10")(model, X) < 0


def test_dislikes_stay_visible_and_are_never_relevant():
    X = counts()
    X.data[::3] *= -1
    model = ImplicitFactorization(3, negative="dislike", random_state=0).fit(X)
    hidden = []

    class Spy:
        def recommend(self, X, **options):
            hidden.append(X)
            return model.recommend(X, **options)

    RankingScorer("recall@5")(Spy(), X)
    rows = np.unique((X - X.maximum(0)).nonzero()[0])
    assert (hidden[0].data < 0).any()
    assert len(rows)
    assert (hidden[0].data < 0).sum() <= (X.data < 0).sum()


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("ndgc@20", r"metric must be one of .*Did you mean 'ndcg'"),
        ("ndcg", "use 'ndcg@20'"),
        ("recall@0", "use 'recall@20'"),
        ("recall@x", "use 'recall@20'"),
    ],
)
def test_metrics_that_do_not_exist_are_refused(metric, message):
    X = counts()
    model = ImplicitFactorization(3, random_state=0).fit(X)
    with pytest.raises(ValueError, match=message):
        RankingScorer(metric)(model, X)
    with pytest.raises(ValueError, match=message):
        cross_val_entries(model, X, metric=RankingScorer(metric))


def test_data_that_cannot_be_ranked_are_refused():
    X = counts()
    model = ImplicitFactorization(3, random_state=0).fit(X)
    with pytest.raises(ValueError, match="ranks the unstored entries of a sparse X"):
        RankingScorer()(model, X.toarray())
    with pytest.raises(ValueError, match="ranks the unstored entries of a sparse X"):
        cross_val_entries(model, X.toarray(), metric=RankingScorer())
    with pytest.raises(ValueError, match="no row of X has two positive entries"):
        RankingScorer()(model, sparse.csr_array(np.eye(5, 40)))
    with pytest.raises(ValueError, match="'fraction' parameter"):
        RankingScorer(fraction=1.5)(model, X)


def test_scores_are_those_of_all_candidates_alike():
    X = counts()
    model = ImplicitFactorization(3, random_state=0)
    scorer = RankingScorer("recall@5")
    np.testing.assert_array_equal(
        cross_val_score(model, X, scoring=scorer, cv=3),
        cross_val_score(model, X, scoring=clone(scorer), cv=3),
    )
    before = X.copy()
    RankingScorer()(model.fit(X), X)
    np.testing.assert_array_equal(X.toarray(), before.toarray())


def test_labeled_matrices_are_ranked_as_what_they_hold():
    X = counts()
    rows, columns = X.nonzero()
    frame = pd.DataFrame({"who": rows, "what": [f"item {j:02}" for j in columns], "n": X.data})
    data = pivot_entries(frame, rows="who", columns="what", values="n")
    grid = {"n_components": [1, 3]}
    found = [
        GridSearchCV(ImplicitFactorization(random_state=0), grid, scoring=RankingScorer(), cv=3)
        .fit(table)
        .cv_results_["mean_test_score"]
        for table in (data, data.X)
    ]
    np.testing.assert_array_equal(*found)
    items = [
        ImplicitFactorization(3, random_state=0).fit(table).recommend(table)[0]
        for table in (data, data.X)
    ]
    np.testing.assert_array_equal(*items)


@minutes_on_reference
def test_zeros_are_never_all_dense():
    rng = np.random.default_rng(0)
    entries = rng.integers(0, 8_000, 50_000), rng.integers(0, 5_000, 50_000)
    X = sparse.csr_array((np.ones(50_000, np.float32), entries), shape=(8_000, 5_000))
    X.sum_duplicates()
    model = ImplicitFactorization(4, max_iter=1, random_state=0).fit(X)
    for estimator in (model, make_pipeline(MaxAbsScaler(), model).fit(X)):
        tracemalloc.start()
        RankingScorer()(estimator, X)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 50e6  # of scores of 160 MB
