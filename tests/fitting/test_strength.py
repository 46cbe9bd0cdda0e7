"""``alpha_W="auto"``: a penalty that hidden entries choose, whatever the unit of the data."""

import pickle

import numpy as np
import pytest
from conftest import minutes_on_reference, store_observed
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
)
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import scale

from sklearn_mf import FactorizationImputer, MatrixFactorization, RankSearchCV

pytestmark = minutes_on_reference
BIASES = [False, "features", "samples", "both"]


def noisy(seed=0, shape=(60, 12), rank=2, noise=0.3):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(shape[0], rank)) @ rng.normal(size=(rank, shape[1])) + 1
    X += noise * rng.normal(size=shape)
    return np.where(rng.random(shape) < 0.3, np.nan, X)


@pytest.mark.parametrize("load", [load_breast_cancer, load_wine])
@pytest.mark.parametrize("rank", [5, 10])
def test_it_predicts_as_well_as_the_best_of_a_grid(load, rank):
    X = scale(load().data)
    hidden = np.random.default_rng(0).random(X.shape) < 0.3
    visible = np.where(hidden, np.nan, X)
    model = MatrixFactorization(rank, bias="features", random_state=0)

    def error(alpha):
        fitted = clone(model).set_params(alpha_W=alpha).fit(visible)
        restored = fitted.inverse_transform(fitted.transform(visible))
        return np.sqrt(np.mean((restored - X)[hidden] ** 2))

    grid = [0.001, 0.003, 0.01, 0.03, 0.06, 0.1, 0.2, 0.3, 1]
    assert error("auto") < 1.03 * min(map(error, grid))
    assert error("auto") < 0.9 * np.sqrt(np.mean((np.nanmean(visible, axis=0) - X)[hidden] ** 2))


def test_nothing_is_penalized_where_nothing_is_noise():
    X = noisy(noise=0.0, shape=(80, 12))
    model = MatrixFactorization(2, bias="features", alpha_W="auto", random_state=0).fit(X)
    assert model.alpha_W_ < 1e-3
    assert model.score(X) > 0.999


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("kind", ["nan", "stored"])
def test_it_knows_no_unit(kind, bias, dtype):
    X = noisy(shape=(40, 9))
    unstored = "missing" if kind == "stored" else "zero"
    model = MatrixFactorization(
        2, bias=bias, alpha_W="auto", unstored=unstored, random_state=0, max_iter=500
    )
    expected = None
    units = [1, 4.0**25, 4.0**-25] + ([1e-30, 1e30] if dtype == np.float64 else [1e-15, 1e15])
    for unit in units:
        data = (X * unit).astype(dtype)
        data = store_observed(data) if kind == "stored" else data
        values = model.fit(data).inverse_transform(model.transform(data)) / unit
        found = values, model.alpha_W_ / unit, model.score(data)
        expected = found if expected is None else expected
        limit = 1e-3 if dtype == np.float64 else 2e-2
        np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=limit)
        assert found[1] == pytest.approx(expected[1], rel=1e-2 * limit)
        assert found[2] == pytest.approx(expected[2], abs=limit)


def test_a_number_is_what_it_was():
    X = noisy()
    model = MatrixFactorization(2, alpha_W=0.02, random_state=0).fit(X)
    assert model.alpha_W_ == 0.02


def test_the_rank_may_be_chosen_too():
    X = noisy(shape=(200, 20), rank=3)
    model = MatrixFactorization("auto", bias="features", alpha_W="auto", random_state=0).fit(X)
    assert model.n_components_ == 3
    assert model.score(X) > 0.7


def test_what_is_chosen_holds_for_new_rows_and_copies():
    X = noisy()
    model = MatrixFactorization(2, bias="both", alpha_W="auto", random_state=0)
    W = model.fit_transform(X)
    assert model.alpha_W_ > 0
    np.testing.assert_array_equal(model.transform(X), W)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.transform(X), W)
    np.testing.assert_array_equal(clone(model).fit(X).components_, model.components_)
    alpha = model.alpha_W_
    model.partial_fit(X[:10])
    assert model.alpha_W_ == alpha


UNCHOSEN = [
    {"positive": True},
    {"l1_ratio": 0.5},
    {"l1_ratio": 1.0},
    {"loss": "poisson"},
    {"loss": "poisson", "bias": "features"},
]


@pytest.mark.parametrize("parameters", UNCHOSEN)
def test_where_nothing_can_be_tried_a_typical_strength_serves(parameters):
    rng = np.random.default_rng(0)
    X = rng.gamma(2, size=(100, 2)) @ rng.gamma(2, size=(2, 12))
    X = np.where(rng.random(X.shape) < 0.3, np.nan, rng.poisson(X))
    model = MatrixFactorization(2, random_state=0, max_iter=500, **parameters).fit(X)
    missing = np.isnan(X).mean()
    if parameters.get("loss") == "poisson":
        assert model.alpha_W_ == pytest.approx(0.4 * missing)
    assert model.alpha_W_ > 0
    constants = MatrixFactorization(2, alpha_W=1e3, bias="features").fit(X)
    assert model.score(X) > constants.score(X)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("positive", [False, True])
