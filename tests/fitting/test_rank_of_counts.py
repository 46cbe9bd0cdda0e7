"""The rank of sparse matrices whose zeros are values: hidden in blocks, never made dense."""

import tracemalloc

import numpy as np
import pytest
from conftest import random_csr
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, KFold, TimeSeriesSplit

from sklearn_mf import NMF, MatrixFactorization, RankSearchCV
from sklearn_mf.model_selection import EntryKFold, EntryTimeSeriesSplit
from sklearn_mf.observations import ZeroFilledObservations

pytestmark = pytest.mark.filterwarnings("ignore:.*did not converge", "ignore:.*Maximum number")
RANK = 3


def planted(shape=(150, 40), noise=0.1, seed=0):
    """Sparse, of some rank: topics of a few words each, documents of one or two."""
    rng = np.random.default_rng(seed)
    H = np.zeros((RANK, shape[1]))
    for topic, words in enumerate(np.array_split(np.arange(shape[1]), RANK)):
        H[topic, words] = 1 + rng.random(len(words))
    W = rng.gamma(2, size=(shape[0], RANK)) * (rng.random((shape[0], RANK)) < 0.5)
    X = W @ H
    X[X > 0] += noise * rng.normal(size=(X > 0).sum())
    return sparse.csr_array(X)


def model(**parameters):
    return MatrixFactorization(**{"random_state": 0} | parameters)


def search(estimator=None, **parameters):
    options = {"cv": 4, "random_state": 0} | parameters
    return RankSearchCV(estimator or model(), options.pop("ranks", range(1, 7)), **options)


