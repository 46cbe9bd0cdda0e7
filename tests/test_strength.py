"""``alpha_W="auto"``: a penalty that hidden entries choose, whatever the unit of the data."""

import pickle

import numpy as np
import pytest
from conftest import minutes_on_reference, store_observed
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.preprocessing import scale

from sklearn_mf import MatrixFactorization, RankSearchCV

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
@pytest.mark.parametrize("kind", ["complete", "nan", "stored"])
def test_it_knows_no_unit(kind, bias, dtype):
    X = noisy(shape=(40, 9))
    X = np.nan_to_num(X, nan=1.0) if kind == "complete" else X
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
        assert found[1] == pytest.approx(expected[1], rel=1e-5)
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


@pytest.mark.parametrize(
    "parameters",
    [
        {"solver": "gd"},
        {"solver": "svd"},
        {"positive": True},
        {"l1_ratio": 0.5},
        {"loss": "poisson"},
        {"early_stopping": True},
    ],
)
def test_it_says_what_it_needs(parameters):
    X = np.nan_to_num(np.abs(noisy()))
    with pytest.raises(ValueError, match="alpha_W='auto' needs what alternating least squares"):
        MatrixFactorization(2, alpha_W="auto", **parameters).fit(X)


def test_it_says_where_nothing_can_be_hidden():
    with pytest.raises(ValueError, match=r"alpha_W='auto' finds nothing to hide.*Use a number"):
        MatrixFactorization(1, alpha_W="auto").fit([[1.0, np.nan], [np.nan, 2.0]])
    with pytest.raises(ValueError, match="cannot hide the zeros"):
        MatrixFactorization(1, alpha_W="auto").fit(sparse.csr_array(np.eye(5)))
    with pytest.raises(ValueError, match="partial_fit needs a number"):
        MatrixFactorization(1, alpha_W="auto").partial_fit(noisy())
    with pytest.raises(ValueError, match="which is 'auto': pass alphas"):
        RankSearchCV(MatrixFactorization(alpha_W="auto"), [1, 2]).fit(noisy())
    search = RankSearchCV(MatrixFactorization(alpha_W="auto"), [1, 2], alphas=[0.1, 0.01])
    assert search.set_params(random_state=0).fit(noisy()).best_params_["alpha_W"] in (0.1, 0.01)