def test_a_typical_strength_knows_no_unit(l1_ratio, positive):
    X = np.abs(noisy())
    model = MatrixFactorization(
        2, positive=positive, l1_ratio=l1_ratio, random_state=0, tol=1e-8, max_iter=1000
    )
    expected = model.fit(X).inverse_transform(model.transform(X))
    for unit in [1e-20, 1e-3, 1e3, 1e20]:
        found = model.fit(X * unit).inverse_transform(model.transform(X * unit)) / unit
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("solver", ["als", "gd", "lbfgs", "adam", "sgd"])
def test_the_strength_is_one_of_the_objective_and_not_of_its_solver(solver):
    X = noisy()
    expected = MatrixFactorization(2, random_state=0).fit(X).alpha_W_
    model = MatrixFactorization(2, solver=solver, random_state=0, max_iter=1000)
    assert model.fit(X).alpha_W_ == expected > 0


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("n_components", [None, 2])
def test_complete_data_have_no_penalty(bias, n_components):
    X = np.nan_to_num(noisy(), nan=1.0)
    for data, unstored in [(X, "zero"), (sparse.csr_array(X), "zero"), (store_observed(X), "zero")]:
        model = MatrixFactorization(n_components, bias=bias, unstored=unstored, random_state=0)
        plain = clone(model).set_params(alpha_W=0)
        np.testing.assert_array_equal(model.fit_transform(data), plain.fit_transform(data))
        assert model.alpha_W_ == 0
        assert model.n_components_ == (n_components or 10)


def test_complete_data_are_those_of_pca():
    X = load_wine().data
    codes = MatrixFactorization(bias="features").fit_transform(X)
    expected = PCA(10).fit_transform(X)
    np.testing.assert_allclose(np.abs(codes), np.abs(expected), atol=1e-6 * np.abs(X).max())


@pytest.mark.parametrize("entries", [[], [(0, 0)], [(0, 1), (3, 2)]])
def test_tiny_tables_are_fitted(entries):
    X = np.arange(12.0).reshape(4, 3)
    for row, column in entries:
        X[row, column] = np.nan
    model = MatrixFactorization(random_state=0).fit(X)
    assert np.isfinite(model.inverse_transform(model.transform(X))).all()


def test_where_nothing_can_be_hidden_a_typical_strength_serves():
    model = MatrixFactorization(1).fit([[1.0, np.nan], [np.nan, 2.0]])
    assert 0 < model.alpha_W_ < 1


def test_no_penalty_said_explicitly_is_obeyed_with_a_warning():
    X = noisy()
    X[3, 2:] = np.nan
    with pytest.warns(UserWarning, match="row 3 with [12]. Without a penalty, .* Use alpha_W > 0"):
        model = MatrixFactorization(3, alpha_W=0, random_state=0).fit(X)
    assert model.alpha_W_ == 0
    MatrixFactorization(3, random_state=0).fit(X)


def test_streams_have_the_typical_strength_of_their_first_batch():
    X = noisy(shape=(200, 12))
    model = MatrixFactorization(2, bias="features", random_state=0)
    for batch in np.array_split(X, 4):
        model.partial_fit(batch)
    assert 0 < model.alpha_W_ < 0.2 * np.nanstd(X)
    assert model.score(X) > 0.3
    complete = np.nan_to_num(X, nan=1.0)
    assert MatrixFactorization(2).partial_fit(complete).alpha_W_ == 0


def test_a_warm_start_goes_on_with_what_was_chosen():
    X = noisy()
    model = MatrixFactorization(warm_start=True, random_state=0).fit(X)
    rank, alpha = model.n_components_, model.alpha_W_
    model.fit(X[:50])
    assert (model.n_components_, model.alpha_W_) == (rank, alpha)


def test_a_search_and_clones_take_any_strength():
    X = noisy()
    model = MatrixFactorization(2, random_state=0)
    search = GridSearchCV(model, {"alpha_W": ["auto", 0.01, 0.1]}, cv=3).fit(X)
    assert search.best_params_["alpha_W"] in ("auto", 0.01, 0.1)
    assert RankSearchCV(MatrixFactorization(), [1, 2, 3], random_state=0).fit(X).best_score_ < 0
    search = RankSearchCV(MatrixFactorization(), [1, 2], alphas=[0.1, 0.01], random_state=0)
    assert search.fit(X).best_params_["alpha_W"] in (0.1, 0.01)