@pytest.fixture
def never_dense(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("made dense")

    monkeypatch.setattr(ZeroFilledObservations, "stored", refuse)


@pytest.mark.parametrize(
    ("bias", "alpha"),
    [(False, 0.0), ("both", 0.0), (False, 0.01), ("samples", 0.01), ("features", "auto")],
)
def test_auto_finds_the_rank_without_anything_dense(never_dense, bias, alpha):
    X = planted()
    fitted = model(n_components="auto", bias=bias, alpha_W=alpha).fit(X)
    assert fitted.n_components_ == RANK
    if alpha == 0.01:
        assert clone(fitted).fit(X).n_components_ == RANK


@pytest.mark.parametrize(
    "make",
    [lambda: model(n_components="auto", alpha_W=0.01), lambda: search(model(alpha_W=0.01), cv=3)],
)
def test_large_data_are_never_dense(never_dense, make):
    rng, shape = np.random.default_rng(0), (4000, 1500)
    W, H = (random_csr(s, 0.05, rng) for s in ((4000, 3), (3, 1500)))
    X = sparse.csr_array(W @ H)
    X.data += 0.001 * rng.normal(size=X.nnz)
    tracemalloc.start()
    try:
        fitted = make().fit(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    found = fitted.n_components_ if hasattr(fitted, "components_") else fitted.best_rank_
    assert found == 3
    assert peak < 0.5 * 8 * shape[0] * shape[1]


@pytest.mark.parametrize("seed", range(3))
def test_auto_finds_what_it_finds_in_a_table(seed):
    X = planted(noise=0.3, seed=seed)
    found = model(n_components="auto", alpha_W=0.0).fit(X).n_components_
    assert found == model(n_components="auto", alpha_W=0.0).fit(X.toarray()).n_components_ == RANK


@pytest.mark.parametrize(
    ("unit", "dtype"),
    [(4.0**-30, np.float64), (4.0**-30, np.float32), (4.0**33, np.float64), (4.0**33, np.float32)],
)
def test_the_rank_of_counts_has_no_unit(dtype, unit):
    X, auto = planted((60, 30)).astype(dtype), model(n_components="auto", alpha_W=0.0)
    assert auto.fit(X * dtype(unit)).n_components_ == auto.fit(X).n_components_
    searches = [search(model(alpha_W=0.0), ranks=[1, 2, RANK]) for _ in range(2)]
    found, expected = searches[0].fit(X * dtype(unit)), searches[1].fit(X)
    np.testing.assert_allclose(
        found.cv_results_["mean_test_score"] / unit**2,
        expected.cv_results_["mean_test_score"],
        rtol=1e-4,
    )


@pytest.mark.parametrize(
    "cv",
    [5, KFold(4, shuffle=True, random_state=0), KFold(5).split(np.zeros((150, 1))), "mask"],
    ids=["int", "KFold", "pairs", "masks"],
)
def test_searches_along_paths_without_anything_dense(never_dense, cv):
    if cv == "mask":
        part = np.arange(150) % 5
        cv = [(part != number, part == number) for number in range(5)]
    found = search(cv=cv).fit(planted())
    assert found.best_rank_ == RANK
    assert found.best_estimator_.n_components_ == RANK


def test_splits_of_rows_are_those_that_are_set_aside():
    X = planted()
    X[140:] *= 50.0  # of which one fold alone knows
    parts = [(np.arange(140), np.arange(140, 150)), (np.arange(70), np.arange(70, 140))]
    results = search(cv=parts).fit(X).cv_results_
    assert results["split0_test_score"][0] < 100 * results["split1_test_score"][0]
    assert search(cv=TimeSeriesSplit(3)).fit(X).n_splits_ == 3


def test_groups_reach_the_splitter():
    groups = np.arange(150) // 30
    found = search(cv=GroupKFold(5)).fit(planted(), groups=groups)
    assert found.n_splits_ == 5
    assert found.best_rank_ == RANK


@pytest.mark.parametrize("estimator", [NMF(random_state=0, tol=1e-2), model(positive=True)])
@pytest.mark.parametrize("cv", [3, KFold(3)])
def test_estimators_without_paths(never_dense, estimator, cv):
    found = search(estimator, ranks=[1, RANK, 5], cv=cv).fit(abs(planted()))
    assert found.best_rank_ == RANK


def test_paths_score_as_fits_of_their_own_do():
    X = planted()
    path, fits = (
        search(model(alpha_W=0.1, solver=solver, tol=1e-7), cv=KFold(3)).fit(X)
        for solver in ("als", "gd")
    )
    np.testing.assert_allclose(
        path.cv_results_["mean_test_score"][:RANK],
        fits.cv_results_["mean_test_score"][:RANK],
        rtol=0.02,
    )


@pytest.mark.parametrize("solver", ["als", "gd", "lbfgs"])
def test_several_losses(solver):
    X = planted()
    losses = ["squared"] * 25 + ["huber"] * 15
    found = search(
        model(loss=losses, solver=solver, alpha_W=0.01, max_iter=50), ranks=[1, 2, RANK, 4], cv=3
    ).fit(X)
    assert found.best_rank_ == RANK
    same = search(model(loss=["squared"] * 40, solver=solver, alpha_W=0.01), ranks=[1, 2], cv=3)
    one = search(model(loss="squared", solver=solver, alpha_W=0.01), ranks=[1, 2], cv=3)
    np.testing.assert_allclose(
        same.fit(X).cv_results_["mean_test_score"],
        one.fit(X).cv_results_["mean_test_score"],
        rtol=1e-3,
    )


def test_auto_of_several_losses():
    losses = {"squared": range(25), "huber": range(25, 40)}
    losses = [(loss, list(columns)) for loss, columns in losses.items()]
    assert model(n_components="auto", loss=losses, alpha_W=0.01).fit(planted()).n_components_ == 3


@pytest.mark.parametrize("dense", [False, True])
def test_entry_weights_tell_which_zeros_count(dense):
    X, rng = planted(), np.random.default_rng(1)
    E = (rng.random(X.shape) < 0.7) * (1 + rng.random(X.shape))
    as_table = np.where(E > 0, X.toarray(), np.nan)
    expected = search(model(alpha_W=0.01)).fit(as_table, entry_weight=E)
    weight = E if dense else sparse.coo_array(E)
    found = search(model(alpha_W=0.01)).fit(X, entry_weight=weight)
    np.testing.assert_allclose(
        found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"], rtol=1e-6
    )
    assert found.best_rank_ == RANK
    assert found.best_estimator_.unstored == "zero"
    np.testing.assert_allclose(
        found.best_estimator_.components_, expected.best_estimator_.components_, rtol=1e-5
    )
    cv = EntryKFold(3, random_state=0)
    assert search(model(alpha_W=0.01), cv=cv).fit(as_table, entry_weight=E).best_rank_ == RANK
    auto = model(n_components="auto", alpha_W=0.01)
    assert auto.fit(X, entry_weight=weight).n_components_ == RANK


def test_sample_weights_are_repetitions():
    X = planted((60, 30))
    weight = np.array([1, 2] * 30)
    twice = sparse.csr_array(X.toarray().repeat(weight, axis=0))
    folds = [(np.arange(40), np.arange(40, 60)), (np.arange(20, 60), np.arange(20))]
    number = np.arange(60).repeat(weight)
    of_twice = [tuple(np.flatnonzero(np.isin(number, part)) for part in fold) for fold in folds]
    once = search(model(alpha_W=0.01), cv=folds).fit(X, sample_weight=weight)
    again = search(model(alpha_W=0.01), cv=of_twice).fit(twice)
    for n in range(2):
        found, expected = (s.cv_results_[f"split{n}_test_score"] for s in (once, again))
        np.testing.assert_allclose(found[[0, RANK - 1]], expected[[0, RANK - 1]], rtol=0.02)


@pytest.mark.parametrize("cv", [EntryKFold(3), EntryTimeSeriesSplit(2)])
def test_splitters_of_entries_are_refused_by_name(cv):
    with pytest.raises(ValueError, match=r"cv=Entry.* splits single entries, .*KFold"):
        search(cv=cv).fit(planted(), groups=np.zeros(3))


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        ([(np.arange(4000), np.arange(4000, 5000))], "cv must be an int, .* from 0 to 149"),
        ([([0.5], [1])], "cv must be an int, or give arrays of row"),
        ([([0, 1], [1, 2])], "1 are in both"),
        ([([0, 1], [])], "has 2 training rows and 0 test rows"),
        ([([0, 1], np.zeros(150, bool))], "has 2 training rows and 0 test rows"),
        ([], "has no folds"),
    ],
)
def test_folds_that_cannot_be_are_refused_by_name(cv, message):
    with pytest.raises(ValueError, match=message):
        search(cv=cv).fit(planted())


def test_holes_among_counts():
    X = planted().tolil()
    X[3, 4] = X[10, 2] = np.nan
    X = sparse.csr_array(X)
    assert search().fit(X).best_rank_ == RANK
    assert model(n_components="auto", alpha_W=0.01).fit(X).n_components_ == RANK


def test_one_row_has_nothing_to_hide():
    X = sparse.csr_array(np.arange(1.0, 5)[None])
    assert model(n_components="auto").fit(X).n_components_ == 1
    for one in (X, sparse.csr_array(X.T)):
        with pytest.raises(ValueError, match=r"blocks need two rows and two columns"):
            search(ranks=[1]).fit(one)
    weight = np.eye(150)[3]
    with pytest.raises(ValueError, match="sample_weight is positive for fewer than two rows"):
        search(ranks=[1]).fit(planted(), sample_weight=weight)