def tables():
    """Names of real tables, their columns scaled unless they are alike."""
    yield "iris", scale(load_iris().data)
    yield "wine", scale(load_wine().data)
    yield "diabetes", scale(load_diabetes().data)
    yield "breast cancer", scale(load_breast_cancer().data)
    yield "digits", load_digits().data[::3]


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7])
@pytest.mark.parametrize(("name", "X"), tables())
def test_defaults_are_better_than_the_means_of_columns(name, X, share):
    hidden = np.random.default_rng(1).random(X.shape) < share
    hidden[hidden.all(axis=1), 0] = False
    visible = np.where(hidden, np.nan, X)
    means = np.broadcast_to(np.nanmean(visible, axis=0), X.shape)
    model = MatrixFactorization(random_state=0)
    restored = model.fit(visible).inverse_transform(model.transform(visible))
    error, of_means = (np.mean((found - X)[hidden] ** 2) for found in (restored, means))
    assert error < 0.95 * of_means


@pytest.mark.parametrize(("shape", "rank", "share"), [((300, 40), 4, 0.5), ((500, 10), 3, 0.25)])
@pytest.mark.parametrize("seed", range(3))
def test_a_planted_rank_is_found_without_being_told(shape, rank, share, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))
    hidden = rng.random(shape) < share
    hidden[hidden.all(axis=1), 0] = False
    visible = np.where(hidden, np.nan, X)
    model = MatrixFactorization(random_state=0)
    restored = model.fit(visible).inverse_transform(model.transform(visible))
    assert model.n_components_ == rank
    assert np.median(np.abs(restored - X)[hidden]) < 1e-3
    imputed = FactorizationImputer(MatrixFactorization(random_state=0)).fit_transform(visible)
    assert np.abs(imputed - X)[hidden].mean() < 0.1


@pytest.mark.parametrize("rank", range(1, 10))
def test_hardly_any_penalty_is_left_where_there_is_no_noise(rank):
    rng = np.random.default_rng(rank)
    X = rng.standard_normal((150, rank)) @ rng.standard_normal((rank, 30))
    visible = np.where(rng.random(X.shape) < 0.2, np.nan, X)
    model = MatrixFactorization(random_state=0).fit(visible)
    assert rank <= model.n_components_ < 2 * rank
    restored = model.inverse_transform(model.transform(visible))
    assert np.median(np.abs(restored - X)) < 1e-3


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7])
@pytest.mark.parametrize("seed", range(2))
def test_columns_of_many_units_do_not_run_away(share, seed):
    """Where a factorization without biases is worse the higher its rank."""
    X = load_breast_cancer().data
    hidden = np.random.default_rng(seed).random(X.shape) < share
    visible = np.where(hidden, np.nan, X)
    means = np.broadcast_to(np.nanmean(visible, axis=0), X.shape)
    model = MatrixFactorization(random_state=seed)
    restored = model.fit(visible).inverse_transform(model.transform(visible))
    assert np.std((restored - X)[hidden]) < np.std((means - X)[hidden])


def test_ratings_are_predicted_better_than_by_biases():
    """As sparse as MovieLens: 1.17 without a penalty, where the mean of all ratings has 1.13."""
    rng = np.random.default_rng(0)
    users, items = rng.standard_normal((2, 300, 3)) * 0.5
    full = 3.5 + 0.4 * rng.standard_normal((300, 1)) + 0.5 * rng.standard_normal(300)
    full = np.clip(np.rint(full + users @ items.T + 0.7 * rng.standard_normal(full.shape)), 1, 5)
    rated, tested = rng.random(full.shape) < 0.08, rng.random(full.shape) < 0.05
    tested &= ~rated
    rows, columns = np.nonzero(tested)
    model = MatrixFactorization(bias="both", unstored="missing", random_state=0)
    ratings = sparse.csr_array(np.where(rated, full, 0))

    def error(alpha):
        fitted = clone(model).set_params(alpha_W=alpha)
        if alpha != "auto":
            fitted.set_params(n_components=10)
        predicted = fitted.fit(ratings).predict_entries(ratings, rows, columns)
        return np.sqrt(np.mean((predicted - full[tested]) ** 2))

    tuned = min(map(error, [0.03, 0.06, 0.09, 0.12, 0.17, 0.25, 0.35]))
    assert error("auto") < 1.01 * tuned


@pytest.mark.parametrize("outlier", [300.0, 1e3, 1e6])
def test_an_outlier_does_not_choose_the_penalty_of_a_robust_loss(outlier):
    """The deviation of the data was that of the outlier, and the penalty left no component."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 8))
    X = np.where(rng.random(truth.shape) < 0.2, np.nan, truth)
    X[5, 3] = outlier
    model = MatrixFactorization(2, loss="huber", random_state=0).fit(X)
    errors = np.delete(model.inverse_transform(model.transform(X)) - truth, 5, axis=0)
    assert np.sqrt(np.mean(errors**2)) < 0.1
